package image

import (
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/berth-panel/berth/shared/problem"
	"github.com/berth-panel/berth/shared/wire"
)

func TestReady(t *testing.T) {
	t.Parallel()
	d := Definition{References: []string{"a:1"}, ReadyLine: "Done (", ReadyLines: []string{"regex:^up$"}, StartTimeoutSeconds: 9}
	if err := d.check(); err != nil {
		t.Fatal(err)
	}
	if want := (wire.Ready{Lines: []string{"Done (", "regex:^up$"}, WithinSeconds: 9}); !reflect.DeepEqual(d.Ready(), want) {
		t.Errorf("%+v", d.Ready())
	}
	if r := (Definition{}).Ready(); r.Lines != nil || r.WithinSeconds != 0 {
		t.Errorf("%+v", r)
	}
	// One that was kept before there was a check is left out.
	if r := (Definition{ReadyLine: "regex:(", ReadyLines: []string{strings.Repeat("x", 513), "up"}}).Ready(); !slices.Equal(r.Lines, []string{"up"}) {
		t.Errorf("%+v", r)
	}
}

func TestReadyRefused(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(d *Definition){
		"ready_line":            func(d *Definition) { d.ReadyLine = "regex:(" },
		"ready_lines[1]":        func(d *Definition) { d.ReadyLines = []string{"fine", "two\nlines"} },
		"ready_lines[0]":        func(d *Definition) { d.ReadyLines = []string{""} },
		"ready_lines":           func(d *Definition) { d.ReadyLines = make([]string, 17) },
		"start_timeout_seconds": func(d *Definition) { d.StartTimeoutSeconds = -1 },
		"crash_policy.restart":  func(d *Definition) { d.Crash = &CrashPolicy{Restart: "x"} },
		"crash_policy.limit":    func(d *Definition) { d.Crash = &CrashPolicy{Limit: 1001} },
	} {
		d := Definition{References: []string{"a:1"}}
		change(&d)
		err := d.check()
		if p := problem.From(err); !problem.Is(err, problem.Validation) || len(p.Fields) != 1 || p.Fields[0].Field != name {
			t.Errorf("%s: %v", name, err)
		}
	}
}
