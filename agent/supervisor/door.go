package supervisor

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"time"

	"github.com/berth-panel/berth/agent/supervisor/talk"
)

// strangersEvery is the rest after a call by anybody else than a container's first
// process, and after one that can't be taken: whoever calls without end keeps nobody
// waiting but his own container.
const strangersEvery = time.Millisecond

// door is where one instance's container calls.
type door struct {
	s        *Supervisor
	listener *net.UnixListener
	shut     chan struct{}
}

// openDoor listens in a directory. Its path may be longer than a socket's may be,
// so it is named by a descriptor.
func (s *Supervisor) openDoor(dir string) (*door, error) {
	name := filepath.Base(talk.Socket)
	if err := os.Remove(filepath.Join(dir, name)); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("remove the socket of before: %w", err)
	}
	at, err := os.Open(dir)
	if err != nil {
		return nil, fmt.Errorf("listen for a container: %w", err)
	}
	defer func() { _ = at.Close() }()
	listener, err := net.ListenUnix("unix", &net.UnixAddr{Name: fmt.Sprintf("/proc/self/fd/%d/%s", at.Fd(), name), Net: "unix"})
	if err != nil {
		return nil, fmt.Errorf("listen for a container: %w", err)
	}
	listener.SetUnlinkOnClose(false)                                  // by that name it can't be
	if err := os.Chmod(filepath.Join(dir, name), 0o666); err != nil { //nolint:gosec // containers have any user
		return nil, errors.Join(fmt.Errorf("open a socket to a container: %w", err), listener.Close())
	}
	return &door{s: s, listener: listener, shut: make(chan struct{})}, nil
}

func (d *door) close() {
	close(d.shut)
	_ = d.listener.Close()
}

// serve takes calls until the door is closed.
func (d *door) serve() {
	for {
		conn, err := d.listener.AcceptUnix()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err == nil {
			err = d.take(conn)
		}
		if err == nil {
			continue
		}
		d.s.log.Debug("a call is hung up on", "error", err)
		select {
		case <-d.shut:
		case <-time.After(strangersEvery):
		}
	}
}

// take hears who calls, and what about, and passes it on.
func (d *door) take(conn *net.UnixConn) error {
	c, err := d.answer(conn)
	if err == nil {
		err = c.listen()
	}
	if err != nil {
		_ = conn.Close()
		return err
	}
	d.s.mu.Lock()
	handle := d.s.handle
	d.s.mu.Unlock()
	if handle == nil {
		c.Close()
		return nil
	}
	handle(c)
	return nil
}
