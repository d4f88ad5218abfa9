package instance_test

import (
	"encoding/json"
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/berth-panel/berth/controller/access"
	"github.com/berth-panel/berth/controller/allocation"
	"github.com/berth-panel/berth/controller/event"
	"github.com/berth-panel/berth/controller/image"
	"github.com/berth-panel/berth/controller/instance"
	"github.com/berth-panel/berth/controller/job"
	"github.com/berth-panel/berth/controller/preset"
	"github.com/berth-panel/berth/controller/store"
	"github.com/berth-panel/berth/shared/ident"
	"github.com/berth-panel/berth/shared/problem"
	"github.com/berth-panel/berth/shared/wire"
)

// egg is an image as an egg makes it, in the catalogue.
func (b *bundle) egg() ident.Image {
	b.t.Helper()
	return must(b.images.Create(b.t.Context(), b.admin, image.Image{Name: "Egg", Definition: image.Definition{
		References: []string{"example/egg:1", "example/egg:2"}, Launch: image.LaunchEntrypoint, Volume: "/home/container", StopCommand: "^^C",
		Commands: []image.Startup{{Name: "Default", Line: "run {{MOTD}}"}, {Name: "Debug", Line: "run --debug {{MOTD}}"}},
		Variables: []image.Variable{
			{Name: "MOTD", Rules: []string{"required", "max:20"}, Default: "hello"}, {Name: "SLOTS", Rules: []string{"integer", "between:1,64"}, Locked: true, Default: "8"},
			{Name: "TOKEN", Secret: true}, {Name: "INNER", Hidden: true, Default: "deep inside"},
		},
		Patches: []image.Patch{{Path: "server.cfg", Parser: wire.PatchFile, Set: []image.PatchSet{{Match: "slots ", Value: "slots {{SLOTS}}"}, {Match: "memory ", Value: "memory {{server.build.memory}}"}}}},
		Script:  &image.Script{Image: "example/installer:1", Text: "echo hi\r\n"},
	}}))(b.t).ID
}

// ofEgg deploys an instance of it that runs.
func (b *bundle) ofEgg(edits ...func(*instance.New)) instance.Instance {
	b.t.Helper()
	img := b.egg()
	return b.ready(append([]func(*instance.New){func(n *instance.New) {
		n.Image, n.Ports = img, []allocation.Mapping{{Host: 25565, Container: 25565, Primary: true}}
		n.Variables = map[string]string{"TOKEN": "very-secret", "INNER": "deeper still"}
	}}, edits...)...)
}

func TestAnEggsInstanceIsTold(t *testing.T) {
	t.Parallel()
	b := setup(t)
	i := b.ofEgg(func(n *instance.New) { n.Startup, n.Pull = "Debug", wire.PullAlways })
	told, _ := b.agents.told(i.ID)
	for _, want := range []string{"STARTUP=run --debug ${MOTD}", "SERVER_MEMORY=128", "SERVER_PORT=25565", "P_SERVER_LOCATION=a", "MOTD=hello", "SLOTS=8", "TOKEN=very-secret"} {
		if !slices.Contains(told.Env, want) {
			t.Errorf("the environment has no %s: %q", want, told.Env)
		}
	}
	if told.Volume != "/home/container" || len(told.Image.Command) != 0 || told.Image.Pull != wire.PullAlways || told.Stop.Signal != "SIGINT" {
		t.Errorf("told %+v", told)
	}
	if s := told.Install.Script; s == nil || s.Text != "echo hi\n" || s.Entrypoint != "bash" || !reflect.DeepEqual(s.Env, told.Env) || !slices.Equal(told.Install.Secrets, []string{"very-secret"}) {
		t.Errorf("the installation is %+v", told.Install)
	}
	if p := told.Patches; len(p) != 1 || string(p[0].Set[0].Value) != `"slots 8"` {
		t.Errorf("the files are %+v", p)
	}
}

