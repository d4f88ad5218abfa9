package update

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/berth-panel/berth/shared/problem"
	"github.com/berth-panel/berth/shared/wire"
)

const (
	maxProgram  = 512 << 20        // bytes
	diskReserve = 32 << 20         // bytes that stay free beside the program: the way back needs the disk too
	tryTime     = 20 * time.Second // for the new program to say its version
)

// Receive takes a program in: it checks the sum, has it say its version, notes
// the trial and switches to it. The process itself is replaced once Restart was
// called. sum is the SHA-256 in hex, size the bytes announced (-1: nobody knows).
// Whatever fails leaves everything as it was.
func (u *Updater) Receive(ctx context.Context, release, sum string, size int64, from io.Reader) (wire.ReleaseState, error) {
	if err := u.admit(release, sum, size); err != nil {
		return wire.ReleaseState{}, err
	}
	if !u.taking.TryLock() {
		return wire.ReleaseState{}, problem.New(problem.ResourceBusy, "another release is on its way to this agent")
	}
	defer u.taking.Unlock()
	if sum == u.running {
		return u.State(), nil
	}
	if err := u.free(); err != nil {
		return wire.ReleaseState{}, err
	}
	temp, err := u.store(ctx, sum, size, from)
	if temp != "" {
		defer func() { _ = os.RemoveAll(temp) }() // after the rename there is nothing
	}
	if err != nil {
		return wire.ReleaseState{}, explain(err)
	}
	if err := tryOut(ctx, filepath.Join(temp, program), release); err != nil {
		return wire.ReleaseState{}, err
	}
	if err := u.place(temp, sum); err != nil {
		return wire.ReleaseState{}, explain(err)
	}
	if err := u.note(release, sum); err != nil {
		return wire.ReleaseState{}, explain(err)
	}
	return u.State(), nil
}

// admit refuses what can't be meant.
func (u *Updater) admit(release, sum string, size int64) error {
	switch {
	case u.fixed != "":
		return problem.New(problem.Conflict, "this agent can't update itself: %s", u.fixed)
	case !isSum(sum):
		return problem.Invalid("sha256", "64 lower-case hex characters")
	case release == "" || len(release) > 128:
		return problem.Invalid("release", "1 to 128 characters")
	case size > maxProgram:
		return problem.New(problem.TooLarge, "a program of %d bytes is too large; %d at most", size, maxProgram)
	}
	return nil
}

// free says whether an update may begin now.
func (u *Updater) free() error {
	u.mu.Lock()
	defer u.mu.Unlock()
	if t := u.state.Trial; t != nil {
		return problem.New(problem.ResourceBusy, "release %s is on trial here; wait for the end of that", t.Release)
	}
	return nil
}

// store writes the program into a folder of its own and checks its sum.
func (u *Updater) store(ctx context.Context, sum string, size int64, from io.Reader) (temp string, err error) {
	releases := filepath.Join(u.dir, releasesDir)
	if err := os.MkdirAll(releases, 0o755); err != nil {
		return "", err
	}
	if err := prune(u.dir, u.running, pointed(u.dir, currentLink), pointed(u.dir, previousLink)); err != nil {
		return "", err
	}
	if err := roomFor(releases, max(size, 0)); err != nil {
		return "", err
	}
	if temp, err = os.MkdirTemp(releases, ".incoming-*"); err != nil {
		return "", err
	}
	file, err := os.OpenFile(filepath.Join(temp, program), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o700)
	if err != nil {
		return temp, err
	}
	hash := sha256.New()
	n, err := io.Copy(io.MultiWriter(file, hash), io.LimitReader(until{ctx, from}, maxProgram+1))
	err = errors.Join(err, file.Chmod(0o755), file.Sync(), file.Close())
	switch {
	case err != nil:
		return temp, err
	case n > maxProgram:
		return temp, problem.New(problem.TooLarge, "the program is larger than %d bytes", maxProgram)
	case size >= 0 && n != size:
		return temp, problem.New(problem.BadRequest, "%d of %d bytes of the program arrived", n, size)
	case hex.EncodeToString(hash.Sum(nil)) != sum:
		return temp, problem.New(problem.BadRequest, "the program that arrived does not have the SHA-256 that was announced")
	}
	return temp, os.Chmod(temp, 0o755)
}

