package app

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"time"

	"github.com/berth-panel/berth/controller/access"
	"github.com/berth-panel/berth/controller/httpapi"
	"github.com/berth-panel/berth/controller/job"
	"github.com/berth-panel/berth/controller/store"
	"github.com/berth-panel/berth/shared/build"
	"github.com/berth-panel/berth/shared/wire"
)

// StatusView says how the controller is.
type StatusView struct {
	State   string           `json:"state" enum:"ok,degraded" doc:"degraded when a part isn't ok"`
	Version string           `json:"version"`
	Uptime  int64            `json:"uptime" doc:"Seconds"`
	Counts  StatusCountsView `json:"counts"`
	Parts   []StatusPartView `json:"parts"`
}

// StatusCountsView counts what there is.
type StatusCountsView struct {
	Users      int `json:"users"`
	Images     int `json:"images"`
	Nodes      int `json:"nodes"`
	Online     int `json:"nodes_online"`
	Instances  int `json:"instances"`
	Running    int `json:"instances_running"`
	Suspended  int `json:"instances_suspended"`
	ActiveJobs int `json:"jobs_active"`
	FailedJobs int `json:"jobs_failed_last_day"`
}

// StatusPartView is one part's state.
type StatusPartView struct {
	Name    string `json:"name" doc:"database, jobs, or node and its name"`
	State   string `json:"state" enum:"ok,degraded,offline"`
	Message string `json:"message,omitempty"`

	LastSeenAt *time.Time `json:"last_seen_at,omitempty" doc:"Of a node: the last contact"`
}

// SystemView is StatusView with the machine and the program.
type SystemView struct {
	StatusView
	Wire          int    `json:"wire" doc:"Version of the language between controller and agents"`
	Go            string `json:"go"`
	OS            string `json:"os"`
	Arch          string `json:"arch"`
	Cores         int    `json:"cores"`
	Goroutines    int    `json:"goroutines"`
	HeapBytes     uint64 `json:"heap_bytes"`
	DatabaseBytes int64  `json:"database_bytes"`
	StartedAt     string `json:"started_at"`
}

// HealthView says that the controller answers and can read its database.
type HealthView struct {
	Status string `json:"status" enum:"ok"`
}

// jobsLate is how long a job may be due before that is worth telling.
const jobsLate = 2 * time.Minute

func (a *App) mountStatus() {
	httpapi.Handle(a.API, httpapi.Operation{ID: "getHealth", Method: http.MethodGet, Path: "/api/v1/health", Tag: "system", Access: access.Public(),
		Unlimited: true, Summary: "Whether the controller answers and can read its database"}, a.health)
	read := access.Permits(access.ReadNodes)
	httpapi.Handle(a.API, httpapi.Operation{ID: "getStatus", Method: http.MethodGet, Path: "/api/v1/status", Tag: "system", Access: read,
		Summary: "How the controller is"}, func(ctx context.Context, _ *struct{}) (StatusView, error) { return a.status(ctx) })
	httpapi.Handle(a.API, httpapi.Operation{ID: "getSystem", Method: http.MethodGet, Path: "/api/v1/system", Tag: "system", Access: read,
		Summary: "How the controller is, and what it runs on"}, func(ctx context.Context, _ *struct{}) (SystemView, error) { return a.system(ctx) })
}

func (a *App) health(ctx context.Context, _ *struct{}) (HealthView, error) {
	_, err := store.Count(ctx, a.DB.Snapshot(), `SELECT 1`)
	return HealthView{Status: "ok"}, err
}

func (a *App) status(ctx context.Context) (StatusView, error) {
	v := StatusView{State: "ok", Version: build.Version, Uptime: int64(a.cfg.Now().Sub(a.started).Seconds())}
	err := a.DB.Read(ctx, func(q store.Querier) (err error) {
		v.Counts, err = a.counts(ctx, q)
		return err
	})
	if err != nil {
		return v, err
	}
	jobs, err := a.jobsPart(ctx)
	if err != nil {
		return v, err
	}
	if jobs.State != "ok" {
		v.State = "degraded"
	}
	v.Parts = append(v.Parts, StatusPartView{Name: "database", State: "ok"}, jobs)
	nodes, err := a.Nodes.All(ctx)
	if err != nil {
		return v, err
	}
	for _, n := range nodes {
		if n.EnrolledAt == nil {
			continue
		}
		part := StatusPartView{Name: "node " + n.Name, State: "ok"}
		presence := a.Fleet.Presence(n.ID)
		part.LastSeenAt = n.LastContact(presence)
		switch {
		case !presence.Online:
			part.State, part.Message = "offline", presence.Reason
		case !n.Hello.Engine.Reachable:
			part.State, part.Message = "degraded", n.Hello.Engine.Message
		}
		if presence.Online {
			v.Counts.Online++
		}
		if part.State != "ok" {
			v.State = "degraded"
		}
		v.Parts = append(v.Parts, part)
	}
	return v, nil
}

// jobsPart says whether jobs are begun when their time has come.
func (a *App) jobsPart(ctx context.Context) (StatusPartView, error) {
	part := StatusPartView{Name: "jobs", State: "ok"}
	late, err := job.Late(ctx, a.DB.Snapshot(), a.cfg.Now().Add(-jobsLate))
	if late > 0 {
		part.State, part.Message = "degraded", fmt.Sprintf("%d jobs were due %s ago or earlier and have not begun", late, jobsLate)
	}
	return part, err
}

func (a *App) counts(ctx context.Context, q store.Querier) (c StatusCountsView, err error) {
	dayAgo := a.cfg.Now().Add(-24 * time.Hour).UnixMilli()
	for _, one := range []struct {
		into  *int
		query string
		args  []any
	}{
		{&c.Users, `SELECT COUNT(*) FROM users`, nil},
		{&c.Images, `SELECT COUNT(*) FROM images`, nil},
		{&c.Nodes, `SELECT COUNT(*) FROM nodes`, nil},
		{&c.Instances, `SELECT COUNT(*) FROM instances`, nil},
		{&c.Running, `SELECT COUNT(*) FROM instances WHERE actual = 'running'`, nil},
		{&c.Suspended, `SELECT COUNT(*) FROM instances WHERE suspended = 1`, nil},
		{&c.ActiveJobs, `SELECT COUNT(*) FROM jobs WHERE state IN ('queued', 'waiting', 'running')`, nil},
		{&c.FailedJobs, `SELECT COUNT(*) FROM jobs WHERE state = 'failed' AND created_at > ?`, []any{dayAgo}},
	} {
		if *one.into, err = store.Count(ctx, q, one.query, one.args...); err != nil {
			return c, err
		}
	}
	return c, nil
}

func (a *App) system(ctx context.Context) (SystemView, error) {
	status, err := a.status(ctx)
	if err != nil {
		return SystemView{}, err
	}
	var memory runtime.MemStats
	runtime.ReadMemStats(&memory)
	v := SystemView{
		StatusView: status, Wire: wire.Version, Go: runtime.Version(), OS: runtime.GOOS, Arch: runtime.GOARCH, Cores: runtime.NumCPU(),
		Goroutines: runtime.NumGoroutine(), HeapBytes: memory.HeapAlloc, StartedAt: a.started.UTC().Format(time.RFC3339),
	}
	if info, err := os.Stat(filepath.Join(a.cfg.Data, databaseFile)); err == nil {
		v.DatabaseBytes = info.Size()
	}
	return v, nil
}
