package sshdoor

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"strings"
	"sync"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/berth-panel/berth/shared/ident"
	"github.com/berth-panel/berth/shared/turnstile"
)

// The limits of strangers and sessions.
const (
	strangersAtOnce = 64
	strangersEach   = 8 // from one network
	triesEach       = 6 // of a connection, keys included: a client offers all that it has
	passwordsEach   = 3 // of them

	handshakeWithin = 10 * time.Second
	loginWithin     = time.Minute      // from the beginning to the session's
	idleLimit       = 15 * time.Minute // without a byte from the client
	farewell        = 2 * time.Second  // for the last words
	acceptPause     = 50 * time.Millisecond
)

// Login is who somebody says that he is.
type Login struct {
	Username string
	Instance ident.Instance // of the right form
	Address  string         // where he comes from, without the port
}

// ParseLogin takes "username.instanceid" apart.
func ParseLogin(user string) (Login, bool) {
	cut := strings.LastIndexByte(user, '.')
	if cut < 1 {
		return Login{}, false
	}
	l := Login{Username: user[:cut], Instance: ident.Instance(strings.ToLower(user[cut+1:]))}
	return l, l.Instance.Valid()
}

// Guard decides and serves. A *problem.Problem among its errors is shown to the
// person. Its methods may be called at the same time, and ctx ends with the
// connection. G is who was let in.
type Guard[G any] interface {
	// Password says who has that password.
	Password(ctx context.Context, l Login, password string) (G, error)
	// Key says whose key it is. That he has it is not proven yet.
	Key(ctx context.Context, l Login, key ssh.PublicKey) (G, error)
	// Proven may still refuse who has shown that the key is his.
	Proven(ctx context.Context, guest G) error
	// Serve speaks SFTP with the guest until the end of the session. When ctx ends it
	// ends the channel. Its error is told to him, when it is a *problem.Problem.
	Serve(ctx context.Context, guest G, channel Channel) error
}

// Options are what a Door works with; all are needed but Idle and Handshake.
type Options struct {
	HostKey   ssh.Signer
	Log       *slog.Logger
	Idle      time.Duration // 0 is 15 minutes
	Handshake time.Duration // within which strangers agree on keys; 0 is 10 s
}

// Door is the server. Make it with New.
type Door[G any] struct {
	Options
	guard     Guard[G]
	strangers *turnstile.Lobby
}

// New makes a Door.
func New[G any](guard Guard[G], o Options) *Door[G] {
	if o.Idle <= 0 {
		o.Idle = idleLimit
	}
	if o.Handshake <= 0 {
		o.Handshake = handshakeWithin
	}
	return &Door[G]{Options: o, guard: guard, strangers: turnstile.NewLobby(strangersAtOnce, strangersEach)}
}

// Serve takes connections until ctx ends, and returns when all have ended. The
// listener is closed then.
func (d *Door[G]) Serve(ctx context.Context, listener net.Listener) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	detach := context.AfterFunc(ctx, func() { _ = listener.Close() })
	defer detach()
	var open sync.WaitGroup
	defer open.Wait()
	defer cancel()
	for {
		conn, err := listener.Accept()
		switch {
		case ctx.Err() != nil:
			if err == nil {
				_ = conn.Close()
			}
			return nil
		case errors.Is(err, net.ErrClosed):
			return fmt.Errorf("serve SFTP: %w", err)
		case err != nil: // too many files are open: it passes
			d.Log.Warn("an SFTP connection can't be accepted", "error", err)
			if pause(ctx, acceptPause) != nil {
				return nil
			}
			continue
		}
		leave, ok := d.strangers.Enter(turnstile.Network(addressOf(conn.RemoteAddr())))
		if !ok {
			_ = conn.Close()
			continue
		}
		open.Go(func() {
			defer leave()
			defer d.rescue()
			d.attend(ctx, conn, leave)
		})
	}
}

func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// rescue keeps one broken connection from ending the program.
func (d *Door[G]) rescue() {
	if p := recover(); p != nil {
		d.Log.Error("an SFTP connection panicked", "panic", fmt.Sprint(p))
	}
}

// attend serves one connection; settled gives its place among the strangers back.
func (d *Door[G]) attend(ctx context.Context, conn net.Conn, settled func()) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer func() { _ = conn.Close() }()
	late := time.AfterFunc(d.Handshake, func() { _ = conn.Close() })
	defer late.Stop()
	detach := context.AfterFunc(ctx, func() { late.Reset(farewell) })
	defer detach()
	server, channels, requests, err := ssh.NewServerConn(conn, d.config(ctx, late))
	if err != nil {
		d.Log.Debug("an SFTP login failed", "address", addressOf(conn.RemoteAddr()), "error", err)
		return
	}
	guest, ok := server.Permissions.ExtraData[guestKey{}].(G)
	if !ok {
		return // nobody was let in
	}
	go func() {
		defer cancel()
		_ = server.Wait()
	}()
	go ssh.DiscardRequests(requests)
	for offered := range channels {
		if offered.ChannelType() != "session" {
			_ = offered.Reject(ssh.Prohibited, "there is only SFTP here")
			continue
		}
		channel, asked, err := offered.Accept()
		if err != nil {
			return
		}
		if !begun(channel, asked) {
			_ = channel.Close()
			continue
		}
		if !late.Stop() {
			return // it is being cut off, or the door closes
		}
		settled()
		go refuseAll(channels)
		go ssh.DiscardRequests(asked)
		hangUp := func() { late.Reset(farewell) } // for a client that doesn't
		d.converse(ctx, guest, channel, hangUp)
		hangUp()
		_ = server.Wait()
		return
	}
}

// refuseAll refuses what is opened beside the session.
func refuseAll(channels <-chan ssh.NewChannel) {
	for offered := range channels {
		_ = offered.Reject(ssh.ResourceShortage, "one session for a connection")
	}
}

// begun waits for the request of the subsystem and refuses all others.
func begun(channel ssh.Channel, asked <-chan *ssh.Request) bool {
	for r := range asked {
		var name struct{ Name string }
		switch {
		case r.Type == "subsystem" && ssh.Unmarshal(r.Payload, &name) == nil && name.Name == "sftp":
			return r.Reply(true, nil) == nil
		case r.Type == "shell", r.Type == "exec":
			_ = r.Reply(true, nil)
			_, _ = io.WriteString(channel.Stderr(), "There is only SFTP here.\n")
			leaveStatus(channel, 1)
			return false
		default:
			_ = r.Reply(false, nil)
		}
	}
	return false
}

func leaveStatus(channel ssh.Channel, status uint32) {
	_, _ = channel.SendRequest("exit-status", false, ssh.Marshal(struct{ Status uint32 }{status}))
}

func addressOf(a net.Addr) string {
	tcp, ok := a.(*net.TCPAddr)
	if !ok {
		return a.String()
	}
	return tcp.AddrPort().Addr().Unmap().WithZone("").String()
}
