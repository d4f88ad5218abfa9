package classic

import (
	"encoding/json"
	"reflect"
	"testing"
	"unicode/utf8"

	"github.com/berth-panel/berth/controller/image"
	"github.com/berth-panel/berth/controller/instance"
	"github.com/berth-panel/berth/shared/ident"
	"github.com/berth-panel/berth/shared/wire"
)

func FuzzAppendText(f *testing.F) {
	for _, s := range []string{"", "plain", `quo"te \ back`, "line\nbreak\ttab\x00nul\x1f\x7f", "héllo 世界 🎮", "\xff\xfe broken \xc3", "</script>\u2028\u2029", "{{VAR}}"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		var got, want string
		b := appendText([]byte("["), s)
		if err := json.Unmarshal(b[1:], &got); err != nil {
			t.Fatalf("%q became %s: %v", s, b, err)
		}
		standard, err := json.Marshal(s)
		if err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(standard, &want); err != nil {
			t.Fatal(err)
		}
		if got != want || !utf8.Valid(b) {
			t.Errorf("%q became %s, which is %q; want %q", s, b, got, want)
		}
	})
}

func TestInternalState(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		phase  instance.Phase
		actual wire.Actual
		want   InternalState
	}{
		{instance.Installing, wire.ActualUnknown, "INSTALLING"},
		{instance.Installing, wire.ActualRunning, "INSTALLING"},
		{instance.Ready, wire.ActualRunning, "READY"},
		{instance.Ready, wire.ActualStopped, "READY"},
		{instance.Ready, wire.ActualCrashed, "READY"},
		{instance.Ready, wire.ActualUnknown, "UNKNOWN"},
		{instance.Failed, wire.ActualUnknown, "FAILED"},
		{instance.Failed, wire.ActualRunning, "FAILED"},
		{instance.Deleting, wire.ActualRunning, "UNKNOWN"},
	} {
		if got := internalState(c.phase, c.actual); got != c.want {
			t.Errorf("%s, %s: %s, want %s", c.phase, c.actual, got, c.want)
		}
	}
}

// The instance's JSON, field by field and with hostile text in each.
func TestAppendInstance(t *testing.T) {
	t.Parallel()
	img := image.Image{ID: "img", Name: `Im"age`, Definition: image.Definition{References: []string{"nginx:1", "nginx:2"}, StopCommand: "^C"}}
	members, err := imageMembers(img)
	if err != nil {
		t.Fatal(err)
	}
	f := fragments{nodes: map[ident.Node][]byte{"node": []byte(`{"id":"node"}`)}, images: map[ident.Image][]byte{"img": members}}
	l := instance.Listed{
		ID: "0a1b2c3d", Name: "a\"b\\c\n\u2028é", Owner: `us"er`, Node: "node", Image: "img", Reference: "nginx:2", MemoryMiB: 512, NanoCPUs: 1_500_000_000, DiskMiB: 5120,
		Ports:     json.RawMessage(`[{"ip":"0.0.0.0","host":30001,"container":80},{"ip":"0.0.0.0","host":30002,"container":443,"primary":true}]`),
		Env:       json.RawMessage(`["A=1","B=\"q\""]`),
		Suspended: true, Phase: instance.Ready, Actual: wire.ActualStopped, Container: "cafe",
	}
	raw, ok, err := f.appendInstance(nil, &l)
	if err != nil || !ok {
		t.Fatal(ok, err)
	}
	var got map[string]any
	if err := json.Unmarshal(raw, &got); err != nil {
		t.Fatalf("%v: %s", err, raw)
	}
	whole, err := json.Marshal(img.ToClassic())
	if err != nil {
		t.Fatal(err)
	}
	var catalogue map[string]any
	if err := json.Unmarshal(whole, &catalogue); err != nil {
		t.Fatal(err)
	}
	want := map[string]any{
		"Name": "a\"b\\c\n\u2028é", "Id": "0a1b2c3d", "Node": map[string]any{"id": "node"}, "User": `us"er`, "InternalState": "READY",
		"ContainerId": "cafe", "VolumeId": "0a1b2c3d", "Memory": 512.0, "Cpu": 1.5, "Disk": 5120.0, "Ports": "80:30001,443:30002", "Primary": "443",
		"Image": "nginx:2", "AltImages": []any{"nginx:2"}, "StopCommand": "^C", "imageData": catalogue, "Env": []any{"A=1", `B="q"`}, "suspended": true,
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %v\nwant %v", got, want)
	}
}

func TestAppendInstanceWithNothingOptional(t *testing.T) {
	t.Parallel()
	f := fragments{nodes: map[ident.Node][]byte{"n": []byte(`{}`)}, images: map[ident.Image][]byte{"i": []byte(`"AltImages":[]`)}}
	raw, ok, err := f.appendInstance(nil, &instance.Listed{ID: "00000000", Node: "n", Image: "i", Phase: instance.Installing})
	if err != nil || !ok {
		t.Fatal(ok, err)
	}
	const want = `{"Name":"","Id":"00000000","Node":{},"User":"","InternalState":"INSTALLING","ContainerId":"","VolumeId":"00000000","Memory":0,"Cpu":0,"Disk":0,` +
		`"Ports":"","Primary":"","Image":"","AltImages":[],"Env":[],"suspended":false}`
	if string(raw) != want {
		t.Errorf("got  %s\nwant %s", raw, want)
	}
}

func TestAppendInstanceSkipsWhatIsGone(t *testing.T) {
	t.Parallel()
	f := fragments{nodes: map[ident.Node][]byte{"n": []byte(`{}`)}, images: map[ident.Image][]byte{"i": nil}}
	for _, l := range []instance.Listed{{Node: "n", Image: "other"}, {Node: "other", Image: "i"}} {
		raw, ok, err := f.appendInstance([]byte("before"), &l)
		if ok || err != nil || string(raw) != "before" {
			t.Errorf("%+v: %s, %v, %v", l, raw, ok, err)
		}
	}
}

func TestListedIsWhatAListHas(t *testing.T) {
	t.Parallel()
	i := instance.Instance{
		ID: "0a1b2c3d", Name: "n", Owner: "u", Node: "node", Image: "img", Reference: "r", MemoryMiB: 1, NanoCPUs: 2, DiskMiB: 3, Suspended: true,
		Phase: instance.Ready, Actual: wire.ActualRunning, Container: "c",
		Spec: wire.Spec{Env: []string{"A=<1>"}, Ports: []wire.Port{{IP: "0.0.0.0", Host: 1, Container: 2, Primary: true}}},
	}
	l, err := listed(i)
	if err != nil {
		t.Fatal(err)
	}
	want := instance.Listed{
		ID: "0a1b2c3d", Name: "n", Owner: "u", Node: "node", Image: "img", Reference: "r", MemoryMiB: 1, NanoCPUs: 2, DiskMiB: 3, Suspended: true,
		Phase: instance.Ready, Actual: wire.ActualRunning, Container: "c",
		DriftPolicy: wire.DriftRepair, Env: json.RawMessage(`["A=<1>"]`), Ports: json.RawMessage(`[{"ip":"0.0.0.0","host":1,"container":2,"primary":true}]`),
	}
	if !reflect.DeepEqual(l, want) {
		t.Errorf("got  %+v\nwant %+v", l, want)
	}
	i.Spec = wire.Spec{}
	if l, err = listed(i); err != nil || string(l.Env) != "[]" {
		t.Errorf("without an environment: %s, %v", l.Env, err)
	}
}
