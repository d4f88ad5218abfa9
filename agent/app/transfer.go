package app

import (
	"time"

	"github.com/berth-panel/berth/agent/transfer"
	"github.com/berth-panel/berth/shared/ident"
	"github.com/berth-panel/berth/shared/problem"
)

// buildTransfer makes the room of the instances' files.
func (a *App) buildTransfer(now func() time.Time) {
	a.transfer = transfer.New(transfer.Options{
		Volumes: a.volumes, Instances: a.manager, All: a.instances, Allowed: a.config.AllowDownloads, Log: a.log, Now: now,
	})
	a.rooms["files"] = a.transfer
}

// writers are who writes to volumes beside the containers. They are made after
// the manager that cuts them.
type writers struct{ a *App }

// Cut is instance.Writers'.
func (w writers) Cut(id ident.Instance, why *problem.Problem) {
	w.a.transfer.Cut(id, why)
	w.a.sftp.Cut(id, why)
}

// instances are those that are held here.
func (a *App) instances() []ident.Instance {
	held := a.manager.Inventory().Instances
	ids := make([]ident.Instance, 0, len(held))
	for _, h := range held {
		ids = append(ids, h.Instance)
	}
	return ids
}
