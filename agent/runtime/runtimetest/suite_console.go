package runtimetest

import (
	"errors"
	"io"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/berth-panel/berth/agent/runtime"
)

func consoleTests() map[string]func(*testing.T, Harness) {
	return map[string]func(*testing.T, Harness){
		"attached before the start":   attachedFirst,
		"two streams":                 twoStreams,
		"a terminal":                  terminal,
		"stdin":                       stdin,
		"stays open":                  stdinStaysOpen,
		"a terminal's size":           terminalSize,
		"the log":                     wholeLog,
		"the log since and the last":  partOfLog,
		"bytes that are not UTF-8":    notUTF8,
		"long lines":                  longLines,
		"over several runs":           severalRuns,
		"of a container that is gone": consoleGone,
		"detached":                    detached,
	}
}

// Heard is what an attachment gives, read in the background.
type Heard struct {
	mu     sync.Mutex
	out    strings.Builder
	err    strings.Builder
	failed error
}

// Listen reads an attachment until it ends.
func Listen(a runtime.Attachment) *Heard {
	h := &Heard{}
	go func() {
		p := make([]byte, 4<<10)
		for {
			n, stderr, err := a.Read(p)
			h.mu.Lock()
			if stderr {
				h.err.Write(p[:n])
			} else {
				h.out.Write(p[:n])
			}
			h.failed = err
			h.mu.Unlock()
			if err != nil {
				return
			}
		}
	}()
	return h
}

// Text is what came so far on stdout and on stderr, and why the stream ended.
func (h *Heard) Text() (out, err string, ended error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.out.String(), h.err.String(), h.failed
}

func attach(t testing.TB, e runtime.Engine, id runtime.ContainerID) runtime.Attachment {
	t.Helper()
	a, err := e.Attach(t.Context(), id)
	must(t, "Attach", err)
	t.Cleanup(func() { _ = a.Close() })
	return a
}

// hearAll starts a container that was attached to, and gives what came until its
// end.
func hearAll(t testing.TB, h Harness, spec runtime.ContainerSpec) (runtime.ContainerID, string, string) {
	t.Helper()
	id := create(t, h.Engine, spec)
	heard := Listen(attach(t, h.Engine, id))
	must(t, "Start", h.Engine.Start(t.Context(), id))
	Eventually(t, "the stream to end", func() bool { _, _, err := heard.Text(); return err != nil })
	out, errs, err := heard.Text()
	if !errors.Is(err, io.EOF) {
		t.Fatalf("the stream ended with %v, want EOF", err)
	}
	return id, out, errs
}

func numbered(n int) string {
	var b strings.Builder
	for i := range n {
		b.WriteString("line " + strconv.Itoa(i+1) + "\n")
	}
	return b.String()
}

func attachedFirst(t *testing.T, h Harness) {
	_, out, errs := hearAll(t, h, h.spec("lines", "5000"))
	if want := numbered(5000); out != want || errs != "" {
		t.Fatalf("%d bytes came, want %d, and %q on stderr", len(out), len(want), errs)
	}
}

func twoStreams(t *testing.T, h Harness) {
	id, out, errs := hearAll(t, h, h.spec("say", `one\n`, "then", "cry", `two\nthr`))
	if out != "one\n" || errs != "two\nthr" {
		t.Fatalf("stdout gave %q, stderr %q", out, errs)
	}
	var kinds string
	for _, part := range logOf(t, h, id, runtime.LogRange{}) {
		if part.Stderr {
			kinds += "err:" + string(part.Text)
		} else {
			kinds += "out:" + string(part.Text)
		}
	}
	// The order between the two is the engine's; a line without end may get one in
	// the log.
	if !strings.Contains(kinds, "out:one\n") || !strings.Contains(kinds, "err:two\n") || !strings.Contains(kinds, "err:thr") {
		t.Fatalf("the log holds %q", kinds)
	}
}

func terminal(t *testing.T, h Harness) {
	spec := h.spec("say", `one\n\x1b[31mtwo\x1b[0m\n`, "then", "cry", `three\n`)
	spec.TTY = true
	_, out, errs := hearAll(t, h, spec)
	if text := strings.ReplaceAll(out, "\r\n", "\n"); text != "one\n\x1b[31mtwo\x1b[0m\nthree\n" || errs != "" {
		t.Fatalf("the terminal gave %q, and %q on stderr", out, errs)
	}
}

