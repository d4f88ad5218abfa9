package runtimetest

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/berth-panel/berth/agent/runtime"
)

func lifeTests() map[string]func(*testing.T, Harness) {
	return map[string]func(*testing.T, Harness){
		"from made to removed":       wholeLife,
		"exit codes":                 exitCodes,
		"out of memory":              outOfMemory,
		"started again":              startedAgain,
		"list":                       list,
		"remove twice":               removeTwice,
		"remove at once":             removeAtOnce,
		"kill":                       kill,
		"ids that are none":          unknownIDs,
		"a name is taken once":       nameTaken,
		"specs that are refused":     refusedSpecs,
		"made at once":               madeAtOnce,
		"a name is free once it was": nameFreed,
		"what it is for":             roles,
	}
}

func wholeLife(t *testing.T, h Harness) {
	spec := h.spec("idle")
	spec.Generation, spec.SpecHash = 7, "abc"
	image, err := h.Engine.Image(t.Context(), h.Image)
	must(t, "Image", err)

	id := create(t, h.Engine, spec)
	c := inspect(t, h.Engine, id)
	want := runtime.Container{ID: id, Name: spec.Name, Instance: spec.Instance, Generation: 7, SpecHash: "abc", ImageID: image.ID, Status: runtime.Created,
		MemoryBytes: spec.MemoryBytes, NanoCPUs: spec.NanoCPUs, PidsLimit: spec.PidsLimit}
	if c != want {
		t.Fatalf("made, it is\n%+v, want\n%+v", c, want)
	}

	must(t, "Start", h.Engine.Start(t.Context(), id))
	c = inspect(t, h.Engine, id)
	if c.Status != runtime.Running || c.StartedAt.IsZero() || !c.FinishedAt.IsZero() || c.Error != "" {
		t.Fatalf("started, it is %+v", c)
	}
	must(t, "Start again", h.Engine.Start(t.Context(), id))
	if again := inspect(t, h.Engine, id); again != c {
		t.Fatalf("a second Start changed it from\n%+v to\n%+v", c, again)
	}

	must(t, "Stop", h.Engine.Stop(t.Context(), id, runtime.StopSpec{Grace: grace}))
	c = inspect(t, h.Engine, id)
	if c.Status != runtime.Exited || c.FinishedAt.Before(c.StartedAt) || c.OOMKilled {
		t.Fatalf("stopped, it is %+v", c)
	}

	must(t, "Remove", h.Engine.Remove(t.Context(), id))
	_, err = h.Engine.Inspect(t.Context(), id)
	refused(t, "Inspect", err, runtime.Missing)
	nothing(t, h.Engine)
}

func exitCodes(t *testing.T, h Harness) {
	for _, code := range []int{0, 1, 3, 255} {
		id := start(t, h.Engine, h.spec("exit", fmt.Sprint(code)))
		c := ended(t, h.Engine, id)
		if c.ExitCode != code || c.OOMKilled || c.Error != "" || c.FinishedAt.IsZero() {
			t.Errorf("a program that ends with %d leaves %+v", code, c)
		}
	}
}

func outOfMemory(t *testing.T, h Harness) {
	id := start(t, h.Engine, h.hog())
	c := ended(t, h.Engine, id)
	if (!c.OOMKilled && !h.BlindToOOM) || c.ExitCode != 137 {
		t.Fatalf("a program that took too much memory leaves %+v", c)
	}
	must(t, "Remove", h.Engine.Remove(t.Context(), id))
}

// hog is a container that takes more memory than it may. It waits a little
// first: an engine begins to watch a container's memory just after its start.
func (h Harness) hog() runtime.ContainerSpec {
	spec := h.spec("wait", "500", "then", "hog", "512")
	spec.MemoryBytes = 32 << 20
	return spec
}

