package sshdoor

import (
	"context"
	"errors"
	"io"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/berth-panel/berth/shared/problem"
)

// errIdle is why a session ends whose client says nothing.
var errIdle = problem.New(problem.Conflict, "nothing was asked for in a long time: connect again")

// converse lets the guard serve the channel, and says why it ended.
func (d *Door[G]) converse(ctx context.Context, guest G, channel ssh.Channel) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	idle := time.AfterFunc(d.Idle, func() { cancel(errIdle) })
	defer idle.Stop()
	err := d.guard.Serve(ctx, guest, &alive{Channel: channel, idle: idle, limit: d.Idle})
	if cause := context.Cause(ctx); cause != nil && problemOf(err) == nil {
		err = cause
	}
	if p := problemOf(err); p != nil {
		// A client that takes nothing in is not waited for: attend hangs up.
		go func() {
			_, _ = io.WriteString(channel.Stderr(), "berth: "+p.Message+"\n")
			leaveStatus(channel, 1)
			_ = channel.Close()
		}()
		return
	}
	leaveStatus(channel, 0)
	_ = channel.Close()
}

func problemOf(err error) *problem.Problem {
	var p *problem.Problem
	if errors.As(err, &p) {
		return p
	}
	return nil
}

// alive is a channel whose idle time begins anew with each byte that comes.
type alive struct {
	ssh.Channel
	idle  *time.Timer
	limit time.Duration
}

func (a *alive) Read(p []byte) (int, error) {
	n, err := a.Channel.Read(p)
	if n > 0 {
		a.idle.Reset(a.limit)
	}
	return n, err
}
