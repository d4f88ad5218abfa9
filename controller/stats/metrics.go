package stats

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"slices"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/common/expfmt"

	"github.com/berth-panel/berth/controller/access"
	"github.com/berth-panel/berth/controller/httpapi"
	"github.com/berth-panel/berth/shared/build"
)

// Counts are how many there are of what, by state. A state that there are none of
// may be missing.
type Counts struct {
	Nodes     map[string]int // online, offline
	Instances map[string]int // as the API's status
	Jobs      map[string]int
}

// Metrics is the controller's page for Prometheus. Labels are routes, states and
// classes: never an id of what people make, so that the page stays as long as it
// is. What single instances use is on their agents' pages.
type Metrics struct {
	count    func(ctx context.Context) (Counts, error)
	registry *prometheus.Registry
	requests *prometheus.CounterVec
	took     *prometheus.HistogramVec
}

// NewMetrics makes the page; count is called at each reading.
func NewMetrics(count func(ctx context.Context) (Counts, error)) *Metrics {
	m := &Metrics{
		count: count, registry: prometheus.NewRegistry(),
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "berth_http_requests_total", Help: "Calls that were answered."}, []string{"method", "route", "class"}),
		took: prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "berth_http_request_duration_seconds", Help: "From a call's head to its answer; of a stream, to its opening.",
			Buckets: []float64{.001, .005, .02, .1, .5, 2, 10}}, []string{"class"}),
	}
	info := prometheus.NewGauge(prometheus.GaugeOpts{Name: "berth_controller_info", Help: "The controller that runs.", ConstLabels: prometheus.Labels{"release": build.Version}})
	info.Set(1)
	m.registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}), m.requests, m.took, info)
	return m
}

var methods = []string{http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete, http.MethodOptions}

// Observe counts a call that was answered. route is its pattern, never its path.
func (m *Metrics) Observe(method, route string, status int, took time.Duration) {
	if !slices.Contains(methods, method) {
		method = "other" // whatever a stranger wrote there
	}
	class := fmt.Sprintf("%dxx", status/100)
	m.requests.WithLabelValues(method, route, class).Inc()
	m.took.WithLabelValues(class).Observe(took.Seconds())
}

// pageType is Prometheus' text format.
const pageType = "text/plain; version=0.0.4; charset=utf-8"

// Page writes all metrics as they are now.
func (m *Metrics) Page(ctx context.Context) ([]byte, error) {
	counts, err := m.count(ctx)
	if err != nil {
		return nil, err
	}
	now := prometheus.NewRegistry()
	gauge := func(name, help string, of map[string]int) {
		g := prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: name, Help: help}, []string{"state"})
		for state, n := range of {
			g.WithLabelValues(state).Set(float64(n))
		}
		now.MustRegister(g)
	}
	gauge("berth_nodes", "Nodes, by whether they are connected.", counts.Nodes)
	gauge("berth_instances", "Instances, by status.", counts.Instances)
	gauge("berth_jobs", "Jobs that are kept, by state.", counts.Jobs)
	families, err := prometheus.Gatherers{m.registry, now}.Gather()
	if err != nil {
		return nil, err
	}
	var page bytes.Buffer
	encoder := expfmt.NewEncoder(&page, expfmt.NewFormat(expfmt.TypeTextPlain))
	for _, family := range families {
		if err := encoder.Encode(family); err != nil {
			return nil, err
		}
	}
	return page.Bytes(), nil
}

// Mount registers the page, for admins.
func (m *Metrics) Mount(a *httpapi.API) {
	httpapi.HandleDownload(a, httpapi.Operation{ID: "getMetrics", Method: http.MethodGet, Path: "/metrics", Tag: "system", Access: access.Permits(access.ReadNodes),
		Style: httpapi.Document, Summary: "The controller's metrics for Prometheus"}, pageType, m.download)
}

func (m *Metrics) download(ctx context.Context) (httpapi.Download, error) {
	page, err := m.Page(ctx)
	if err != nil {
		return httpapi.Download{}, err
	}
	return httpapi.Download{Type: pageType, Size: int64(len(page)), Body: io.NopCloser(bytes.NewReader(page))}, nil
}

// ServeHTTP is the page on an address of its own, where no key is asked for.
func (m *Metrics) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path != "/metrics" || r.Method != http.MethodGet {
		http.NotFound(w, r)
		return
	}
	page, err := m.Page(r.Context())
	if err != nil {
		http.Error(w, "the metrics can't be read", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", pageType)
	_, _ = w.Write(page) // fails when the reader is gone
}
