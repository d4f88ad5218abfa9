package docker

import (
	"context"
	"errors"
	"io/fs"
	"net/http"
	"path"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/container"

	"github.com/berth-panel/berth/agent/runtime"
)

// Start starts a container, or lets one go on that somebody paused. It looks
// for the start command first: see the package's doc.
func (e *Engine) Start(ctx context.Context, id runtime.ContainerID) error {
	c, err := e.own(ctx, id)
	if err != nil {
		return err
	}
	if c.State.Paused {
		if err := e.unpause(ctx, c.ID); err != nil {
			return err
		}
	}
	switch {
	case e.startAgain(id):
		return nil
	case e.leaving(c):
		if err := e.awaitEnd(ctx, c.ID); err != nil {
			return err
		}
	case c.State.Running:
		return nil
	}
	e.openDoor(c)
	if err := e.findCommand(ctx, c); err != nil {
		return err
	}
	if err := e.welcome(ctx); err != nil {
		return err
	}
	err = e.api.ContainerStart(ctx, c.ID, container.StartOptions{})
	switch {
	case err == nil:
		return nil
	case errdefs.IsNotFound(err) && !noNetwork.MatchString(err.Error()):
		return missing(err)
	}
	if gone := broken(ctx, err); gone != nil {
		return gone
	}
	return e.withHolder(ctx, withPort(startFailure(err), c))
}

// withHolder says of a port that is allocated and that no container publishes what
// has it. An engine that was killed while it made a container keeps that one's ports
// for ever, and may lead them to whoever gets its address: nothing but its own
// restart ends that (seen with 20.10).
func (e *Engine) withHolder(ctx context.Context, f *runtime.Failure) *runtime.Failure {
	if f.Reason != runtime.PortInUse || f.Port == 0 || !portAllocated.MatchString(f.Unwrap().Error()) {
		return f
	}
	all, err := e.api.ContainerList(ctx, container.ListOptions{})
	if err != nil || slices.ContainsFunc(all, func(c container.Summary) bool {
		return slices.ContainsFunc(c.Ports, func(p container.Port) bool { return p.PublicPort == f.Port })
	}) {
		return f
	}
	leaked := runtime.Fail(runtime.PortInUse, f.Unwrap(), "port %d is kept by the container engine for a container that is gone: restart the container engine on this node", f.Port)
	leaked.Port = f.Port
	return leaked
}

// welcome fails as Unreachable when the engine takes no new connection. One that
// was told to end closes its door first, then stops its containers, and serves
// the connections that it has for as long as that takes: what is started in the
// middle of it leaves an endpoint behind that keeps its ports after the restart
// (seen with 20.10).
func (e *Engine) welcome(ctx context.Context) error {
	ctx, cancel := context.WithTimeoutCause(ctx, welcomeWithin, errNoWelcome)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://engine/_ping", nil)
	if err != nil {
		return err
	}
	answer, err := e.raw.Do(r) // it keeps no connections: each is a new one
	if err == nil {
		err = answer.Body.Close()
	}
	switch {
	case err == nil:
		return nil
	case errors.Is(context.Cause(ctx), errNoWelcome):
		err = errNoWelcome
	case ctx.Err() != nil:
		return ctx.Err()
	}
	return runtime.Fail(runtime.Unreachable, err, "the container engine takes no new connections: it is being stopped")
}

// welcomeWithin is how long a new connection may take to be answered: where a
// service manager holds the socket, nobody refuses it.
const welcomeWithin = 5 * time.Second

var errNoWelcome = errors.New("no answer on a new connection")

// withPort names the port of a failure that does not, where there is but one.
func withPort(f *runtime.Failure, c container.InspectResponse) *runtime.Failure {
	if f.Reason != runtime.PortInUse || f.Port != 0 || c.HostConfig == nil {
		return f
	}
	ports := map[string]bool{}
	for _, bindings := range c.HostConfig.PortBindings {
		for _, b := range bindings {
			ports[b.HostPort] = true
		}
	}
	if len(ports) == 1 {
		for port := range ports {
			return portInUse(f.Unwrap(), port, "program")
		}
	}
	return f
}

