package runtimetest

import (
	"strings"
	"testing"

	"github.com/berth-panel/berth/agent/runtime"
)

func fileTests() map[string]func(*testing.T, Harness) {
	return map[string]func(*testing.T, Harness){
		"of the image":        imageFiles,
		"that a program made": programFiles,
		"that are none":       noFiles,
		"up to a limit":       fileLimit,
		"behind links":        linkedFiles,
	}
}

func imageFiles(t *testing.T, h Harness) {
	id := create(t, h.Engine, h.spec("exit", "0"))
	read := func(when string) {
		t.Helper()
		for _, path := range []string{"/etc/passwd", "etc/passwd", "/etc/../etc//passwd", "/../../etc/passwd"} {
			text, err := h.Engine.ReadFile(t.Context(), id, path, 1<<20)
			must(t, "ReadFile "+path+" "+when, err)
			if string(text) != Passwd {
				t.Fatalf("%s %s holds %q", path, when, text)
			}
		}
	}
	read("before the start")
	must(t, "Start", h.Engine.Start(t.Context(), id))
	ended(t, h.Engine, id)
	read("after the end")
}

func programFiles(t *testing.T, h Harness) {
	id := h.ready(t, h.spec("write", "/tmp/name with spaces & ?#%", "content", "then", "idle"))
	var text []byte
	Eventually(t, "the file to be there", func() (there bool) {
		var err error
		text, err = h.Engine.ReadFile(t.Context(), id, "/tmp/name with spaces & ?#%", 100)
		return err == nil && len(text) > 0
	})
	if string(text) != "content" {
		t.Fatalf("the file holds %q", text)
	}
}

func noFiles(t *testing.T, h Harness) {
	id := create(t, h.Engine, h.spec("idle"))
	for _, path := range []string{"/etc/nope", "/nope/nope", "/etc/loop", "/etc/nowhere", "/etc/passwd/x"} {
		_, err := h.Engine.ReadFile(t.Context(), id, path, 100)
		refused(t, "ReadFile "+path, err, runtime.Missing)
	}
	for _, path := range []string{"/etc", "/", "", "/tmp/"} {
		_, err := h.Engine.ReadFile(t.Context(), id, path, 100)
		refused(t, "ReadFile of directory "+path, err, runtime.Missing)
	}
}

func fileLimit(t *testing.T, h Harness) {
	id := create(t, h.Engine, h.spec("idle"))
	for _, limit := range []int64{0, 1, 10, int64(len(Passwd)), int64(len(Passwd)) + 1, 1 << 40} {
		text, err := h.Engine.ReadFile(t.Context(), id, "/etc/passwd", limit)
		must(t, "ReadFile", err)
		if want := Passwd[:min(limit, int64(len(Passwd)))]; string(text) != want {
			t.Fatalf("with limit %d it gives %q, want %q", limit, text, want)
		}
	}
}

// linkedFiles: links are followed inside the container's root, also those that
// would lead out of it.
func linkedFiles(t *testing.T, h Harness) {
	id := create(t, h.Engine, h.spec("link", "/etc/passwd", "/tmp/absolute", "then", "link", "../etc/users", "/tmp/twice", "then", "exit", "0"))
	for _, path := range []string{"/etc/users", "/etc/out"} {
		text, err := h.Engine.ReadFile(t.Context(), id, path, 1<<20)
		must(t, "ReadFile "+path, err)
		if string(text) != Passwd {
			t.Fatalf("%s gives %q, want the container's own", path, text)
		}
	}
	must(t, "Start", h.Engine.Start(t.Context(), id))
	ended(t, h.Engine, id)
	for _, path := range []string{"/tmp/absolute", "/tmp/twice"} {
		text, err := h.Engine.ReadFile(t.Context(), id, path, 1<<20)
		must(t, "ReadFile "+path, err)
		if !strings.Contains(string(text), "app:x:1000") {
			t.Fatalf("%s gives %q, want the container's own", path, text)
		}
	}
}