func startedAgain(t *testing.T, h Harness) {
	id := start(t, h.Engine, h.spec("exit", "5"))
	first := ended(t, h.Engine, id)
	must(t, "Start again", h.Engine.Start(t.Context(), id))
	var second runtime.Container
	Eventually(t, "the second end", func() bool {
		second = inspect(t, h.Engine, id)
		return second.Status == runtime.Exited && second.FinishedAt.After(first.FinishedAt)
	})
	if second.ExitCode != 5 || !second.StartedAt.After(first.StartedAt) {
		t.Fatalf("the second run leaves %+v", second)
	}
}

func list(t *testing.T, h Harness) {
	nothing(t, h.Engine)
	made := create(t, h.Engine, h.spec("idle"))
	runs := start(t, h.Engine, h.spec("idle"))
	done := start(t, h.Engine, h.spec("exit", "4"))
	ended(t, h.Engine, done)
	found, err := h.Engine.List(t.Context())
	must(t, "List", err)
	if len(found) != 3 {
		t.Fatalf("List gives %d containers, want 3: %+v", len(found), found)
	}
	for _, id := range []runtime.ContainerID{made, runs, done} {
		i := slices.IndexFunc(found, func(c runtime.Container) bool { return c.ID == id })
		if i < 0 {
			t.Fatalf("List leaves out %s", id)
		}
		if one := inspect(t, h.Engine, id); found[i] != one {
			t.Fatalf("List says\n%+v, Inspect\n%+v", found[i], one)
		}
	}
	glanced(t, h.Engine)
	must(t, "Remove", h.Engine.Remove(t.Context(), runs))
	found, err = h.Engine.List(t.Context())
	must(t, "List", err)
	if len(found) != 2 {
		t.Fatalf("List gives %d containers after one was removed, want 2", len(found))
	}
}

// glanced checks that Glance says what Inspect says.
func glanced(t testing.TB, e runtime.Engine) {
	t.Helper()
	found, err := e.List(t.Context())
	must(t, "List", err)
	seen, err := e.Glance(t.Context())
	must(t, "Glance", err)
	if len(seen) != len(found) {
		t.Fatalf("Glance gives %d containers, List %d", len(seen), len(found))
	}
	for _, c := range found {
		want := runtime.Container{
			ID: c.ID, Name: c.Name, Instance: c.Instance, Role: c.Role, Generation: c.Generation, SpecHash: c.SpecHash, ImageID: c.ImageID,
			Status: c.Status, Network: c.Network,
		}
		if !slices.Contains(seen, want) {
			t.Fatalf("Glance says\n%+v, and leaves out\n%+v", seen, want)
		}
	}
}

func removeTwice(t *testing.T, h Harness) {
	for _, status := range []runtime.Status{runtime.Created, runtime.Running, runtime.Exited} {
		id := create(t, h.Engine, h.spec("idle"))
		if status != runtime.Created {
			must(t, "Start", h.Engine.Start(t.Context(), id))
		}
		if status == runtime.Exited {
			must(t, "Kill", h.Engine.Kill(t.Context(), id))
		}
		must(t, "Remove a container that is "+string(status), h.Engine.Remove(t.Context(), id))
		must(t, "Remove it again", h.Engine.Remove(t.Context(), id))
	}
	nothing(t, h.Engine)
}

func removeAtOnce(t *testing.T, h Harness) {
	id := start(t, h.Engine, h.spec("stubborn"))
	var group sync.WaitGroup
	for range 6 {
		group.Go(func() {
			if err := h.Engine.Remove(t.Context(), id); err != nil {
				t.Errorf("one of several Removes: %v", err)
			}
			if _, err := h.Engine.Inspect(t.Context(), id); runtime.ReasonOf(err) != runtime.Missing {
				t.Errorf("after a Remove, Inspect gives %v", err)
			}
		})
	}
	group.Wait()
	nothing(t, h.Engine)
}

