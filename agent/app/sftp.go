package app

import (
	"maps"
	"net"
	"net/http"
	"time"

	"github.com/gorilla/websocket"

	"github.com/berth-panel/berth/agent/sftp"
	"github.com/berth-panel/berth/shared/wire"
)

// buildSFTP opens the SFTP door and lets the agent's own door serve its calls.
func (a *App) buildSFTP(now func() time.Time) (err error) {
	a.sftp, err = sftp.New(sftp.Options{Dir: a.config.Data, Listen: a.config.SFTPListen, Volumes: a.volumes, Instances: a.manager, Tell: a.journal.Post, Log: a.log, Now: now})
	if err != nil {
		return err
	}
	maps.Copy(a.rooms, a.sftp.Rooms(func(w http.ResponseWriter, r *http.Request) (*websocket.Conn, error) { return a.door.Upgrade(w, r) }))
	return nil
}

// announceSFTP is where the SFTP door is, once it is open; nil when there is none.
func (a *App) announceSFTP() *wire.SFTP {
	if a.sftp == nil {
		return nil
	}
	return a.sftp.Announced()
}

// SFTPAddr is where the SFTP door listens; nil when it doesn't.
func (a *App) SFTPAddr() net.Addr { return a.sftp.Addr() }