func TestValuesAreCheckedWhenTheyComeIn(t *testing.T) {
	t.Parallel()
	b := setup(t)
	img := b.egg()
	got := b.nothing("bad values", problem.Validation, func() error {
		_, _, err := b.instances.Create(t.Context(), b.admin, b.order(func(n *instance.New) {
			n.Image, n.Variables = img, map[string]string{"MOTD": strings.Repeat("x", 21), "SLOTS": "many"}
		}))
		return err
	})
	if len(got.Fields) != 2 || got.Fields[0].Field != "variables.MOTD" || got.Fields[0].Rule != "max_text" || got.Fields[0].Params["than"] != "20" || got.Fields[1].Field != "variables.SLOTS" {
		t.Errorf("told %+v", got)
	}
	for field, edit := range map[string]func(*instance.New){
		"startup": func(n *instance.New) { n.Startup = "Nobody" }, "pull": func(n *instance.New) { n.Pull = "sometimes" },
		"digest": func(n *instance.New) { n.Digest = "sha256:abc" }, "preset": func(n *instance.New) { n.Preset = "nobody" }, "memory": func(n *instance.New) { n.MemoryMiB = 0 },
	} {
		got := b.nothing(field, problem.Validation, func() error {
			_, _, err := b.instances.Create(t.Context(), b.admin, b.order(func(n *instance.New) { n.Image = img; edit(n) }))
			return err
		})
		if len(got.Fields) != 1 || got.Fields[0].Field != field {
			t.Errorf("%s: %+v", field, got)
		}
	}
}

// TestAnImageThatAsksForMoreHoldsNobodyUp: what is checked is what comes in.
func TestAnImageThatAsksForMoreHoldsNobodyUp(t *testing.T) {
	t.Parallel()
	b := setup(t)
	i := b.ofEgg()
	must(b.images.Change(t.Context(), b.admin, i.Image, func(img *image.Image) error {
		img.Variables = append(img.Variables, image.Variable{Name: "NEW", Rules: []string{"required"}})
		img.Variables[0].Rules = []string{"max:1"}
		return nil
	}))(t)
	if _, _, err := b.instances.Change(t.Context(), b.admin, i.ID, instance.Patch{NanoCPUs: pointer(int64(1e9))}); err != nil {
		t.Errorf("its limits: %v", err)
	}
	b.carryOut(i.ID)
	b.nothing("a value that is bad by now", problem.Validation, func() error {
		_, _, err := b.instances.Change(t.Context(), b.admin, i.ID, instance.Patch{Variables: &map[string]string{"MOTD": "hi"}})
		return err
	})
}

func TestCustomersAndTheirVariables(t *testing.T) {
	t.Parallel()
	b := setup(t)
	i := b.ofEgg()
	for _, set := range []map[string]string{{"SLOTS": "9"}, {"INNER": "x"}, {"LD_PRELOAD": "x"}} {
		b.nothing("what isn't his", problem.Validation, func() error {
			_, _, err := b.instances.Change(t.Context(), b.owner, i.ID, instance.Patch{Variables: &set})
			return err
		})
	}
	for name, p := range map[string]instance.Patch{"pull": {Pull: pointer(wire.PullAlways)}, "digest": {Digest: pointer("")}, "pin": {Pin: pointer(true)}} {
		b.nothing(name, problem.Forbidden, func() error {
			_, _, err := b.instances.Change(t.Context(), b.owner, i.ID, p)
			return err
		})
	}
	o := must(b.instances.Edit(t.Context(), b.owner, i.ID, instance.Patch{Startup: pointer("Debug"), Variables: &map[string]string{"MOTD": "{{TOKEN}}", "TOKEN": "another one", "SLOTS": "8"}}))(t)
	if o.Restart != instance.RestartNeeded || o.Job.ID == "" {
		t.Errorf("it takes %s, job %q", o.Restart, o.Job.ID)
	}
	told := b.handed(i.ID)
	for _, want := range []string{"STARTUP=run --debug ${MOTD}", "MOTD={{TOKEN}}", "TOKEN=another one"} {
		if !slices.Contains(told.Env, want) {
			t.Errorf("the environment has no %s: %q", want, told.Env)
		}
	}
}