// commands remembers which commands were found in which images.
type commands struct {
	mu    sync.Mutex
	found map[string]bool
}

// mostCommands bounds the memory: owners choose commands.
const mostCommands = 1024

func (k *commands) has(key string) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.found[key]
}

func (k *commands) add(key string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.found == nil || len(k.found) >= mostCommands {
		k.found = map[string]bool{}
	}
	k.found[key] = true
}

// defaultPath is where Docker lets a command be looked for when neither image
// nor spec says.
const defaultPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

// findCommand fails when the start command is surely not in the container or
// can't be executed. In doubt it lets the start decide.
func (e *Engine) findCommand(ctx context.Context, c container.InspectResponse) error {
	command := startCommand(c)
	if command == "" {
		return nil
	}
	search := defaultPath
	for _, v := range c.Config.Env {
		if p, ok := strings.CutPrefix(v, "PATH="); ok {
			search = p
		}
	}
	key := strings.Join([]string{c.Image, command, c.Config.WorkingDir, search}, "\x00")
	if e.known.has(key) {
		return nil
	}
	why := "no such file or directory"
	for _, at := range candidates(command, c.Config.WorkingDir, search) {
		switch e.lookAt(ctx, c.ID, at) {
		case executable:
			if !mounted(c, at) {
				e.known.add(key)
			}
			return nil
		case undecided:
			return ctx.Err()
		case unfit:
			why = "permission denied"
		case absent:
		}
	}
	if e.lookAt(ctx, c.ID, "/") == absent {
		return ctx.Err() // no root: a mount is missing, which the start says better
	}
	return commandFailure(command, why, nil)
}

// candidates are the paths at which a command may be.
func candidates(command, dir, search string) []string {
	if path.IsAbs(command) {
		return []string{path.Clean(command)}
	}
	if strings.Contains(command, "/") {
		return []string{path.Join("/", dir, command)}
	}
	var out []string
	for _, d := range strings.Split(search, ":") {
		if !path.IsAbs(d) {
			d = path.Join("/", dir, d) // also "", which means the working directory
		}
		out = append(out, path.Join(d, command))
	}
	return out
}

// sight is what a look at a path found.
type sight int

const (
	undecided sight = iota
	absent
	unfit // there, and no program
	executable
)

func (e *Engine) lookAt(ctx context.Context, id, at string) sight {
	if strings.HasPrefix(at, "/proc/") || strings.HasPrefix(at, "/dev/") || strings.HasPrefix(at, "/sys/") {
		return undecided // filled only while it runs
	}
	found, err := e.api.ContainerStatPath(ctx, id, at)
	if err == nil && found.Mode&fs.ModeSymlink != 0 {
		if found.LinkTarget == "" || found.LinkTarget == at {
			return undecided
		}
		// The engine has followed all links on the way, inside the container.
		found, err = e.api.ContainerStatPath(ctx, id, found.LinkTarget)
	}
	switch {
	case errdefs.IsNotFound(err):
		return absent
	case err != nil || found.Mode&fs.ModeSymlink != 0:
		return undecided
	case !found.Mode.IsRegular() || found.Mode.Perm()&0o111 == 0:
		return unfit
	}
	return executable
}

// mounted says whether a path is inside one of the container's mounts, whose
// files come and go.
func mounted(c container.InspectResponse, at string) bool {
	for _, m := range c.Mounts {
		if at == m.Destination || strings.HasPrefix(at, strings.TrimSuffix(m.Destination, "/")+"/") {
			return true
		}
	}
	return false
}

func (e *Engine) unpause(ctx context.Context, id string) error {
	err := e.api.ContainerUnpause(ctx, id)
	if err != nil && !errdefs.IsConflict(err) {
		return failure(ctx, err, runtime.Unknown, "the paused container could not go on")
	}
	return nil
}
