package demo

import (
	"encoding/json"
	"errors"
	"fmt"
	"html"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"
)

// view is what the demo sees of itself.
type view struct {
	Greeting  string  `json:"greeting"`
	MemoryMiB int64   `json:"memory_mib"` // 0: no limit seen
	Cores     float64 `json:"cores"`      // 0: no limit seen
	UptimeS   int64   `json:"uptime_s"`
	Hits      int64   `json:"hits"`
	Kept      bool    `json:"kept"` // the counter is in the volume
}

func (v view) memory() string {
	if v.MemoryMiB == 0 {
		return "no limit"
	}
	return fmt.Sprintf("%d MiB", v.MemoryMiB)
}

func (v view) cores() string {
	if v.Cores == 0 {
		return "no limit"
	}
	return strconv.FormatFloat(v.Cores, 'f', -1, 64)
}

func (v view) text() string {
	return fmt.Sprintf("%s: memory %s, cores %s, up %s, %d visits", v.Greeting, v.memory(), v.cores(), time.Duration(v.UptimeS)*time.Second, v.Hits)
}

func (s *server) look() view {
	v := view{Greeting: s.Greeting, UptimeS: int64(s.Now().Sub(s.began) / time.Second)}
	if v.Greeting == "" {
		v.Greeting = s.Host
	}
	v.MemoryMiB = memoryLimit(s.Cgroups)
	v.Cores = cpuLimit(s.Cgroups)
	v.Hits, v.Kept = s.hits.read()
	return v
}

// ServeHTTP answers / with the page and /status with the same as JSON.
func (s *server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		http.Error(w, "method not allowed", http.StatusMethodNotAllowed)
		return
	}
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.Header().Set("Cache-Control", "no-store")
	switch r.URL.Path {
	case "/":
		s.hits.add()
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		w.Header().Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'")
		_, _ = fmt.Fprint(w, s.look().page())
	case "/status":
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(s.look()) // fails when the client is gone
	default:
		http.NotFound(w, r)
	}
}

func (v view) page() string {
	kept := "Counted in the volume: stop and start the instance, and it goes on."
	if !v.Kept {
		kept = "The volume can't be written, so this is counted in memory only."
	}
	return strings.NewReplacer(
		"{greeting}", html.EscapeString(v.Greeting), "{memory}", v.memory(), "{cores}", v.cores(), "{kept}", kept,
		"{uptime}", (time.Duration(v.UptimeS) * time.Second).String(), "{hits}", strconv.FormatInt(v.Hits, 10),
	).Replace(pageText)
}

const pageText = `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{greeting}</title>
<style>
:root { color-scheme: light dark; --line: #8884; --accent: #1f7a8c; }
body { margin: 0; min-height: 100vh; display: grid; place-items: center; font: 16px/1.5 system-ui, sans-serif; }
main { width: min(34rem, calc(100vw - 3rem)); }
h1 { margin: 0 0 .25rem; font-size: 1.75rem; overflow-wrap: anywhere; }
h1::before { content: "⚓ "; color: var(--accent); }
p { margin: .25rem 0 1.5rem; opacity: .8; }
dl { margin: 0; border: 1px solid var(--line); border-radius: .75rem; overflow: hidden; }
div { display: flex; justify-content: space-between; gap: 1rem; padding: .75rem 1rem; }
div + div { border-top: 1px solid var(--line); }
dd { margin: 0; font-variant-numeric: tabular-nums; font-weight: 600; }
small { display: block; margin-top: 1rem; opacity: .7; }
</style>
</head>
<body>
<main>
<h1>{greeting}</h1>
<p>This instance runs on Berth.</p>
<dl>
<div><dt>Memory</dt><dd>{memory}</dd></div>
<div><dt>Cores</dt><dd>{cores}</dd></div>
<div><dt>Running for</dt><dd>{uptime}</dd></div>
<div><dt>Visits</dt><dd>{hits}</dd></div>
</dl>
<small>{kept}</small>
</main>
</body>
</html>
`

// counter counts visits in a file of the volume, in memory when it can't.
type counter struct {
	dir string

	mu     sync.Mutex
	loaded bool
	n      int64
	kept   bool
}

func (c *counter) load() {
	if c.loaded {
		return
	}
	c.loaded = true
	text, err := os.ReadFile(filepath.Join(c.dir, "visits"))
	c.kept = err == nil || errors.Is(err, fs.ErrNotExist)
	c.n, _ = strconv.ParseInt(strings.TrimSpace(string(text)), 10, 64) // anything else is 0
}

func (c *counter) read() (int64, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.load()
	return c.n, c.kept
}

func (c *counter) add() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.load()
	c.n++
	path := filepath.Join(c.dir, "visits")
	err := os.WriteFile(path+".new", []byte(strconv.FormatInt(c.n, 10)+"\n"), 0o644)
	if err == nil {
		err = os.Rename(path+".new", path)
	}
	c.kept = err == nil
}

// memoryLimit reads the container's limit in MiB, from either generation of
// cgroups; 0 for none.
func memoryLimit(cgroups string) int64 {
	for _, name := range []string{"memory.max", "memory/memory.limit_in_bytes"} {
		if n, err := strconv.ParseInt(firstWord(filepath.Join(cgroups, name)), 10, 64); err == nil && n < 1<<50 {
			return n >> 20
		}
	}
	return 0
}

// cpuLimit reads the container's quota in cores; 0 for none.
func cpuLimit(cgroups string) float64 {
	if words := words(filepath.Join(cgroups, "cpu.max")); len(words) == 2 {
		return ratio(words[0], words[1])
	}
	return ratio(firstWord(filepath.Join(cgroups, "cpu/cpu.cfs_quota_us")), firstWord(filepath.Join(cgroups, "cpu/cpu.cfs_period_us")))
}

func ratio(quota, period string) float64 {
	q, err := strconv.ParseFloat(quota, 64)
	p, perr := strconv.ParseFloat(period, 64)
	if err != nil || perr != nil || q <= 0 || p <= 0 {
		return 0
	}
	return q / p
}

func words(path string) []string {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil
	}
	return strings.Fields(string(text))
}

func firstWord(path string) string {
	if w := words(path); len(w) > 0 {
		return w[0]
	}
	return ""
}