func TestWhoIsShownWhat(t *testing.T) {
	t.Parallel()
	b := setup(t)
	i := b.ofEgg()
	img := must(b.images.Get(t.Context(), i.Image))(t)
	subuser := b.user("subuser")
	subuser.Shares = map[ident.Instance][]access.Right{i.ID: {access.SeeInstance, access.EditInstance}}
	for name, c := range map[string]struct {
		caller access.Caller
		values map[string]string
	}{
		"an admin": {b.admin, map[string]string{"INNER": "deeper still"}}, "the owner": {b.owner, map[string]string{}}, "a subuser": {subuser, map[string]string{}},
	} {
		d := i.Detail().For(c.caller, img)
		text := string(must(json.Marshal(d))(t))
		if strings.Contains(text, "very-secret") || !maps.Equal(d.Variables, c.values) || !slices.Equal(d.Secrets, []string{"TOKEN"}) || !slices.Contains(d.Env, "TOKEN=********") {
			t.Errorf("%s is shown %s", name, text)
		}
		if shown := strings.Contains(text, "deeper still"); shown != (len(c.values) > 0) {
			t.Errorf("%s: what is hidden is shown: %t", name, shown)
		}
	}
	if d := i.Detail().For(b.user("stranger"), img); len(d.Env)+len(d.Variables)+len(d.Secrets) != 0 {
		t.Errorf("a stranger is shown %+v", d)
	}
	rows := b.texts(`SELECT data FROM events UNION ALL SELECT input FROM jobs UNION ALL SELECT line FROM job_lines`)
	if strings.Contains(strings.Join(rows, "\n"), "very-secret") {
		t.Error("an event or a job holds the secret")
	}
}

// TestWhatAChangeTakes: the answer, the job's log and the event say the same.
func TestWhatAChangeTakes(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		patch instance.Patch
		want  instance.RestartNeed
	}{
		"a name":             {instance.Patch{Name: pointer("other")}, instance.RestartNone},
		"the same value":     {instance.Patch{Variables: &map[string]string{"MOTD": "hello"}}, instance.RestartNone},
		"a value":            {instance.Patch{Variables: &map[string]string{"MOTD": "bye"}}, instance.RestartNeeded},
		"the start command":  {instance.Patch{Startup: pointer("Debug")}, instance.RestartNeeded},
		"the reference":      {instance.Patch{Reference: pointer("example/egg:2")}, instance.RestartNeeded},
		"the digest":         {instance.Patch{Digest: pointer("sha256:" + strings.Repeat("a", 64))}, instance.RestartNeeded},
		"the pull policy":    {instance.Patch{Pull: pointer(wire.PullAlways)}, instance.RestartLater},
		"the disk":           {instance.Patch{DiskMiB: pointer(int64(600))}, instance.RestartLive},
		"the processor":      {instance.Patch{NanoCPUs: pointer(int64(1e9))}, instance.RestartLive},
		"the drift policy":   {instance.Patch{Drift: pointer(wire.DriftReport)}, instance.RestartLive},
		"the memory":         {instance.Patch{MemoryMiB: pointer(int64(256))}, instance.RestartLater}, // a file names it
		"the ports":          {instance.Patch{Ports: &[]allocation.Mapping{{Host: 7000, Container: 7000, Primary: true}}}, instance.RestartNeeded},
		"limits and a value": {instance.Patch{MemoryMiB: pointer(int64(256)), Variables: &map[string]string{"MOTD": "bye"}}, instance.RestartNeeded},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := setup(t)
			i := b.ofEgg()
			o := must(b.instances.Edit(t.Context(), b.admin, i.ID, c.patch))(t)
			if o.Restart != c.want || (o.Job.ID == "") != (c.want == instance.RestartNone) {
				t.Fatalf("it takes %s, job %q; want %s", o.Restart, o.Job.ID, c.want)
			}
			events := b.texts(`SELECT data FROM events WHERE type = 'instance.updated'`)
			if len(events) != 1 || !strings.Contains(events[0], `"restart":"`+string(c.want)+`"`) {
				t.Errorf("the event says %q", events)
			}
			if lines := b.texts(`SELECT line FROM job_lines WHERE line LIKE 'update: %'`); c.want != instance.RestartNone && len(lines) != 1 {
				t.Errorf("the job's log says %q", lines)
			}
		})
	}
}

// TestALimitThatAnEggHearsOf takes effect at once; the program hears of it when it
// is started again.
func TestALimitThatAnEggHearsOf(t *testing.T) {
	t.Parallel()
	b := setup(t)
	i := b.ofEgg()
	must(b.images.Change(t.Context(), b.admin, i.Image, func(img *image.Image) error { img.Patches = nil; return nil }))(t)
	must(b.instances.Refresh(t.Context(), b.admin, i.ID))(t)
	b.carryOut(i.ID)
	o := must(b.instances.Edit(t.Context(), b.admin, i.ID, instance.Patch{MemoryMiB: pointer(int64(256))}))(t)
	told := b.handed(i.ID)
	if o.Restart != instance.RestartLive || told.Limits.MemoryMiB != 256 || !slices.Contains(told.Env, "SERVER_MEMORY=128") {
		t.Errorf("it takes %s: %+v", o.Restart, told)
	}
	b.carryOut(i.ID)
	_, _, err := b.instances.Power(t.Context(), b.admin, i.ID, instance.Restart)
	if err != nil {
		t.Fatal(err)
	}
	if told := b.handed(i.ID); !slices.Contains(told.Env, "SERVER_MEMORY=256") {
		t.Errorf("a restart tells it nothing: %q", told.Env)
	}
}

