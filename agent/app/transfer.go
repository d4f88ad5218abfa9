package app

import (
	"time"

	"github.com/berth-panel/berth/agent/transfer"
	"github.com/berth-panel/berth/shared/ident"
)

// buildTransfer makes the room of the instances' files.
func (a *App) buildTransfer(now func() time.Time) {
	a.transfer = transfer.New(transfer.Options{
		Volumes: a.volumes, Instances: a.manager, All: a.instances, Allowed: a.config.AllowDownloads, Log: a.log, Now: now,
	})
	a.rooms["files"] = a.transfer
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