// until reads while ctx lasts.
type until struct {
	ctx  context.Context
	from io.Reader
}

// Read reads, unless ctx has ended.
func (u until) Read(p []byte) (int, error) {
	if err := u.ctx.Err(); err != nil {
		return 0, err
	}
	return u.from.Read(p)
}

func roomFor(dir string, size int64) error {
	var stat syscall.Statfs_t
	if err := syscall.Statfs(dir, &stat); err != nil {
		return err
	}
	if have := int64(stat.Bavail) * int64(stat.Bsize); have < size+diskReserve {
		return problem.New(problem.InsufficientResources, "the disk that holds %s has %d MiB free; the program takes %d, and %d must stay",
			dir, have>>20, size>>20, diskReserve>>20)
	}
	return nil
}

// tryOut runs the program once: one for another kind of machine, or whose
// libraries are missing, shows it here.
func tryOut(ctx context.Context, path, release string) error {
	ctx, cancel := context.WithTimeout(ctx, tryTime)
	defer cancel()
	var said bytes.Buffer
	var err error
	// While another program is being started, it may still hold our file open for
	// writing for a moment, and the kernel then refuses to run it.
	for pause := time.Millisecond; pause < time.Second; pause *= 4 {
		said.Reset()
		c := exec.CommandContext(ctx, path, "version")
		c.Stdout, c.Stderr, c.Env, c.WaitDelay = &said, &said, []string{"PATH=/usr/bin:/bin"}, time.Second
		if err = c.Run(); !errors.Is(err, syscall.ETXTBSY) {
			break
		}
		time.Sleep(pause)
	}
	text := firstLine(said.String())
	if err != nil {
		return problem.New(problem.Conflict, "the program does not run on this machine: %s%s", err, spaced(text)).Because(err)
	}
	if name, rest, _ := strings.Cut(text, " "); name != program || !strings.HasPrefix(rest, release+",") {
		return problem.New(problem.Conflict, "the program says that it is %q, not release %s of the agent", text, release)
	}
	return nil
}

func spaced(text string) string {
	if text == "" {
		return ""
	}
	return " (" + text + ")"
}

// place gives the program its lasting name.
func (u *Updater) place(temp, sum string) error {
	releases := filepath.Join(u.dir, releasesDir)
	if err := syncDir(temp); err != nil {
		return err
	}
	if err := os.RemoveAll(filepath.Join(releases, sum)); err != nil {
		return err
	}
	if err := os.Rename(temp, filepath.Join(releases, sum)); err != nil {
		return err
	}
	return syncDir(releases)
}

// note writes the trial down and switches to it; what was refused before is
// over with.
func (u *Updater) note(release, sum string) error {
	u.mu.Lock()
	defer u.mu.Unlock()
	before := u.state
	u.state = state{Trial: &trial{Sum: sum, Release: release, Previous: u.running}}
	err := save(u.dir, u.state)
	if err == nil {
		err = u.turn(sum)
	}
	if err != nil {
		u.state = before
		u.keep()
		if back := point(u.dir, currentLink, u.running); back != nil {
			u.log.Error("the link to this release could not be put back", "error", back)
		}
		return err
	}
	u.next = sum
	return nil
}

// Restart has the program replaced now, when Receive has taken another one in:
// after the answer was sent. It does not wait.
func (u *Updater) Restart() {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.next == "" {
		return
	}
	select {
	case <-u.ready:
	default:
		close(u.ready)
	}
}

// explain says what an admin can mend.
func explain(err error) error {
	if errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) {
		return problem.New(problem.InsufficientResources, "the disk of the agent's programs is full; nothing was changed").Because(err)
	}
	var p *problem.Problem
	if errors.As(err, &p) {
		return err
	}
	return problem.New(problem.Internal, "the program could not be taken in: %s; nothing was changed", err).Because(err)
}