func TestAStoppedInstanceChangesAtItsNextStart(t *testing.T) {
	t.Parallel()
	b := setup(t)
	i := b.ofEgg(func(n *instance.New) { n.Stopped = true })
	o := must(b.instances.Edit(t.Context(), b.admin, i.ID, instance.Patch{Variables: &map[string]string{"MOTD": "bye"}, MemoryMiB: pointer(int64(256))}))(t)
	if told := b.handed(i.ID); o.Restart != instance.RestartLater || !slices.Contains(told.Env, "SERVER_MEMORY=256") {
		t.Errorf("it takes %s: %q", o.Restart, told.Env)
	}
}

func TestRefreshTakesTheNewerDefinition(t *testing.T) {
	t.Parallel()
	b := setup(t)
	i := b.ofEgg()
	n := must(b.nodes.Get(t.Context(), b.node))(t)
	img := must(b.images.Get(t.Context(), i.Image))(t)
	if old := must(i.Outdated(img, n))(t); old {
		t.Error("nothing has changed and it is outdated")
	}
	img = must(b.images.Change(t.Context(), b.admin, i.Image, func(img *image.Image) error {
		img.Description = "another word for it"
		return nil
	}))(t)
	if old := must(i.Outdated(img, n))(t); old {
		t.Error("a description makes it outdated")
	}
	img = must(b.images.Change(t.Context(), b.admin, i.Image, func(img *image.Image) error {
		img.Commands[0].Line = "run faster {{MOTD}}"
		return nil
	}))(t)
	if old := must(i.Outdated(img, n))(t); !old {
		t.Error("its start command has changed and it is not outdated")
	}
	stranger := b.user("stranger")
	b.nothing("a stranger", problem.NotFound, func() error {
		_, err := b.instances.Refresh(t.Context(), stranger, i.ID)
		return err
	})
	o := must(b.instances.Refresh(t.Context(), b.owner, i.ID))(t)
	if told := b.handed(i.ID); o.Restart != instance.RestartNeeded || !slices.Contains(told.Env, "STARTUP=run faster ${MOTD}") {
		t.Errorf("it takes %s: %q", o.Restart, told.Env)
	}
	b.carryOut(i.ID)
	b.ended(o.Job, job.Succeeded)
	if o := must(b.instances.Refresh(t.Context(), b.owner, i.ID))(t); o.Restart != instance.RestartNone || o.Job.ID != "" {
		t.Errorf("a second one takes %s", o.Restart)
	}
}

func TestPins(t *testing.T) {
	t.Parallel()
	b := setup(t)
	i := b.ofEgg()
	digest := "sha256:" + strings.Repeat("0a", 32)
	b.nothing("before its node has said what it runs", problem.Validation, func() error {
		_, err := b.instances.Edit(t.Context(), b.admin, i.ID, instance.Patch{Pin: pointer(true)})
		return err
	})
	o := must(b.instances.Edit(t.Context(), b.admin, i.ID, instance.Patch{Digest: &digest}))(t)
	if told := b.handed(i.ID); told.Image.Digest != digest || o.Instance.Digest != digest {
		t.Errorf("pinned to %q", told.Image.Digest)
	}
	b.carryOut(i.ID)
	b.ended(o.Job, job.Succeeded)
	o = must(b.instances.Edit(t.Context(), b.admin, i.ID, instance.Patch{Reference: pointer("example/egg:2")}))(t)
	if told := b.handed(i.ID); told.Image.Digest != "" || told.Image.Reference != "example/egg:2" {
		t.Errorf("another reference is still pinned: %+v", told.Image)
	}
	b.carryOut(i.ID)
	b.ended(o.Job, job.Succeeded)
	b.nothing("both", problem.Validation, func() error {
		_, err := b.instances.Edit(t.Context(), b.admin, i.ID, instance.Patch{Pin: pointer(false), Digest: &digest})
		return err
	})
}

