package docker

import (
	"errors"
	"io"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/berth-panel/berth/agent/runtime"
)

// TestPullSum plays a pull's stream: the sum over its layers, told at a pace.
func TestPullSum(t *testing.T) {
	t.Parallel()
	now := time.Unix(1000, 0)
	var told []runtime.PullProgress
	sum := newPullSum(func() time.Time { return now }, func(p runtime.PullProgress) { told = append(told, p) })
	stream := `{"status":"Pulling from a/b","id":"1"}
{"status":"Pulling fs layer","progressDetail":{},"id":"l1"}
{"status":"Already exists","progressDetail":{},"id":"l0"}
{"status":"Downloading","progressDetail":{"current":100,"total":1000},"progress":"[>  ]","id":"l1"}
{"status":"Downloading","progressDetail":{"current":300,"total":1000},"id":"l1"}
{"status":"Downloading","progressDetail":{"current":50,"total":500},"id":"l2"}
{"status":"Downloading","progressDetail":{"current":70},"id":"l3"}
{"status":"Verifying Checksum","progressDetail":{},"id":"l2"}
{"status":"Download complete","progressDetail":{},"id":"l2"}
{"status":"Download complete","progressDetail":{},"id":"l1"}
{"status":"Download complete","progressDetail":{},"id":"l3"}
{"status":"Extracting","progressDetail":{"current":10,"total":1000},"id":"l1"}
{"status":"Pull complete","progressDetail":{},"id":"l1"}
{"status":"Digest: sha256:0"}
{"status":"Status: Downloaded newer image for a/b:1"}
`
	lines := 0
	err := readStream(strings.NewReader(stream), func(m message) {
		lines++
		now = now.Add(progressEvery / 2)
		sum.add(m)
	})
	sum.tell()
	if err != nil || lines != 15 {
		t.Fatalf("the stream gave %d messages and %v", lines, err)
	}
	want := []runtime.PullProgress{
		{DoneBytes: 100, TotalBytes: 1000, Message: "Downloading"},
		{DoneBytes: 350, TotalBytes: 1500, Message: "Downloading"},
		{DoneBytes: 870, TotalBytes: 1570, Message: "Downloading"},
		{DoneBytes: 1570, TotalBytes: 1570, Message: "Downloading"},
		{DoneBytes: 1570, TotalBytes: 1570, Message: "Extracting"},
		{DoneBytes: 1570, TotalBytes: 1570, Message: "Extracting"}, // the last layer is done
	}
	layers := told[len(told)-1].Layers
	for i := range told {
		told[i].Layers = nil
	}
	if !reflect.DeepEqual(told, want) {
		t.Fatalf("told\n%v, want\n%v", told, want)
	}
	wantLayers := []runtime.LayerProgress{
		{ID: "l1", State: runtime.LayerDone, DoneBytes: 1000, TotalBytes: 1000},
		{ID: "l2", State: runtime.LayerDownloading, DoneBytes: 500, TotalBytes: 500},
		{ID: "l3", State: runtime.LayerDownloading, DoneBytes: 70, TotalBytes: 70},
	}
	if !reflect.DeepEqual(layers, wantLayers) {
		t.Fatalf("the layers are\n%v, want\n%v", layers, wantLayers)
	}
}

// TestPullSumQuiet: a pull that has nothing to fetch tells once, at its end.
func TestPullSumQuiet(t *testing.T) {
	t.Parallel()
	told := 0
	sum := newPullSum(func() time.Time { return time.Unix(1000, 0) }, func(p runtime.PullProgress) {
		told++
		if p.DoneBytes != 0 || p.TotalBytes != 0 || p.Message == "" {
			t.Errorf("told %+v", p)
		}
	})
	sum.add(message{Status: "Status: Image is up to date"})
	sum.tell()
	sum.tell()
	if told != 1 {
		t.Fatalf("told %d times, want once", told)
	}
}

func TestReadStream(t *testing.T) {
	t.Parallel()
	for stream, want := range map[string]string{
		``:                                "",
		`{"status":"a"}{"status":"b"}`:    "",
		`{"status":"a"}{"error":"short"}`: "short",
		`{"error":"short","errorDetail":{"message":"long"}}{"status":"unreached"}`: "long",
		`{"status":"a"}{"stat`: io.ErrUnexpectedEOF.Error(),
	} {
		err := readStream(strings.NewReader(stream), func(m message) {
			if m.Status == "unreached" {
				t.Error("a message after an error was handled")
			}
		})
		if got := text(err); got != want {
			t.Errorf("%s gives %q, want %q", stream, got, want)
		}
	}
	if err := readStream(strings.NewReader("<html>"), func(message) {}); err == nil || errors.Is(err, io.EOF) {
		t.Errorf("what is not JSON gives %v", err)
	}
}

func text(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}
