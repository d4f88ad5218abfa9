package preset_test

import (
	"context"
	"fmt"
	"maps"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/berth-panel/berth/controller/access"
	"github.com/berth-panel/berth/controller/event"
	"github.com/berth-panel/berth/controller/image"
	"github.com/berth-panel/berth/controller/preset"
	"github.com/berth-panel/berth/controller/store"
	"github.com/berth-panel/berth/shared/ident"
	"github.com/berth-panel/berth/shared/problem"
)

type unused struct{}

func (unused) UsingImage(context.Context, store.Querier, ident.Image) (int, error) { return 0, nil }
func (unused) ReferencesOf(context.Context, store.Querier, ident.Image) ([]string, error) {
	return nil, nil
}

type bundle struct {
	t       *testing.T
	db      *store.DB
	images  *image.Service
	presets *preset.Service
	game    image.Image
	other   image.Image
}

var admin = access.Local()

func customer() access.Caller {
	return access.Caller{Actor: access.Actor{Via: access.ViaKey, User: "customer"}, Scopes: []access.Scope{access.ScopeAdmin}}
}

// setup has two images and no preset.
func setup(t *testing.T) *bundle {
	t.Helper()
	b := &bundle{t: t}
	db, err := store.Open(t.Context(), filepath.Join(t.TempDir(), "berth.db"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	b.db = db
	events := event.New(time.Now)
	b.images, b.presets = image.NewService(db, events, unused{}, time.Now), preset.NewService(db, events, time.Now)
	b.game = b.image("Game")
	b.other = b.image("Other")
	return b
}

func (b *bundle) image(name string) image.Image {
	b.t.Helper()
	i, err := b.images.Create(b.t.Context(), admin, image.Image{Name: name, Definition: image.Definition{
		References: []string{"example/game:1", "example/game:2"}, Commands: []image.Startup{{Name: "one", Line: "run"}, {Name: "two", Line: "walk"}},
		Variables: []image.Variable{{Name: "MAP", Rules: []string{"required", "max:5"}}, {Name: "TOKEN", Secret: true}, {Name: "INNER", Hidden: true}},
	}})
	if err != nil {
		b.t.Fatal(err)
	}
	return i
}

func settings() preset.PresetSettings {
	return preset.PresetSettings{Reference: "example/game:2", Startup: "two", Memory: 512, CPU: 0.5, Disk: 1024,
		Ports: []preset.PresetPort{{Container: 80}, {Container: 443, Primary: true}}, Variables: map[string]string{"MAP": "hills", "INNER": "x"}}
}

func (b *bundle) make(name string, edits ...func(*preset.Preset)) (preset.Preset, error) {
	p := preset.Preset{Image: b.game.ID, Name: name, PresetSettings: settings()}
	for _, edit := range edits {
		edit(&p)
	}
	return b.presets.Create(b.t.Context(), admin, p)
}

func (b *bundle) rows() map[string]int {
	b.t.Helper()
	out := map[string]int{}
	for _, table := range []string{"presets", "events"} {
		n, err := store.Count(b.t.Context(), b.db.Snapshot(), `SELECT COUNT(*) FROM `+table)
		if err != nil {
			b.t.Fatal(err)
		}
		out[table] = n
	}
	return out
}

// refused checks that f ends with the code and leaves nothing behind.
func (b *bundle) refused(what string, code problem.Code, f func() error) {
	b.t.Helper()
	before := b.rows()
	if err := f(); !problem.Is(err, code) {
		b.t.Errorf("%s: %v, want %s", what, err, code)
	}
	if after := b.rows(); !maps.Equal(before, after) {
		b.t.Errorf("%s left something behind: %v, before %v", what, after, before)
	}
}

func TestAPresetsLife(t *testing.T) {
	t.Parallel()
	b := setup(t)
	made, err := b.make("Small")
	if err != nil {
		t.Fatal(err)
	}
	got, err := b.presets.Get(t.Context(), admin, b.game.ID, made.ID)
	if err != nil || got.Name != "Small" || got.Memory != 512 || got.CPU != 0.5 || len(got.Ports) != 2 || !got.Ports[1].Primary || !maps.Equal(got.Variables, settings().Variables) {
		t.Fatalf("got %+v, %v", got, err)
	}
	if _, err := b.make("A smaller one"); err != nil {
		t.Fatal(err)
	}
	list, err := b.presets.List(t.Context(), admin, b.game.ID)
	if err != nil || len(list) != 2 || list[0].Name != "A smaller one" {
		t.Fatalf("listed %+v, %v", list, err)
	}
	changed, err := b.presets.Change(t.Context(), admin, b.game.ID, made.ID, func(p *preset.Preset) { p.Name, p.Memory = "SMALL", 640 })
	if err != nil || changed.Name != "SMALL" || changed.Memory != 640 || changed.Disk != 1024 {
		t.Fatalf("changed to %+v, %v", changed, err)
	}
	if err := b.presets.Delete(t.Context(), admin, b.game.ID, made.ID); err != nil {
		t.Fatal(err)
	}
	b.refused("a second time", problem.NotFound, func() error { return b.presets.Delete(t.Context(), admin, b.game.ID, made.ID) })
	if err := b.images.Delete(t.Context(), admin, b.game.ID); err != nil {
		t.Fatal(err)
	}
	if n := b.rows()["presets"]; n != 0 {
		t.Errorf("%d presets outlive their image", n)
	}
}

func TestBadPresets(t *testing.T) {
	t.Parallel()
	b := setup(t)
	if _, err := b.make("Taken"); err != nil {
		t.Fatal(err)
	}
	for what, c := range map[string]struct {
		code problem.Code
		edit func(*preset.Preset)
	}{
		"no name":                 {problem.Validation, func(p *preset.Preset) { p.Name = "" }},
		"a space at its end":      {problem.Validation, func(p *preset.Preset) { p.Name = "x " }},
		"a name that is taken":    {problem.Conflict, func(p *preset.Preset) { p.Name = "tAKEN" }},
		"another's reference":     {problem.Validation, func(p *preset.Preset) { p.Reference = "example/other:1" }},
		"no such start command":   {problem.Validation, func(p *preset.Preset) { p.Startup = "three" }},
		"no such variable":        {problem.Validation, func(p *preset.Preset) { p.Variables = map[string]string{"NOBODY": "x"} }},
		"a secret":                {problem.Validation, func(p *preset.Preset) { p.Variables = map[string]string{"TOKEN": "x"} }},
		"against a rule":          {problem.Validation, func(p *preset.Preset) { p.Variables = map[string]string{"MAP": "mountains"} }},
		"NUL":                     {problem.Validation, func(p *preset.Preset) { p.Variables = map[string]string{"MAP": "a\x00"} }},
		"too much":                {problem.Validation, func(p *preset.Preset) { p.Variables = map[string]string{"MAP": strings.Repeat("x", 33<<10)} }},
		"two primary ports":       {problem.Validation, func(p *preset.Preset) { p.Ports[0].Primary = true }},
		"no port":                 {problem.Validation, func(p *preset.Preset) { p.Ports[0].Container = 0 }},
		"an image that isn't one": {problem.NotFound, func(p *preset.Preset) { p.Image = "nobody" }},
	} {
		b.refused(what, c.code, func() error { _, err := b.make("New", c.edit); return err })
	}
}

// TestAPresetIsFoundThroughItsImage: its id alone opens nothing.
func TestAPresetIsFoundThroughItsImage(t *testing.T) {
	t.Parallel()
	b := setup(t)
	made, err := b.make("Small")
	if err != nil {
		t.Fatal(err)
	}
	b.refused("get", problem.NotFound, func() error { _, err := b.presets.Get(t.Context(), admin, b.other.ID, made.ID); return err })
	b.refused("change", problem.NotFound, func() error {
		_, err := b.presets.Change(t.Context(), admin, b.other.ID, made.ID, func(*preset.Preset) {})
		return err
	})
	b.refused("delete", problem.NotFound, func() error { return b.presets.Delete(t.Context(), admin, b.other.ID, made.ID) })
	if list, err := b.presets.List(t.Context(), admin, b.other.ID); err != nil || len(list) != 0 {
		t.Errorf("the other image lists %+v, %v", list, err)
	}
}

// TestWhatIsSecretByNow: an image may declare a variable hidden or secret later.
func TestWhatIsSecretByNow(t *testing.T) {
	t.Parallel()
	b := setup(t)
	made, err := b.make("Small")
	if err != nil {
		t.Fatal(err)
	}
	if p, err := b.presets.Get(t.Context(), customer(), b.game.ID, made.ID); err != nil || !maps.Equal(p.Variables, map[string]string{"MAP": "hills"}) {
		t.Errorf("a customer is shown %v, %v", p.Variables, err)
	}
	if _, err := b.images.Change(t.Context(), admin, b.game.ID, func(i *image.Image) error { i.Variables[0].Secret = true; return nil }); err != nil {
		t.Fatal(err)
	}
	for _, c := range []access.Caller{admin, customer()} {
		list, err := b.presets.List(t.Context(), c, b.game.ID)
		if err != nil || len(list) != 1 || strings.Contains(fmt.Sprint(list), "hills") {
			t.Errorf("shown %+v, %v", list, err)
		}
	}
	if _, err := b.presets.Change(t.Context(), admin, b.game.ID, made.ID, func(p *preset.Preset) { p.Name = "Smaller" }); err != nil {
		t.Errorf("it can't be changed any more: %v", err)
	}
}