func TestCloneHasTheSettingsAndNoFiles(t *testing.T) {
	t.Parallel()
	b := setup(t)
	i := b.ofEgg(func(n *instance.New) { n.Startup = "Debug" })
	must(b.instances.Edit(t.Context(), b.admin, i.ID, instance.Patch{Drift: pointer(wire.DriftReport), Crash: &image.CrashPolicy{Limit: 3},
		Network: &instance.InstanceNetworkBody{Allow: []string{"192.0.2.0/24"}}, IO: &instance.InstanceIOBody{ReadBytes: 1 << 20}}))(t)
	b.carryOut(i.ID)
	i = b.get(i.ID)
	b.nothing("its owner", problem.Forbidden, func() error {
		_, _, err := b.instances.Clone(t.Context(), b.owner, i.ID, instance.Copy{Name: "twin"})
		return err
	})
	ports := []allocation.Mapping{{Host: 25566, Container: 25565, Primary: true}}
	twin, j, err := b.instances.Clone(t.Context(), b.admin, i.ID, instance.Copy{Name: "twin", Node: b.node, Ports: &ports})
	if err != nil {
		t.Fatal(err)
	}
	b.carryOut(twin.ID)
	b.ended(j, job.Succeeded)
	twin = b.get(twin.ID)
	if twin.ID == i.ID || twin.Name != "twin" || twin.Owner != i.Owner || twin.Startup != "Debug" || !maps.Equal(twin.Variables, i.Variables) || twin.Crash.Limit != 3 || twin.Drift != wire.DriftReport {
		t.Errorf("the clone is %+v", twin)
	}
	was, is := i.Spec, twin.Spec
	if !reflect.DeepEqual(is.Network, was.Network) || is.Limits != was.Limits || is.Crash.Limit != 3 || is.Drift != was.Drift || is.Ports[0].Host != 25566 || is.Copied {
		t.Errorf("it is told %+v\nlike %+v", is, was)
	}
}

// texts reads one column.
func (b *bundle) texts(query string) []string {
	b.t.Helper()
	return must(store.Collect(b.t.Context(), b.db.Snapshot(), func(row func(...any) error) (s string, err error) { return s, row(&s) }, query))(b.t)
}

func TestAPresetGivesWhatIsLeftOut(t *testing.T) {
	t.Parallel()
	b := setup(t)
	img := b.egg()
	other := b.image
	presets := preset.NewService(b.db, event.New(time.Now), time.Now)
	p := must(presets.Create(t.Context(), b.admin, preset.Preset{Image: img, Name: "Small", PresetSettings: preset.PresetSettings{
		Reference: "example/egg:2", Startup: "Debug", Memory: 64, CPU: 0.25, Disk: 300, Ports: []preset.PresetPort{{Container: 80}, {Container: 443, Primary: true}},
		Variables: map[string]string{"MOTD": "preset", "SLOTS": "4"},
	}}))(t)
	b.pool(b.node, "6000-6010")
	order := instance.New{Name: "game", Owner: b.owner.User, Node: b.node, Image: img, Preset: p.ID, Variables: map[string]string{"SLOTS": "5"}, MemoryMiB: 96}
	i, _, err := b.instances.Create(t.Context(), b.admin, order)
	if err != nil {
		t.Fatal(err)
	}
	if i.Reference != "example/egg:2" || i.Startup != "Debug" || i.MemoryMiB != 96 || i.NanoCPUs != 25e7 || i.DiskMiB != 300 || !maps.Equal(i.Variables, map[string]string{"MOTD": "preset", "SLOTS": "5"}) {
		t.Errorf("made as %+v", i)
	}
	if ports := i.Spec.Ports; len(ports) != 2 || ports[0].Container != 80 || ports[0].Primary || ports[1].Container != 443 || !ports[1].Primary || ports[1].Host < 6000 {
		t.Errorf("its ports are %+v", i.Spec.Ports)
	}
	got := b.nothing("a preset of another image", problem.Validation, func() error {
		_, _, err := b.instances.Create(t.Context(), b.admin, b.order(func(n *instance.New) { n.Image, n.Preset = other, p.ID }))
		return err
	})
	if len(got.Fields) != 1 || got.Fields[0].Field != "preset" {
		t.Errorf("told %+v", got)
	}
}
