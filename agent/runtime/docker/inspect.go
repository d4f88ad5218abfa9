package docker

import (
	"context"
	"errors"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/filters"
	"github.com/docker/docker/api/types/network"
	"golang.org/x/sync/errgroup"

	"github.com/berth-panel/berth/agent/runtime"
	"github.com/berth-panel/berth/shared/ident"
)

// inspectAtOnce is how many containers List looks at together.
const inspectAtOnce = 8

// endedAtOnce is the longest life of a container whose command never began.
const endedAtOnce = 2 * time.Second

// Inspect looks at one container of this node.
func (e *Engine) Inspect(ctx context.Context, id runtime.ContainerID) (runtime.Container, error) {
	found, err := e.own(ctx, id)
	if err != nil {
		return runtime.Container{}, err
	}
	return e.container(ctx, found), nil
}

// own inspects a container and makes sure that it is this node's. Every verb
// goes through it before it acts.
func (e *Engine) own(ctx context.Context, id runtime.ContainerID) (container.InspectResponse, error) {
	if !isHex64(string(id)) {
		return container.InspectResponse{}, missing(nil)
	}
	found, err := e.api.ContainerInspect(ctx, string(id))
	switch {
	case errdefs.IsNotFound(err):
		return found, missing(err)
	case err != nil:
		return found, failure(ctx, err, runtime.Unknown, "the container engine could not look at the container")
	case found.ContainerJSONBase == nil || found.State == nil || found.Config == nil:
		return found, runtime.Fail(runtime.Unknown, nil, "the container engine does not say how the container is")
	case found.Config.Labels[labelNode] != string(e.node):
		return container.InspectResponse{}, runtime.Fail(runtime.Missing, errForeign, "the container is not this node's")
	}
	return found, nil
}

// errForeign marks the failure about a container that is there and isn't ours.
var errForeign = errors.New("it does not carry this node's label")

func missing(cause error) error {
	return runtime.Fail(runtime.Missing, cause, "the container is gone")
}