func stdin(t *testing.T, h Harness) {
	for _, tty := range []bool{false, true} {
		spec := h.spec("answer")
		spec.TTY = tty
		id := create(t, h.Engine, spec)
		a := attach(t, h.Engine, id)
		heard := Listen(a)
		must(t, "Start", h.Engine.Start(t.Context(), id))
		for _, line := range []string{"hello", "", "ünïcode"} {
			must(t, "SetWriteDeadline", a.SetWriteDeadline(time.Now().Add(Patience)))
			_, err := a.Write([]byte(line + "\n"))
			must(t, "Write", err)
			Eventually(t, "the answer to "+line, func() bool {
				out, _, _ := heard.Text()
				return strings.Contains(strings.ReplaceAll(out, "\r\n", "\n"), "you said "+line+"\n")
			})
		}
		_, err := a.Write([]byte("stop\n"))
		must(t, "Write", err)
		if c := ended(t, h.Engine, id); c.ExitCode != 0 {
			t.Fatalf("it ended with %d", c.ExitCode)
		}
	}
}

// stdinStaysOpen when the one who wrote to it has gone.
func stdinStaysOpen(t *testing.T, h Harness) {
	id := start(t, h.Engine, h.spec("answer"))
	for _, line := range []string{"first", "second"} {
		a := attach(t, h.Engine, id)
		heard := Listen(a)
		_, err := a.Write([]byte(line + "\n"))
		must(t, "Write", err)
		Eventually(t, "the answer", func() bool { out, _, _ := heard.Text(); return strings.Contains(out, "you said "+line) })
		must(t, "Close", a.Close())
	}
	if c := inspect(t, h.Engine, id); c.Status != runtime.Running {
		t.Fatalf("it is %+v", c)
	}
}

func terminalSize(t *testing.T, h Harness) {
	spec := h.spec("size")
	spec.TTY = true
	id := create(t, h.Engine, spec)
	refused(t, "Resize before the start", h.Engine.Resize(t.Context(), id, 10, 20), runtime.Conflict)
	a := attach(t, h.Engine, id)
	heard := Listen(a)
	must(t, "Start", h.Engine.Start(t.Context(), id))
	must(t, "Resize", h.Engine.Resize(t.Context(), id, 33, 101))
	if h.Address != "" { // programs really run
		_, err := a.Write([]byte("?\n"))
		must(t, "Write", err)
		Eventually(t, "the size", func() bool { out, _, _ := heard.Text(); return strings.Contains(out, "size 33 101") })
	}
	plain := start(t, h.Engine, h.spec("idle"))
	must(t, "Resize of no terminal", h.Engine.Resize(t.Context(), plain, 33, 101))
	_, err := h.Engine.Attach(t.Context(), runtime.ContainerID(strings.Repeat("0", 64)))
	refused(t, "Attach to none", err, runtime.Missing)
}

// logOf reads a log into memory.
func logOf(t testing.TB, h Harness, id runtime.ContainerID, which runtime.LogRange) []runtime.LogPart {
	t.Helper()
	var parts []runtime.LogPart
	must(t, "Log", h.Engine.Log(t.Context(), id, which, func(p runtime.LogPart) error {
		p.Text = []byte(string(p.Text))
		parts = append(parts, p)
		return nil
	}))
	return parts
}

func textOf(parts []runtime.LogPart) string {
	var b strings.Builder
	for _, p := range parts {
		b.Write(p.Text)
	}
	return b.String()
}

func wholeLog(t *testing.T, h Harness) {
	for _, tty := range []bool{false, true} {
		before := time.Now().Add(-time.Hour) // the engine's clock may be another
		spec := h.spec("lines", "3000")
		spec.TTY = tty
		id := create(t, h.Engine, spec)
		if parts := logOf(t, h, id, runtime.LogRange{}); len(parts) != 0 {
			t.Fatalf("before the start the log holds %q", textOf(parts))
		}
		must(t, "Start", h.Engine.Start(t.Context(), id))
		ended(t, h.Engine, id)
		var parts []runtime.LogPart
		Eventually(t, "the log to be whole", func() bool {
			parts = logOf(t, h, id, runtime.LogRange{})
			return len(parts) >= 3000
		})
		if text := strings.ReplaceAll(textOf(parts), "\r\n", "\n"); text != numbered(3000) {
			t.Fatalf("the log is %d bytes in %d parts", len(text), len(parts))
		}
		last := before
		for i, p := range parts {
			if p.At.Before(last) {
				t.Fatalf("part %d is of %s, the one before of %s", i, p.At, last)
			}
			last = p.At
		}
	}
}

