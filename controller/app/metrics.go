package app

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"

	"github.com/berth-panel/berth/controller/instance"
	"github.com/berth-panel/berth/controller/stats"
	"github.com/berth-panel/berth/controller/store"
)

// metricCounts counts for Prometheus.
func (a *App) metricCounts(ctx context.Context) (stats.Counts, error) {
	c := stats.Counts{Nodes: map[string]int{"online": 0, "offline": 0}, Instances: map[string]int{}, Jobs: map[string]int{}}
	err := a.DB.Read(ctx, func(q store.Querier) error {
		_, err := store.Collect(ctx, q, func(row func(...any) error) (i instance.Listed, err error) {
			var n int
			err = row(&i.Phase, &i.Suspended, &i.Actual, &n)
			c.Instances[string(i.Status())] += n
			return i, err
		}, `SELECT phase, suspended, actual, COUNT(*) FROM instances GROUP BY 1, 2, 3`)
		if err != nil {
			return err
		}
		_, err = store.Collect(ctx, q, func(row func(...any) error) (state string, err error) {
			var n int
			err = row(&state, &n)
			c.Jobs[state] += n
			return state, err
		}, `SELECT state, COUNT(*) FROM jobs GROUP BY 1`)
		return err
	})
	if err != nil {
		return c, err
	}
	nodes, err := a.Nodes.All(ctx)
	for _, n := range nodes {
		if a.Fleet.Online(n.ID) {
			c.Nodes["online"]++
		} else {
			c.Nodes["offline"]++
		}
	}
	return c, err
}

// listenMetrics listens where metrics are read without a key, if anywhere.
func (a *App) listenMetrics(ctx context.Context) (net.Listener, error) {
	if a.cfg.MetricsListen == "" {
		return nil, nil //nolint:nilnil // nowhere is no failure
	}
	ln, err := (&net.ListenConfig{}).Listen(ctx, "tcp", a.cfg.MetricsListen)
	if err != nil {
		return nil, fmt.Errorf("listen for Prometheus on %s: %w; name another HOST:PORT with --metrics-listen", a.cfg.MetricsListen, err)
	}
	return ln, nil
}

// serveMetrics serves until ctx ends.
func (a *App) serveMetrics(ctx context.Context, ln net.Listener) error {
	if ln == nil {
		return nil
	}
	server := &http.Server{Handler: a.Metrics, ReadTimeout: 10 * time.Second, WriteTimeout: 30 * time.Second, IdleTimeout: 2 * time.Minute, MaxHeaderBytes: 16 << 10}
	defer context.AfterFunc(ctx, func() { _ = server.Close() })()
	if err := server.Serve(ln); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serve Prometheus: %w", err)
	}
	return nil
}
