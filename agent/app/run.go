package app

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/berth-panel/berth/agent/runtime"
	"github.com/berth-panel/berth/shared/coarse"
)

// Run serves until ctx ends, or the listener breaks; the former is a good end
// and answers nil. The App is closed when it returns. Call it once.
func (a *App) Run(ctx context.Context) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var parts sync.WaitGroup
	parts.Go(func() { a.manager.Run(ctx) })
	if a.firewall != nil {
		parts.Go(func() { a.firewall.Run(ctx) })
	}
	parts.Go(func() { a.moves.Run(ctx) })
	parts.Go(func() { a.volumes.Run(ctx) })
	parts.Go(func() { a.sftp.Run(ctx) })
	parts.Go(func() { a.stats.Run(ctx) })
	parts.Go(func() { a.transfer.Run(ctx) })
	parts.Go(func() { a.serveMetrics(ctx) })
	parts.Go(func() { a.tidy.Run(ctx, a.references) })
	parts.Go(func() { a.prepareDemo(ctx) })
	parts.Go(func() {
		err := a.web.Serve(tls.NewListener(coarse.Listen(a.listener), a.web.TLSConfig))
		if !errors.Is(err, http.ErrServerClosed) {
			cancel(fmt.Errorf("serve the controller: %w", err))
		}
	})
	hangUp := a.openTunnel(ctx, &parts)
	a.log.Info("the agent is ready", "node", string(a.node), "address", a.Addr().String())
	<-ctx.Done()
	a.log.Info("the agent ends; containers are left as they are")
	a.closeDoor(ctx)
	hangUp() // not before: what is said last is said in it
	parts.Wait()
	err := a.Close()
	if cause := context.Cause(ctx); !errors.Is(cause, context.Canceled) && !errors.Is(cause, context.DeadlineExceeded) {
		err = errors.Join(cause, err)
	}
	return err
}

// references are the images that are needed here, or will be soon.
func (a *App) references() []string { return append(a.manager.References(), a.moves.Images()...) }

// openTunnel keeps the tunnel open, if there is one, until the returned function
// is called.
func (a *App) openTunnel(ctx context.Context, parts *sync.WaitGroup) (hangUp func()) {
	ctx, hangUp = context.WithCancel(context.WithoutCancel(ctx))
	if a.tunnel != nil {
		parts.Go(func() { a.tunnel.Run(ctx) })
	}
	return hangUp
}

// closeDoor ends the event stream and lets short calls finish.
func (a *App) closeDoor(ctx context.Context) {
	a.door.Close()
	a.console.Dismiss()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), closeWithin)
	defer cancel()
	if err := a.web.Shutdown(ctx); err != nil {
		_ = a.web.Close()
	}
}

// Close frees what New opened, for an App that was never run.
func (a *App) Close() error {
	a.closing.Do(func() {
		var errs []error
		if a.listener != nil {
			if err := a.listener.Close(); !errors.Is(err, net.ErrClosed) {
				errs = append(errs, err)
			}
		}
		errs = append(errs, a.closeStats())
		if a.installer != nil {
			a.installer.Close()
		}
		if a.scripts != nil {
			errs = append(errs, a.scripts.Close())
		}
		if a.journal != nil {
			errs = append(errs, a.journal.Close())
		}
		if a.sftp != nil {
			a.sftp.Close()
		}
		if a.volumes != nil {
			errs = append(errs, a.volumes.Close())
		}
		if a.console != nil {
			errs = append(errs, a.console.Close())
		}
		if a.engine != nil {
			errs = append(errs, a.engine.Close())
		}
		if a.supervisor != nil {
			errs = append(errs, a.supervisor.Close())
		}
		a.closed = errors.Join(errs...)
	})
	return a.closed
}

// prepareDemo makes the demo image as soon as the engine answers, so that a
// first deploy need not wait for it.
func (a *App) prepareDemo(ctx context.Context) {
	if a.maker == nil {
		return
	}
	for wait := time.Second; ; wait = min(2*wait, time.Minute) {
		_, err := a.maker.Provide(ctx, a.demoReference())
		if err == nil || ctx.Err() != nil {
			return
		}
		if runtime.ReasonOf(err) != runtime.Unreachable {
			a.log.Warn("the demo image could not be made", "error", err)
			return
		}
		timer := time.NewTimer(wait)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return
		}
	}
}
