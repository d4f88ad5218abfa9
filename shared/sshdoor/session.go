package sshdoor

import (
	"context"
	"errors"
	"io"
	"sync"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/berth-panel/berth/shared/problem"
)

// errIdle is why a session ends whose client says nothing.
var errIdle = problem.New(problem.Conflict, "nothing was asked for in a long time: connect again")

// Channel is the bytes of a session.
type Channel interface {
	io.ReadWriteCloser
	// End tells the person why it is over and ends it: Read and Write fail after 2 s
	// at most, however little the client takes in. It doesn't wait, and may be
	// called again.
	End(words string)
}

// converse lets the guard serve the channel, and says why it ended. hangUp closes
// the connection a little later.
func (d *Door[G]) converse(ctx context.Context, guest G, channel ssh.Channel, hangUp func()) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	idle := time.AfterFunc(d.Idle, func() { cancel(errIdle) })
	defer idle.Stop()
	c := &conversation{Channel: channel, idle: idle, limit: d.Idle, hangUp: hangUp}
	err := d.guard.Serve(ctx, guest, c)
	if p := problemOf(err); p != nil {
		c.End(p.Message)
		return
	}
	c.ending.Do(func() {
		leaveStatus(channel, 0)
		_ = channel.Close()
	})
}

func problemOf(err error) *problem.Problem {
	var p *problem.Problem
	if errors.As(err, &p) {
		return p
	}
	return nil
}

// conversation is a channel whose idle time begins anew with each byte that comes.
type conversation struct {
	ssh.Channel
	idle   *time.Timer
	limit  time.Duration
	hangUp func()
	ending sync.Once
}

// Read reads what the client sends.
func (c *conversation) Read(p []byte) (int, error) {
	n, err := c.Channel.Read(p)
	if n > 0 {
		c.idle.Reset(c.limit)
	}
	return n, err
}

// End is Channel's.
func (c *conversation) End(words string) {
	c.ending.Do(func() {
		c.hangUp()
		go func() { // ends with the connection at the latest
			_, _ = io.WriteString(c.Stderr(), "berth: "+words+"\n")
			leaveStatus(c.Channel, 1)
			_ = c.Close()
		}()
	})
}
