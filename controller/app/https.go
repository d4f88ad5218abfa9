package app

import (
	"context"
	"errors"
	"fmt"
	"net"
	"path/filepath"

	"golang.org/x/sync/errgroup"

	"github.com/berth-panel/berth/controller/certificate"
)

// certificatesFolder is where those of an authority are, beneath the data
// directory.
const certificatesFolder = "certificates"

// doors are the ways in for people and agents.
type doors struct {
	main  net.Listener // speaks TLS when there are certificates
	plain net.Listener // only says where that is; nil: none
}

// certified makes the certificates, if HTTPS is spoken here.
func (a *App) certified(ctx context.Context) (err error) {
	o := a.cfg.TLS
	if !o.On() {
		if a.cfg.HTTPListen != "" {
			return errors.New("a plain door beside HTTPS (--http-listen) needs certificates: name files or a domain")
		}
		return nil
	}
	o.Storage, o.Log, o.Now = filepath.Join(a.cfg.Data, certificatesFolder), a.cfg.Log, a.cfg.Now
	a.Certificates, err = certificate.New(ctx, o)
	return err
}

// openDoors has the listener speak TLS, and listens where only the way there is
// told.
func (a *App) openDoors(ctx context.Context, ln net.Listener) (doors, error) {
	if a.Certificates == nil {
		return doors{main: ln}, nil
	}
	out := doors{main: a.Certificates.Listen(ln)}
	if a.cfg.HTTPListen == "" {
		return out, nil
	}
	var err error
	if out.plain, err = (&net.ListenConfig{}).Listen(ctx, "tcp", a.cfg.HTTPListen); err != nil {
		return out, fmt.Errorf("listen on %s: %w; name another HOST:PORT with --http-listen", a.cfg.HTTPListen, err)
	}
	return out, nil
}

// serveDoors serves them, and keeps their certificates good.
func (a *App) serveDoors(ctx context.Context, group *errgroup.Group, d doors) {
	group.Go(func() error { return a.API.Serve(ctx, d.main) })
	if a.Certificates == nil {
		return
	}
	var plain net.Addr
	if d.plain != nil {
		plain = d.plain.Addr()
		group.Go(func() error { return a.Certificates.Redirect(ctx, d.plain, a.url) })
	}
	group.Go(func() error { return a.Certificates.Run(ctx, d.main.Addr(), plain) })
}

func closeIfOpen(ln net.Listener) error {
	if ln == nil {
		return nil
	}
	return ln.Close()
}