func kill(t *testing.T, h Harness) {
	id := create(t, h.Engine, h.spec("stubborn"))
	must(t, "Kill one that never ran", h.Engine.Kill(t.Context(), id))
	if c := inspect(t, h.Engine, id); c.Status != runtime.Created {
		t.Fatalf("killing one that never ran left it %s", c.Status)
	}
	must(t, "Start", h.Engine.Start(t.Context(), id))
	must(t, "Kill", h.Engine.Kill(t.Context(), id))
	if c := inspect(t, h.Engine, id); c.Status != runtime.Exited || c.ExitCode != 137 || c.OOMKilled {
		t.Fatalf("killed, it is %+v", c)
	}
	must(t, "Kill again", h.Engine.Kill(t.Context(), id))
}

// unknownIDs tries what is no container's id, a container's name and the
// beginning of an id among it.
func unknownIDs(t *testing.T, h Harness) {
	spec := h.spec("idle")
	real := start(t, h.Engine, spec)
	for _, id := range []runtime.ContainerID{
		"", "x", "..", "../networks", "%2e%2e", "a/b?c=d", runtime.ContainerID(spec.Name), real[:12], real + "0",
		runtime.ContainerID(strings.Repeat("f", 64)), runtime.ContainerID(strings.Repeat("z", 5000)),
	} {
		ctx := t.Context()
		_, err := h.Engine.Inspect(ctx, id)
		refused(t, "Inspect", err, runtime.Missing)
		_, err = h.Engine.ReadFile(ctx, id, "/etc/passwd", 10)
		refused(t, "ReadFile", err, runtime.Missing)
		refused(t, "Start", h.Engine.Start(ctx, id), runtime.Missing)
		refused(t, "Stop", h.Engine.Stop(ctx, id, runtime.StopSpec{}), runtime.Missing)
		refused(t, "Kill", h.Engine.Kill(ctx, id), runtime.Missing)
		refused(t, "Repair", h.Engine.Repair(ctx, id, spec), runtime.Missing)
		must(t, "Remove", h.Engine.Remove(ctx, id))
	}
	if c := inspect(t, h.Engine, real); c.Status != runtime.Running {
		t.Fatalf("the container itself is %s after all that", c.Status)
	}
}

func nameTaken(t *testing.T, h Harness) {
	spec := h.spec("idle")
	id := create(t, h.Engine, spec)
	spec.Generation = 2
	_, err := h.Engine.Create(t.Context(), spec)
	refused(t, "Create", err, runtime.Conflict)
	if c := inspect(t, h.Engine, id); c.Generation != 1 {
		t.Fatalf("the first container became %+v", c)
	}
}

func nameFreed(t *testing.T, h Harness) {
	spec := h.spec("idle")
	first := start(t, h.Engine, spec)
	must(t, "Remove", h.Engine.Remove(t.Context(), first))
	if second := start(t, h.Engine, spec); second == first {
		t.Fatal("a new container has the id of an old one")
	}
}