func partOfLog(t *testing.T, h Harness) {
	id := start(t, h.Engine, h.spec("lines", "100"))
	ended(t, h.Engine, id)
	var all []runtime.LogPart
	Eventually(t, "the log to be whole", func() bool { all = logOf(t, h, id, runtime.LogRange{}); return len(all) == 100 })
	if last := logOf(t, h, id, runtime.LogRange{Last: 7}); textOf(last) != textOf(all[93:]) {
		t.Fatalf("the last seven are %q", textOf(last))
	}
	for _, from := range []int{0, 1, 50, 99} {
		since := logOf(t, h, id, runtime.LogRange{Since: all[from].At})
		first := from
		for first > 0 && all[first-1].At.Equal(all[from].At) {
			first--
		}
		if textOf(since) != textOf(all[first:]) {
			t.Fatalf("since part %d it gives %d parts, want %d", from, len(since), len(all)-first)
		}
	}
	if later := logOf(t, h, id, runtime.LogRange{Since: all[99].At.Add(time.Nanosecond)}); len(later) != 0 {
		t.Fatalf("after its end it gives %q", textOf(later))
	}
	stopped := errors.New("enough")
	n := 0
	err := h.Engine.Log(t.Context(), id, runtime.LogRange{}, func(runtime.LogPart) error {
		n++
		return stopped
	})
	if !errors.Is(err, stopped) || n != 1 {
		t.Fatalf("a handler that has enough: %d calls, then %v", n, err)
	}
}

func notUTF8(t *testing.T, h Harness) {
	text := `\xff\xfe\x00 \xe2\x82 \xc3\n`
	raw := "\xff\xfe\x00 \xe2\x82 \xc3\n"
	id, out, _ := hearAll(t, h, h.spec("say", text))
	if out != raw {
		t.Fatalf("the stream gave %q", out)
	}
	Eventually(t, "the log to hold the bytes as they were", func() bool { return textOf(logOf(t, h, id, runtime.LogRange{})) == raw })
}

func longLines(t *testing.T, h Harness) {
	for _, tty := range []bool{false, true} {
		long := strings.Repeat("0123456789abcdef", 40<<10/16)
		spec := h.spec("say", long+`\nshort\n`+long[:runtime.LogPartSize]+`\nunended`)
		spec.TTY = tty
		id := start(t, h.Engine, spec)
		ended(t, h.Engine, id)
		Eventually(t, "the log to hold the whole of it", func() bool {
			parts := logOf(t, h, id, runtime.LogRange{})
			for _, p := range parts {
				t.Log(tty, len(p.Text), p.At, string(p.Text[max(0, len(p.Text)-20):]))
			}
			for _, p := range parts {
				if len(p.Text) != runtime.LogPartSize && !strings.HasSuffix(string(p.Text), "\n") {
					t.Fatalf("a part of %d bytes does not end its line", len(p.Text))
				}
			}
			want := long + "\nshort\n" + long[:runtime.LogPartSize] + "\nunended\n"
			return strings.ReplaceAll(textOf(parts), "\r\n", "\n") == want
		})
	}
}

func severalRuns(t *testing.T, h Harness) {
	id, out, _ := hearAll(t, h, h.spec("say", `again\n`))
	heard := Listen(attach(t, h.Engine, id))
	must(t, "Start", h.Engine.Start(t.Context(), id))
	Eventually(t, "the second run", func() bool { text, _, err := heard.Text(); return err != nil && text == out })
	Eventually(t, "the log of both", func() bool { return textOf(logOf(t, h, id, runtime.LogRange{})) == "again\nagain\n" })
}

func consoleGone(t *testing.T, h Harness) {
	id := start(t, h.Engine, h.spec("idle"))
	heard := Listen(attach(t, h.Engine, id))
	must(t, "Remove", h.Engine.Remove(t.Context(), id))
	Eventually(t, "the stream to end", func() bool { _, _, err := heard.Text(); return err != nil })
	_, err := h.Engine.Attach(t.Context(), id)
	refused(t, "Attach", err, runtime.Missing)
	refused(t, "Log", h.Engine.Log(t.Context(), id, runtime.LogRange{}, func(runtime.LogPart) error { return nil }), runtime.Missing)
	refused(t, "Resize", h.Engine.Resize(t.Context(), id, 1, 1), runtime.Missing)
}

// detached ends a Read that waits, and leaves the container be.
func detached(t *testing.T, h Harness) {
	id := start(t, h.Engine, h.spec("idle"))
	a := attach(t, h.Engine, id)
	heard := Listen(a)
	must(t, "Close", a.Close())
	Eventually(t, "the reader to learn of it", func() bool { _, _, err := heard.Text(); return err != nil })
	if c := inspect(t, h.Engine, id); c.Status != runtime.Running {
		t.Fatalf("it is %+v", c)
	}
}
