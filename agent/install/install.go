package install

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"time"

	"github.com/berth-panel/berth/agent/files"
	"github.com/berth-panel/berth/shared/build"
	"github.com/berth-panel/berth/shared/guard"
	"github.com/berth-panel/berth/shared/problem"
	"github.com/berth-panel/berth/shared/wire"
)

const (
	// tries of one download, for failures that may pass: no connection, a
	// broken one, a server's 5xx.
	tries = 3
	// stall is how long a download may bring nothing.
	stall = time.Minute
)

// Put writes one file into the volume; fill is called once for each call of it.
type Put func(path string, fill func(io.Writer) error) error

// Installer downloads. It is safe for concurrent use.
type Installer struct {
	client *http.Client
	pause  time.Duration // before the second try; doubled for the third
	stall  time.Duration
}

// New makes an Installer. allowed are networks that the node's own settings
// open, such as a mirror in the same rack; everything public is open anyway.
func New(allowed []netip.Prefix) *Installer {
	return &Installer{client: guard.Client(allowed), pause: 2 * time.Second, stall: stall}
}

// Close frees idle connections.
func (i *Installer) Close() { i.client.CloseIdleConnections() }

// Run downloads the files in order; together they may have limit bytes. progress
// is called often and from this goroutine. A failure is a *problem.Problem that
// names the file, or the context's error. What an earlier, interrupted run has
// left is overwritten.
func (i *Installer) Run(ctx context.Context, files []wire.Download, limit int64, put Put, progress func(wire.Progress)) error {
	left := limit
	for n, f := range files {
		u, err := url.Parse(f.URL)
		if err != nil {
			return problem.New(problem.Validation, "the address of %s can't be read", f.Path)
		}
		d := download{Installer: i, url: u, left: left, path: f.Path, sum: f.SHA256}
		d.progress = func(done, total int64) { progress(describe(n, len(files), f.Path, done, total)) }
		size, err := d.run(ctx, put)
		if err != nil {
			return err
		}
		left -= size
	}
	return nil
}

func describe(n, of int, path string, done, total int64) wire.Progress {
	p := wire.Progress{Step: "install", Percent: -1, Message: fmt.Sprintf("Downloading %s (%d of %d): %d KiB", path, n+1, of, done>>10)}
	if total > 0 {
		p.Percent = int(min(100, done*100/total))
		p.Message += fmt.Sprintf(" of %d KiB", total>>10)
	}
	return p
}

// download is one file.
type download struct {
	*Installer
	url      *url.URL
	path     string
	sum      string // in hex, that it must have; "" is any
	left     int64  // bytes that it may have
	progress func(done, total int64)
}

// run tries until it works, the failure is one that stays, or ctx ends.
func (d download) run(ctx context.Context, put Put) (int64, error) {
	pause := d.pause
	for try := 1; ; try++ {
		size, err := d.once(ctx, put)
		if err == nil {
			return size, nil
		}
		if ctx.Err() != nil {
			return 0, ctx.Err()
		}
		var passing temporary
		if !errors.As(err, &passing) || try == tries {
			return 0, d.explain(err)
		}
		timer := time.NewTimer(pause)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return 0, ctx.Err()
		}
		pause *= 2
	}
}

// temporary marks a failure that may pass.
type temporary struct{ cause error }

func (t temporary) Error() string { return t.cause.Error() }
func (t temporary) Unwrap() error { return t.cause }

func (d download) once(ctx context.Context, put Put) (int64, error) {
	if err := guard.CheckURL(d.url); err != nil {
		return 0, err
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, d.url.String(), nil)
	if err != nil {
		return 0, problem.New(problem.Validation, "the address can't be used")
	}
	req.Header.Set("User-Agent", "berth-agent/"+build.Version)
	answer, err := d.client.Do(req)
	if err != nil {
		return 0, classify(err)
	}
	defer func() { _ = answer.Body.Close() }()
	if answer.StatusCode != http.StatusOK {
		err := error(problem.New(problem.Validation, "%s answered %d", answer.Request.URL.Host, answer.StatusCode))
		if answer.StatusCode >= 500 || answer.StatusCode == http.StatusTooManyRequests {
			err = temporary{err}
		}
		return 0, err
	}
	if answer.ContentLength > d.left {
		return 0, d.tooLarge()
	}
	var size int64
	err = put(d.path, func(w io.Writer) error {
		watchdog := time.AfterFunc(d.stall, func() { cancel(temporary{fmt.Errorf("nothing came for %s", d.stall)}) })
		defer watchdog.Stop()
		var err error
		size, err = d.copy(w, answer, func() { watchdog.Reset(d.stall) })
		if err != nil && context.Cause(ctx) != nil {
			return context.Cause(ctx)
		}
		return err
	})
	return size, err
}

// copy moves the body, counts and sums: a server's word about its length is not
// trusted. What has another checksum than it must is refused before it takes the
// file's place.
func (d download) copy(w io.Writer, answer *http.Response, alive func()) (int64, error) {
	sum := sha256.New()
	buffer := make([]byte, 64<<10)
	var size int64
	for {
		n, err := answer.Body.Read(buffer)
		size += int64(n)
		if size > d.left {
			return size, d.tooLarge()
		}
		if n > 0 {
			alive()
			if _, err := w.Write(buffer[:n]); err != nil {
				return size, err
			}
			_, _ = sum.Write(buffer[:n]) // a hash takes everything
			d.progress(size, answer.ContentLength)
		}
		if errors.Is(err, io.EOF) {
			return size, d.compare(hex.EncodeToString(sum.Sum(nil)))
		}
		if err != nil {
			return size, temporary{err}
		}
	}
}

func (d download) compare(sum string) error {
	if d.sum == "" || strings.EqualFold(sum, d.sum) {
		return nil
	}
	return problem.New(problem.Conflict, "its SHA-256 is %s, and must be %s: the file was changed at its source, or on the way", sum, strings.ToLower(d.sum))
}

func (d download) tooLarge() error {
	return problem.New(problem.InsufficientResources, "it is larger than the instance's disk")
}

// classify tells a refused address and a refused redirect from a connection that may
// work later.
func classify(err error) error {
	var p *problem.Problem
	if errors.As(err, &p) {
		return p
	}
	if errors.Is(err, guard.ErrForbidden) {
		return problem.New(problem.Forbidden, "its address is not on the public internet").Because(err)
	}
	return temporary{err}
}

// explain makes the failure one for people. The query and a password in the
// address may be secrets and are left out.
func (d download) explain(err error) error {
	shown := url.URL{Scheme: d.url.Scheme, Host: d.url.Host, Path: d.url.Path}
	var p *problem.Problem
	if errors.As(err, &p) {
		return problem.New(p.Code, "can't download %s from %s: %s", d.path, shown.String(), p.Message).Because(err)
	}
	var passing temporary
	if errors.As(err, &passing) {
		return problem.New(problem.ResourceBusy, "can't download %s from %s: the server doesn't answer or broke off", d.path, shown.String()).Because(err)
	}
	if files.Full(err) {
		return problem.New(problem.InsufficientResources, "can't write %s: the node's disk %s", d.path, files.Fullness(err)).Because(err)
	}
	return problem.New(problem.Internal, "can't write %s into the volume", d.path).Because(err)
}