func refusedSpecs(t *testing.T, h Harness) {
	info, err := h.Engine.Info(t.Context())
	must(t, "Info", err)
	for what, change := range map[string]func(*runtime.ContainerSpec){
		"no name":             func(s *runtime.ContainerSpec) { s.Name = "" },
		"a path for a name":   func(s *runtime.ContainerSpec) { s.Name = "../x" },
		"no instance":         func(s *runtime.ContainerSpec) { s.Instance = "" },
		"no image":            func(s *runtime.ContainerSpec) { s.Image = "" },
		"an unknown role":     func(s *runtime.ContainerSpec) { s.Role = "cook" },
		"no memory":           func(s *runtime.ContainerSpec) { s.MemoryBytes = 0 },
		"negative memory":     func(s *runtime.ContainerSpec) { s.MemoryBytes = -1 },
		"less than 6 MiB":     func(s *runtime.ContainerSpec) { s.MemoryBytes = 6<<20 - 1 },
		"no CPU":              func(s *runtime.ContainerSpec) { s.NanoCPUs = 0 },
		"negative CPU":        func(s *runtime.ContainerSpec) { s.NanoCPUs = -1e9 },
		"more than all cores": func(s *runtime.ContainerSpec) { s.NanoCPUs = int64(info.Cores+1) * 1e9 },
		"negative pids":       func(s *runtime.ContainerSpec) { s.PidsLimit = -1 },
		"port 0": func(s *runtime.ContainerSpec) {
			s.Ports = []runtime.Port{{HostIP: "0.0.0.0", Container: 1, Protocol: "tcp"}}
		},
		"container port 0": func(s *runtime.ContainerSpec) {
			s.Ports = []runtime.Port{{HostIP: "0.0.0.0", Host: 1, Protocol: "tcp"}}
		},
		"no address": func(s *runtime.ContainerSpec) { s.Ports = []runtime.Port{{Host: 1, Container: 1, Protocol: "tcp"}} },
		"an unknown protocol": func(s *runtime.ContainerSpec) {
			s.Ports = []runtime.Port{{HostIP: "::", Host: 1, Container: 1, Protocol: "icmp"}}
		},
		"a variable of no name":  func(s *runtime.ContainerSpec) { s.Env = []string{"=x"} },
		"a variable of no value": func(s *runtime.ContainerSpec) { s.Env = []string{"HOME"} },
		"NUL in a variable":      func(s *runtime.ContainerSpec) { s.Env = []string{"A=b\x00c"} },
		"NUL in a command":       func(s *runtime.ContainerSpec) { s.Command = []string{"a\x00b"} },
		"a relative directory":   func(s *runtime.ContainerSpec) { s.WorkingDir = "app" },
		"a relative source":      func(s *runtime.ContainerSpec) { s.Mounts = []runtime.Mount{{Source: "tmp", Target: "/x"}} },
		"a mount over the root":  func(s *runtime.ContainerSpec) { s.Mounts = []runtime.Mount{{Source: "/tmp", Target: "/x/.."}} },
		"a target twice": func(s *runtime.ContainerSpec) {
			s.Mounts = []runtime.Mount{{Source: "/tmp", Target: "/x"}, {Source: "/tmp", Target: "/x/"}}
		},
		"a port twice": func(s *runtime.ContainerSpec) {
			p := runtime.Port{HostIP: "0.0.0.0", Host: 1, Container: 1, Protocol: "tcp"}
			s.Ports = []runtime.Port{p, p}
		},
	} {
		spec := h.spec("idle")
		change(&spec)
		_, err := h.Engine.Create(t.Context(), spec)
		refused(t, what, err, runtime.InvalidSpec)
	}
	nothing(t, h.Engine)
}

func madeAtOnce(t *testing.T, h Harness) {
	spec := h.spec("idle")
	var group sync.WaitGroup
	var mu sync.Mutex
	reasons := map[runtime.Reason]int{}
	for range 8 {
		group.Go(func() {
			_, err := h.Engine.Create(t.Context(), spec)
			mu.Lock()
			defer mu.Unlock()
			reasons[runtime.ReasonOf(err)]++
		})
	}
	group.Wait()
	if reasons[""] != 1 || reasons[runtime.Conflict] != 7 {
		t.Fatalf("eight Creates of one name give %v, want one container and seven conflicts", reasons)
	}
}

// roles: an instance's containers are told apart by what they are for, wherever
// they are seen.
func roles(t *testing.T, h Harness) {
	s := watch(t, h.Engine)
	spec := h.spec("idle")
	main := start(t, h.Engine, spec)
	spec.Name, spec.Role = spec.Name+"-install", runtime.RoleInstall
	install := start(t, h.Engine, spec)
	for id, want := range map[runtime.ContainerID]runtime.Role{main: runtime.RoleMain, install: runtime.RoleInstall} {
		if c := inspect(t, h.Engine, id); c.Role != want || c.Instance != spec.Instance {
			t.Errorf("for %q, it is %+v", want, c)
		}
		Eventually(t, "its start to be told", func() bool { return slices.Contains(s.of(id), runtime.Started) })
		s.mu.Lock()
		for _, c := range s.changes {
			if c.ID == id && c.Role != want {
				t.Errorf("a change of it, for %q, says %+v", want, c)
			}
		}
		s.mu.Unlock()
	}
	glanced(t, h.Engine)
}
