package stats

import (
	"bytes"
	"math"
	"os"
	"runtime"
	"strconv"
	"time"

	"github.com/berth-panel/berth/shared/wire"
)

// ticks are what /proc/stat counts in: USER_HZ, 100 on every machine that Go
// runs on.
const ticks = 100

// devicesFor is how long it is remembered which network devices count.
const devicesFor = time.Minute

// machine measures the node itself. It is used by the kernel's goroutine.
type machine struct {
	k       *kernel
	volumes string // whose filesystem is measured
	last    load
	devices map[string]bool // which count
	looked  time.Time
}

// load are the counters of the sample before.
type load struct {
	at      time.Time
	busy    int64 // ticks
	in, out int64
}

// sample measures; over is the time that the rates are of, 0 for the first.
func (m *machine) sample(running int) (s wire.NodeSample, over float64) {
	now := m.k.now()
	s = wire.NodeSample{At: now, Cores: runtime.NumCPU(), Running: running}
	next := load{at: now, busy: m.busy()}
	next.in, next.out = m.network(now)
	if !m.last.at.IsZero() {
		over = now.Sub(m.last.at).Seconds()
	}
	if over > 0 {
		s.CPU = rate(m.last.busy, next.busy, over) / ticks
		s.NetInRate, s.NetOutRate = rate(m.last.in, next.in, over), rate(m.last.out, next.out, over)
	}
	m.last = next
	m.memory(&s)
	if content, err := m.k.read("/proc/loadavg"); err == nil {
		first, _ := word(content)
		s.Load1 = decimal(first)
	}
	if content, err := m.k.read("/proc/uptime"); err == nil {
		first, _ := word(content)
		s.UptimeMS = int64(decimal(first) * 1000)
	}
	s.DiskUsed, s.DiskTotal = room(m.volumes)
	return s, over
}

// busy is how long all cores have worked. What a guest took is in user's already,
// and what the machine's own host took (steal) was not worked here.
func (m *machine) busy() int64 {
	content, err := m.k.read("/proc/stat")
	if err != nil {
		return 0
	}
	first, _ := line(content)
	name, rest := word(first)
	if string(name) != "cpu" {
		return 0
	}
	var sum int64
	for i := range 7 { // user nice system idle iowait irq softirq
		var field []byte
		field, rest = word(rest)
		if n, ok := number(field); ok && i != 3 && i != 4 {
			sum = plus(sum, n)
		}
	}
	return sum
}

func (m *machine) memory(s *wire.NodeSample) {
	content, err := m.k.read("/proc/meminfo")
	if err != nil {
		return
	}
	value := func(key string) int64 {
		for text := content; len(text) > 0; {
			var l []byte
			l, text = line(text)
			if name, rest := word(l); string(name) == key {
				first, _ := word(rest)
				if n, ok := number(first); ok && n < 1<<50 {
					return n << 10
				}
			}
		}
		return 0
	}
	s.MemoryTotal = value("MemTotal:")
	s.MemoryUsed = max(0, s.MemoryTotal-value("MemAvailable:"))
}

// network adds up the devices that carry what leaves the machine: not the
// loopback, and neither bridges nor what is part of one or of a bond, which would
// count the same bytes again.
func (m *machine) network(now time.Time) (in, out int64) {
	content, err := m.k.read("/proc/net/dev")
	if err != nil {
		return 0, 0
	}
	if m.devices == nil || now.Sub(m.looked) > devicesFor || now.Before(m.looked) {
		m.devices, m.looked = map[string]bool{}, now
	}
	return devices(content, func(name string) bool {
		counts, known := m.devices[name]
		if !known {
			counts = name != "lo" && !m.has(name, "master") && !m.has(name, "bridge")
			m.devices[name] = counts
		}
		return counts
	})
}

func (m *machine) has(device, what string) bool {
	if device == "." || device == ".." || bytes.ContainsRune([]byte(device), '/') {
		return true // no device is called so
	}
	_, err := os.Lstat(m.k.root + "/sys/class/net/" + device + "/" + what)
	return err == nil
}

// decimal reads a number with a fraction; 0 when it is none.
func decimal(text []byte) float64 {
	f, err := strconv.ParseFloat(string(text), 64)
	if err != nil || f < 0 || math.IsNaN(f) || math.IsInf(f, 0) {
		return 0
	}
	return f
}

// rate is what a counter grew by in a second. One that went back was begun anew.
func rate(before, after int64, seconds float64) float64 {
	if after <= before || seconds <= 0 {
		return 0
	}
	return float64(after-before) / seconds
}
