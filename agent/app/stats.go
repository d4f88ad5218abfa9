package app

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"path/filepath"
	"time"

	"github.com/gorilla/websocket"

	"github.com/berth-panel/berth/agent/stats"
)

// buildStats makes the room of figures, and listens where they are to be read.
func (a *App) buildStats(now func() time.Time) (err error) {
	a.stats, err = stats.New(stats.Options{
		Dir: filepath.Join(a.config.Data, "stats"), Volumes: a.config.Data,
		Instances: a.manager, Engine: a.engine, Disks: a.volumes, Log: a.log, Now: now,
		Upgrade: func(w http.ResponseWriter, r *http.Request) (*websocket.Conn, error) { return a.door.Upgrade(w, r) },
	})
	if err != nil {
		return err
	}
	a.rooms["stats"] = a.stats
	if a.config.MetricsListen == "" {
		return nil
	}
	if a.metricsListener, err = net.Listen("tcp", a.config.MetricsListen); err != nil {
		return fmt.Errorf("listen for Prometheus: %w", err)
	}
	a.metrics = &http.Server{
		Handler:     stats.Metrics{Stats: a.stats, Node: a.node, Engine: a.manager.Engine, Lines: a.console.Lines}.Handler(),
		ReadTimeout: 10 * time.Second, WriteTimeout: 30 * time.Second, IdleTimeout: 2 * time.Minute, MaxHeaderBytes: 16 << 10,
	}
	return nil
}

// MetricsAddr is where the metrics are read; nil when they aren't.
func (a *App) MetricsAddr() net.Addr {
	if a.metricsListener == nil {
		return nil
	}
	return a.metricsListener.Addr()
}

// serveMetrics serves until ctx ends. That it can't is no reason to stop hosting.
func (a *App) serveMetrics(ctx context.Context) {
	if a.metrics == nil {
		return
	}
	defer context.AfterFunc(ctx, func() { _ = a.metrics.Close() })()
	if err := a.metrics.Serve(a.metricsListener); !errors.Is(err, http.ErrServerClosed) {
		a.log.Error("the metrics are no longer served", "error", err)
	}
}

// closeStats frees what buildStats opened.
func (a *App) closeStats() (err error) {
	if a.metricsListener != nil {
		if err = a.metricsListener.Close(); errors.Is(err, net.ErrClosed) {
			err = nil
		}
	}
	if a.stats != nil {
		err = errors.Join(err, a.stats.Close())
	}
	return err
}
