package app

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"syscall"
	"time"
)

const (
	databaseFile = "berth.db"
	urlFile      = "public-url"
	lockFile     = "lock"
)

// ErrInUse says that another controller has the data directory.
var ErrInUse = errors.New("another controller runs on this data directory")

// lock holds a data directory for one process; the kernel frees it when that
// process dies, however it does.
type lock struct{ file *os.File }

func acquire(dir string) (*lock, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("make the data directory: %w", err)
	}
	f, err := os.OpenFile(filepath.Join(dir, lockFile), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open the data directory: %w", err)
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		_ = f.Close()
		if errors.Is(err, syscall.EWOULDBLOCK) {
			return nil, fmt.Errorf("%s: %w", dir, ErrInUse)
		}
		return nil, fmt.Errorf("lock the data directory: %w", err)
	}
	return &lock{file: f}, nil
}

func (l *lock) release() error { return l.file.Close() }

// The sockets: of a controller that runs, and of one that a command opened for
// itself. Nobody else may use the latter, it is gone in a moment.
const (
	controlSocket = "control.sock"
	commandSocket = "command.sock"
)

// listenLocal opens the local socket: only who may read the data directory can
// reach it, and is an admin there.
func (a *App) listenLocal(name string) (net.Listener, error) {
	path := filepath.Join(a.cfg.Data, name)
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("remove the last run's socket: %w", err)
	}
	ln, err := net.Listen("unix", path)
	if err != nil {
		return nil, fmt.Errorf("open the local socket: %w", err)
	}
	if err := os.Chmod(path, 0o600); err != nil {
		return nil, errors.Join(err, ln.Close())
	}
	return ln, nil
}

// LocalClient gives an HTTP client whose every request goes to the controller of
// a data directory, as an admin: to the one that runs, else to one that is
// opened here until done is called. The host in a request's URL means nothing.
func LocalClient(ctx context.Context, dir string) (client *http.Client, done func(), err error) {
	if !exists(filepath.Join(dir, databaseFile)) && !exists(filepath.Join(dir, restoreNote)) {
		return nil, nil, errNoData(dir)
	}
	a, err := openOrReach(ctx, dir)
	if err != nil {
		return nil, nil, err
	}
	if a == nil {
		client = dial(filepath.Join(dir, controlSocket))
		return client, client.CloseIdleConnections, nil
	}
	socket, err := a.listenLocal(commandSocket)
	if err != nil {
		return nil, nil, errors.Join(err, a.Close())
	}
	serving, stop := context.WithCancel(ctx)
	served := make(chan struct{})
	go func() {
		defer close(served)
		_ = a.API.Serve(serving, socket)
	}()
	client = dial(filepath.Join(dir, commandSocket))
	return client, func() {
		client.CloseIdleConnections()
		stop()
		<-served
		_ = a.Close()
	}, nil
}

// Running says whether a controller runs on the data directory and answers.
func Running(ctx context.Context, dir string) bool {
	conn, err := (&net.Dialer{}).DialContext(ctx, "unix", filepath.Join(dir, controlSocket))
	return err == nil && conn.Close() == nil
}

// openOrReach opens the controller of a directory, or gives none when one runs
// there that answers. One that has just begun, and another command, hold the
// directory without answering: that is waited for.
func openOrReach(ctx context.Context, dir string) (*App, error) {
	const pause, patience = 50 * time.Millisecond, 10 * time.Second
	for waited := time.Duration(0); ; waited += pause {
		a, err := New(ctx, Config{Data: dir, Log: slog.New(slog.DiscardHandler), Now: time.Now})
		if !errors.Is(err, ErrInUse) {
			return a, err
		}
		conn, unreached := (&net.Dialer{}).DialContext(ctx, "unix", filepath.Join(dir, controlSocket))
		if unreached == nil {
			return nil, conn.Close()
		}
		if waited >= patience {
			return nil, fmt.Errorf("%w, and it does not answer: %w", err, unreached)
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(pause):
		}
	}
}

// publicURL is what agents are told to call: as configured, and kept for the
// commands that open a directory whose controller does not run.
func publicURL(dir, configured string) (string, error) {
	path := filepath.Join(dir, urlFile)
	kept, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return "", fmt.Errorf("read the public URL: %w", err)
	}
	if configured == "" || configured == string(kept) {
		return string(kept), nil
	}
	// It goes into links and into a script that root runs.
	if u, err := url.Parse(configured); err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		return "", fmt.Errorf("the public URL %q is none: it looks like https://panel.example.com", configured)
	}
	if err := os.WriteFile(path, []byte(configured), 0o600); err != nil {
		return "", fmt.Errorf("keep the public URL: %w", err)
	}
	return configured, nil
}

func dial(socket string) *http.Client {
	return &http.Client{Timeout: time.Minute, Transport: &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "unix", socket)
		},
	}}
}
