package app

import (
	"net/http"
	"path/filepath"
	"time"

	"github.com/gorilla/websocket"

	"github.com/berth-panel/berth/agent/console"
	"github.com/berth-panel/berth/shared/ident"
	"github.com/berth-panel/berth/shared/wire"
)

// buildConsole opens the consoles. They and the manager need each other: what
// they ask of it is asked once both are there.
func (a *App) buildConsole(now func() time.Time) (err error) {
	a.console, err = console.New(console.Options{
		Dir: filepath.Join(a.config.Data, "console"), Engine: a.engine, Instances: instances{a}, Log: a.log, Now: now,
		Upgrade: func(w http.ResponseWriter, r *http.Request) (*websocket.Conn, error) { return a.door.Upgrade(w, r) },
	})
	if err == nil {
		a.rooms["console"] = a.console
	}
	return err
}

// instances are the manager's.
type instances struct{ a *App }

func (i instances) State(id ident.Instance) (wire.State, error) { return i.a.manager.State(id) }

func (i instances) Subscribe(id ident.Instance) (<-chan struct{}, func()) {
	return i.a.manager.Subscribe(id)
}