// List gives every container of this node. Those that vanish meanwhile are left
// out.
func (e *Engine) List(ctx context.Context) ([]runtime.Container, error) {
	known := e.remembered()
	summaries, err := e.api.ContainerList(ctx, container.ListOptions{All: true, Filters: e.mine()})
	if err != nil {
		return nil, failure(ctx, err, runtime.Unknown, "the container engine could not list containers")
	}
	looked := make([]*runtime.Container, len(summaries))
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(inspectAtOnce)
	for i, s := range summaries {
		group.Go(func() error {
			c, err := e.Inspect(ctx, runtime.ContainerID(s.ID))
			if runtime.ReasonOf(err) == runtime.Missing {
				return nil
			}
			looked[i] = &c
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return nil, err
	}
	list := make([]runtime.Container, 0, len(looked))
	for _, c := range looked {
		if c != nil {
			list = append(list, *c)
		}
	}
	e.tidy(known, summaries)
	return list, nil
}

// mine selects what carries this node's label.
func (e *Engine) mine() filters.Args {
	return filters.NewArgs(filters.Arg("label", labelNode+"="+string(e.node)))
}

// container translates what the engine says.
func (e *Engine) container(ctx context.Context, c container.InspectResponse) runtime.Container {
	generation, _ := strconv.ParseInt(c.Config.Labels[labelGeneration], 10, 64) // ours; 0 if somebody forged it
	out := runtime.Container{
		ID:         runtime.ContainerID(c.ID),
		Name:       trimSlash(c.Name),
		Instance:   ident.Instance(c.Config.Labels[labelInstance]),
		Role:       runtime.Role(c.Config.Labels[labelRole]),
		Generation: generation,
		SpecHash:   c.Config.Labels[labelSpec],
		MAC:        c.Config.Labels[labelMAC],
		ImageID:    c.Image,
		Status:     status(c.State.Status),
		ExitCode:   c.State.ExitCode,
		OOMKilled:  c.State.OOMKilled,
		StartedAt:  moment(c.State.StartedAt),
		FinishedAt: moment(c.State.FinishedAt),
		Pid:        c.State.Pid,
	}
	limits(&out, c)
	out.Health = health(c.State)
	if c.State.Running {
		e.openDoor(c)
	}
	e.show(&out)
	if c.State.Error != "" {
		out.Error = startFailure(errors.New(c.State.Error)).Message
	} else {
		out.Error = e.lastWordsOf(ctx, out)
	}
	return out
}

// health is what the image's own check says of a container that runs.
func health(s *container.State) runtime.Health {
	if s.Health == nil || !alive(s) {
		return ""
	}
	switch s.Health.Status {
	case container.Starting:
		return runtime.HealthStarting
	case container.Healthy:
		return runtime.Healthy
	case container.Unhealthy:
		return runtime.Unhealthy
	default: // "none": it is switched off
		return ""
	}
}

// limits fills in what the container is held by now.
func limits(out *runtime.Container, c container.InspectResponse) {
	if h := c.HostConfig; h != nil {
		out.MemoryBytes, out.NanoCPUs, out.PidsLimit = h.Memory, h.NanoCPUs, pidsLimit(h.PidsLimit)
		out.Restarts = h.RestartPolicy.Name != "" && h.RestartPolicy.Name != container.RestartPolicyDisabled
	}
	if n := c.NetworkSettings; n != nil {
		out.Network = networkNames(n.Networks)
	}
}

// pidsLimit reads Docker's: none at all where the kernel can't hold one, 0 or
// less where it was taken away.
func pidsLimit(limit *int64) int64 {
	switch {
	case limit == nil:
		return 0
	case *limit <= 0:
		return -1
	}
	return *limit
}

// networkNames puts the names together. "none" is Docker's word for no network.
func networkNames(networks map[string]*network.EndpointSettings) string {
	names := slices.Sorted(maps.Keys(networks))
	names = slices.DeleteFunc(names, func(n string) bool { return n == "none" })
	return strings.Join(names, ",")
}

// Glance gives every container of this node as one list of the engine tells it.
func (e *Engine) Glance(ctx context.Context) ([]runtime.Container, error) {
	summaries, err := e.api.ContainerList(ctx, container.ListOptions{All: true, Filters: e.mine()})
	if err != nil {
		return nil, failure(ctx, err, runtime.Unknown, "the container engine could not list containers")
	}
	list := make([]runtime.Container, 0, len(summaries))
	for _, s := range summaries {
		generation, _ := strconv.ParseInt(s.Labels[labelGeneration], 10, 64)
		c := runtime.Container{
			ID: runtime.ContainerID(s.ID), Instance: ident.Instance(s.Labels[labelInstance]), Role: runtime.Role(s.Labels[labelRole]), Generation: generation,
			SpecHash: s.Labels[labelSpec], MAC: s.Labels[labelMAC], ImageID: s.ImageID, Status: status(s.State),
		}
		for _, name := range s.Names {
			if !strings.Contains(trimSlash(name), "/") { // with one it is another container's link to it
				c.Name = trimSlash(name)
			}
		}
		if s.NetworkSettings != nil {
			c.Network = networkNames(s.NetworkSettings.Networks)
		}
		if c.Status == runtime.Running && e.holds.of(c.ID) != nil {
			c.Status = runtime.Exited
		}
		list = append(list, c)
	}
	return list, nil
}

// lastWordsOf reads why init could not start the command of a container that
// ended at once with a code that init ends with then.
func (e *Engine) lastWordsOf(ctx context.Context, c runtime.Container) string {
	if c.Status != runtime.Exited || c.FinishedAt.Sub(c.StartedAt) > endedAtOnce {
		return ""
	}
	if c.ExitCode != 1 && c.ExitCode != 126 && c.ExitCode != 127 {
		return ""
	}
	logs, err := e.api.ContainerLogs(ctx, string(c.ID), container.LogsOptions{ShowStdout: true, ShowStderr: true, Tail: "3"})
	if err != nil {
		return "" // removed meanwhile, or the engine went away: nothing is lost but the sentence
	}
	defer func() { _ = logs.Close() }()
	text, _ := io.ReadAll(io.LimitReader(logs, 16<<10))
	return lastWords(string(text))
}

func trimSlash(name string) string {
	if len(name) > 0 && name[0] == '/' {
		return name[1:]
	}
	return name
}

func status(s container.ContainerState) runtime.Status {
	switch s {
	case container.StateCreated:
		return runtime.Created
	case container.StateRunning:
		return runtime.Running
	case container.StatePaused:
		return runtime.Paused
	case container.StateRestarting:
		return runtime.Restarting
	case container.StateExited:
		return runtime.Exited
	default: // "removing", "dead"
		return runtime.Dead
	}
}

// moment reads a time of the engine's; the zero time for "never".
func moment(text string) time.Time {
	t, err := time.Parse(time.RFC3339Nano, text)
	if err != nil || t.Year() <= 1 {
		return time.Time{}
	}
	return t
}
