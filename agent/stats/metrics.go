package stats

import (
	"net/http"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/berth-panel/berth/shared/build"
	"github.com/berth-panel/berth/shared/ident"
	"github.com/berth-panel/berth/shared/wire"
)

// Metrics is the page for Prometheus: GET /metrics. Other rooms' figures are
// handed in as functions, which are called at each reading. Labels are ids,
// never names or anything else that people type.
type Metrics struct {
	Stats  *Service
	Node   ident.Node
	Engine func() wire.Engine
	// Lines counts the lines of each console since the agent began; nil: not shown.
	Lines func() map[ident.Instance]int64
}

// Handler serves the page, and nothing else.
func (m Metrics) Handler() http.Handler {
	registry := prometheus.NewRegistry()
	registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	prometheus.WrapRegistererWith(prometheus.Labels{"node": string(m.Node)}, registry).MustRegister(m)
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(registry, promhttp.HandlerOpts{MaxRequestsInFlight: 4}))
	return mux
}

func instanceMetric(name, help string) *prometheus.Desc {
	return prometheus.NewDesc("berth_instance_"+name, help, []string{"instance"}, nil)
}

func nodeMetric(name, help string) *prometheus.Desc {
	return prometheus.NewDesc("berth_node_"+name, help, nil, nil)
}

// figure is one metric, and where its value is found.
type figure[T any] struct {
	desc  *prometheus.Desc
	kind  prometheus.ValueType
	value func(T) float64
}

// metered is what an instance's metrics are made of.
type metered struct {
	wire.Sample
	cpuSeconds float64
}

var instanceFigures = []figure[metered]{
	{instanceMetric("cpu_seconds_total", "Processor time since the container's start."), prometheus.CounterValue, func(s metered) float64 { return s.cpuSeconds }},
	{instanceMetric("memory_bytes", "Memory in use, without page cache that can be taken back."), prometheus.GaugeValue, func(s metered) float64 { return float64(s.MemoryBytes) }},
	{instanceMetric("memory_limit_bytes", "Memory that it may use; 0 is no limit."), prometheus.GaugeValue, func(s metered) float64 { return float64(s.MemoryLimit) }},
	{instanceMetric("network_receive_bytes_total", "Bytes received since the container's start."), prometheus.CounterValue, func(s metered) float64 { return float64(s.NetIn) }},
	{instanceMetric("network_transmit_bytes_total", "Bytes sent since the container's start."), prometheus.CounterValue, func(s metered) float64 { return float64(s.NetOut) }},
	{instanceMetric("disk_read_bytes_total", "Bytes read from disks since the container's start."), prometheus.CounterValue, func(s metered) float64 { return float64(s.DiskRead) }},
	{instanceMetric("disk_written_bytes_total", "Bytes written to disks since the container's start."), prometheus.CounterValue, func(s metered) float64 { return float64(s.DiskWrite) }},
	{instanceMetric("processes", "Processes and threads."), prometheus.GaugeValue, func(s metered) float64 { return float64(s.Pids) }},
	{instanceMetric("uptime_seconds", "Since the container's start."), prometheus.GaugeValue, func(s metered) float64 { return float64(s.UptimeMS) / 1000 }},
	{instanceMetric("volume_limit_bytes", "What its volume may hold; 0 is unknown."), prometheus.GaugeValue, func(s metered) float64 { return float64(s.DiskLimit) }},
}

var nodeFigures = []figure[wire.NodeSample]{
	{nodeMetric("cpu_cores_used", "Cores in use on the whole machine."), prometheus.GaugeValue, func(s wire.NodeSample) float64 { return s.CPU }},
	{nodeMetric("cpu_cores", "Cores of the machine."), prometheus.GaugeValue, func(s wire.NodeSample) float64 { return float64(s.Cores) }},
	{nodeMetric("load1", "Load over the last minute."), prometheus.GaugeValue, func(s wire.NodeSample) float64 { return s.Load1 }},
	{nodeMetric("memory_used_bytes", "Memory in use on the whole machine."), prometheus.GaugeValue, func(s wire.NodeSample) float64 { return float64(s.MemoryUsed) }},
	{nodeMetric("memory_bytes", "Memory of the machine."), prometheus.GaugeValue, func(s wire.NodeSample) float64 { return float64(s.MemoryTotal) }},
	{nodeMetric("volumes_used_bytes", "In use on the filesystem of the volumes."), prometheus.GaugeValue, func(s wire.NodeSample) float64 { return float64(s.DiskUsed) }},
	{nodeMetric("volumes_bytes", "Size of the filesystem of the volumes."), prometheus.GaugeValue, func(s wire.NodeSample) float64 { return float64(s.DiskTotal) }},
	{nodeMetric("instances_running", "Instances whose container is up."), prometheus.GaugeValue, func(s wire.NodeSample) float64 { return float64(s.Running) }},
}

var (
	volumeUsed   = instanceMetric("volume_used_bytes", "What its volume holds; absent before it was measured.")
	consoleLines = instanceMetric("console_lines_total", "Lines of its console since the agent began.")
	engineUp     = nodeMetric("engine_up", "1 while the container engine answers.")
	agentInfo    = prometheus.NewDesc("berth_agent_info", "The agent that runs.", []string{"release"}, nil)
)

// Describe names all metrics.
func (m Metrics) Describe(to chan<- *prometheus.Desc) {
	for _, f := range instanceFigures {
		to <- f.desc
	}
	for _, f := range nodeFigures {
		to <- f.desc
	}
	for _, d := range []*prometheus.Desc{volumeUsed, consoleLines, engineUp, agentInfo} {
		to <- d
	}
}

// Collect gives their values now.
func (m Metrics) Collect(to chan<- prometheus.Metric) {
	node, instances := m.Stats.metered()
	for _, f := range nodeFigures {
		to <- prometheus.MustNewConstMetric(f.desc, f.kind, f.value(node))
	}
	for id, s := range instances {
		for _, f := range instanceFigures {
			to <- prometheus.MustNewConstMetric(f.desc, f.kind, f.value(s), string(id))
		}
		if s.DiskUsed >= 0 {
			to <- prometheus.MustNewConstMetric(volumeUsed, prometheus.GaugeValue, float64(s.DiskUsed), string(id))
		}
	}
	if m.Lines != nil {
		for id, n := range m.Lines() {
			to <- prometheus.MustNewConstMetric(consoleLines, prometheus.CounterValue, float64(n), string(id))
		}
	}
	up := 0.0
	if m.Engine().Reachable {
		up = 1
	}
	to <- prometheus.MustNewConstMetric(engineUp, prometheus.GaugeValue, up)
	to <- prometheus.MustNewConstMetric(agentInfo, prometheus.GaugeValue, 1, build.Version)
}

// metered gives the newest samples of all that runs.
func (s *Service) metered() (wire.NodeSample, map[ident.Instance]metered) {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := make(map[ident.Instance]metered, len(s.tracks))
	for id, t := range s.tracks {
		if t.newest.Running {
			all[id] = metered{t.newest, t.last.CPU.Seconds()}
		}
	}
	return s.node, all
}
