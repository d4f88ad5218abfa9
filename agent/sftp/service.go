package sftp

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"sync"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/berth-panel/berth/agent/files"
	"github.com/berth-panel/berth/shared/ident"
	"github.com/berth-panel/berth/shared/sshdoor"
	"github.com/berth-panel/berth/shared/turnstile"
	"github.com/berth-panel/berth/shared/wire"
)

// Volumes are the data directories (agent/volume).
type Volumes interface {
	Files(id ident.Instance) (*files.Root, error)
	// Usage is what an instance has of its disk, in bytes; a limit of 0 is none.
	Usage(id ident.Instance) (used, limit int64, err error)
	// Room is nil when an agent's writer may add some bytes, else a problem for
	// people. It is cheap.
	Room(id ident.Instance, bytes int64) error
}

// Instances say who may write (agent/instance).
type Instances interface {
	Writable(id ident.Instance) error
}

// Options are what a Service works with; all are needed but Listen and Tell.
type Options struct {
	Dir       string // the agent's data directory
	Listen    string // HOST:PORT; "" or "off": people come in through the controller's door only
	Volumes   Volumes
	Instances Instances
	Tell      func(...wire.Event) // takes what the controller shall know; it must not wait for that. nil: nobody does
	Log       *slog.Logger
	Now       func() time.Time
}

// The files in the data directory.
const (
	hostKeyFile = "sftp_host_ed25519_key"
	loginsFile  = "sftp-logins.json"
)

// Service is the door. Make it with New, then Run it.
type Service struct {
	Options
	logins    *logins
	asker     *asker
	sessions  *sessions
	guesses   *turnstile.Guesses
	listener  net.Listener // nil: no door of its own
	door      *sshdoor.Door[guest]
	announced *wire.SFTP

	writing sync.Mutex // the file of the logins
}

// New opens what the disk holds, and listens. A port that is taken leaves the
// node without a door, which is logged: instances matter more.
func New(o Options) (*Service, error) {
	s := &Service{
		Options: o, logins: newLogins(), asker: newAsker(o.Now), sessions: newSessions(),
		guesses: turnstile.NewGuesses(),
	}
	if err := s.load(); err != nil {
		return nil, err
	}
	if o.Listen == "" || o.Listen == "off" {
		return s, nil
	}
	key, err := sshdoor.HostKey(filepath.Join(o.Dir, hostKeyFile))
	if err != nil {
		return nil, err
	}
	s.door = sshdoor.New[guest](s, sshdoor.Options{HostKey: key, Log: o.Log})
	if s.listener, err = net.Listen("tcp", o.Listen); err != nil {
		o.Log.Error("SFTP is not served: free the port, or name another with --sftp-listen", "address", o.Listen, "error", err)
		s.listener = nil
		return s, nil
	}
	s.announced = &wire.SFTP{Port: portOf(s.listener.Addr()), HostKey: sshdoor.PublicText(key.PublicKey())}
	return s, nil
}

func portOf(a net.Addr) uint16 {
	if tcp, ok := a.(*net.TCPAddr); ok {
		return tcp.AddrPort().Port()
	}
	return 0
}

// Announced is where the door is; nil when there is none.
func (s *Service) Announced() *wire.SFTP { return s.announced }

// Addr is where it listens; nil when it doesn't.
func (s *Service) Addr() net.Addr {
	if s.listener == nil {
		return nil
	}
	return s.listener.Addr()
}

// Run serves until ctx ends, and returns when every session has ended.
func (s *Service) Run(ctx context.Context) {
	stop := context.AfterFunc(ctx, s.asker.close)
	defer stop()
	if s.listener != nil {
		if err := s.door.Serve(ctx, s.listener); err != nil {
			s.Log.Error("SFTP is not served any more", "error", err)
		}
	}
	<-ctx.Done()
	s.sessions.close()
}

// Close frees the port, for a Service that was never run.
func (s *Service) Close() {
	if s.listener != nil {
		_ = s.listener.Close()
	}
}

// Cut ends the sessions of an instance, tells them why, and returns when the
// files that they had open are closed.
func (s *Service) Cut(id ident.Instance, why error) { s.sessions.cut(id, why) }

// load reads who may log in, as the last push said. A file that can't be
// understood is passed over: the controller pushes anew.
func (s *Service) load() error {
	text, err := os.ReadFile(filepath.Join(s.Dir, loginsFile))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("read who may log in over SFTP: %w", err)
	}
	var all wire.Logins
	if err := json.Unmarshal(text, &all); err != nil {
		s.Log.Warn("who may log in over SFTP is not known until the controller says so", "error", err)
		return nil
	}
	s.logins.put(all)
	return nil
}

// put takes a push over: first in memory, so that who must go goes at once,
// then on the disk.
func (s *Service) put(all wire.Logins) (wire.LoginsHeld, error) {
	s.writing.Lock()
	defer s.writing.Unlock()
	held, taken := s.logins.put(all)
	if !taken {
		return wire.LoginsHeld{Revision: held}, nil
	}
	s.sessions.review(s.logins)
	text, err := json.Marshal(all)
	if err == nil {
		err = sshdoor.Keep(filepath.Join(s.Dir, loginsFile), text)
	}
	if err != nil {
		return wire.LoginsHeld{}, fmt.Errorf("keep who may log in over SFTP: %w", err)
	}
	return wire.LoginsHeld{Revision: held}, nil
}

// Key is sshdoor.Guard's.
func (s *Service) Key(_ context.Context, l sshdoor.Login, key ssh.PublicKey) (guest, error) {
	fingerprint := ssh.FingerprintSHA256(key)
	user, ok := s.logins.byKey(l.Username, l.Instance, fingerprint)
	if !ok {
		return guest{}, errWrong
	}
	return guest{user: user, instance: l.Instance, address: l.Address, key: fingerprint}, nil
}

// Proven is sshdoor.Guard's.
func (s *Service) Proven(_ context.Context, g guest) error {
	_, _, err := s.logins.check(g)
	return err
}
