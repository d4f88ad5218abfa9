package console

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"github.com/berth-panel/berth/agent/runtime"
	"github.com/berth-panel/berth/agent/runtime/fake"
	"github.com/berth-panel/berth/agent/runtime/runtimetest"
	"github.com/berth-panel/berth/shared/problem"
	"github.com/berth-panel/berth/shared/wire"
)

// fill says so many lines.
func (w *world) fill(n int) {
	w.t.Helper()
	w.states.set(one, wire.ActualStopped)
	c := w.room.of(one)
	for i := 0; i < n; i += 500 {
		c.add(numberedEntries(i+1, min(500, n-i)))
	}
}

func numberedEntries(from, n int) []entry {
	list := make([]entry, n)
	for i := range list {
		list[i] = entry{at: time.Unix(int64(from+i), 0).UTC(), source: wire.ConsoleOut, text: fmt.Sprint("line ", from+i)}
	}
	return list
}

func (c *client) upTo(seq int64) {
	c.t.Helper()
	c.until(fmt.Sprint("line ", seq), func(wire.ConsoleFrame) bool {
		return len(c.seen) > 0 && c.seen[len(c.seen)-1].Seq >= seq
	})
}

func TestBacklog(t *testing.T) {
	t.Parallel()
	w := setup(t)
	w.fill(2500)
	all := w.dial("")
	first := all.until("the record's name", func(f wire.ConsoleFrame) bool { return f.Record != "" })
	if first.Last != 2500 {
		t.Errorf("the newest line is %d", first.Last)
	}
	state := all.until("the state", func(f wire.ConsoleFrame) bool { return f.State != nil })
	if state.State.Actual != wire.ActualStopped {
		t.Errorf("the state is %+v", state.State)
	}
	all.upTo(2500)
	if all.seen[0].Seq != 1501 || all.seen[0].Text != "line 1501" || !all.seen[0].At.Equal(time.Unix(1501, 0)) {
		t.Errorf("it begins with %+v", all.seen[0])
	}
	for query, want := range map[string]int64{
		"?after=0": 1, "?after=7": 8, "?after=2499": 2500, "?after=7&record=" + all.record: 8,
		"?after=7&record=another": 1501, "?after=99999": 1501,
	} {
		c := w.dial(query)
		c.upTo(2500)
		if c.seen[0].Seq != want || len(c.missed) > 0 {
			t.Errorf("%s begins with %d, missed %v", query, c.seen[0].Seq, c.missed)
		}
	}
	end := w.dial("?after=2500")
	w.room.of(one).add(numberedEntries(2501, 1))
	end.upTo(2501)
	if len(end.seen) != 1 {
		t.Errorf("after the end came %d lines", len(end.seen))
	}
}

// Who asks for what is gone is told so, and gets the newest lines.
func TestBacklogThatIsGone(t *testing.T) {
	t.Parallel()
	w := setup(t)
	w.states.set(one, wire.ActualRunning)
	c := w.room.of(one)
	for i := range 30 {
		list := make([]entry, 100)
		for j := range list {
			list[j] = entry{at: time.Unix(int64(i), 0), text: strings.Repeat("x", 8<<10)}
		}
		c.add(list)
	}
	reader := w.dial("?after=1")
	reader.upTo(3000)
	if len(reader.missed) != 1 || reader.missed[0].From != 2 || reader.missed[0].To != reader.seen[0].Seq-1 {
		t.Errorf("missed %+v, then line %d", reader.missed, reader.seen[0].Seq)
	}
	if kept := 3000 - reader.seen[0].Seq + 1; kept > wire.ConsoleBacklog || kept < 700 {
		t.Errorf("%d lines came", kept)
	}
}

func TestStates(t *testing.T) {
	t.Parallel()
	w := setup(t)
	w.states.set(one, wire.ActualStarting)
	c := w.dial("")
	for _, actual := range []wire.Actual{wire.ActualStarting, wire.ActualRunning, wire.ActualCrashed} {
		w.states.set(one, actual)
		c.until("the state "+string(actual), func(f wire.ConsoleFrame) bool { return f.State != nil && f.State.Actual == actual })
	}
	w.states.set(one, "")
	<-drained(c)
	var closed *websocket.CloseError
	if !asClose(c.err, &closed) || closed.Code != websocket.CloseGoingAway || closed.Text == "" {
		t.Errorf("it ended with %v", c.err)
	}
}

func asClose(err error, into **websocket.CloseError) bool {
	closed, ok := err.(*websocket.CloseError) //nolint:errorlint // as gorilla gives it
	*into = closed
	return ok
}

func TestCommands(t *testing.T) {
	t.Parallel()
	w := setup(t)
	w.engine.SetProgram(func(runtime.ContainerSpec) fake.Program {
		return fake.Program{Answers: func(line string) string { return "you said " + line + "\n" }}
	})
	id := w.run(true)
	c := w.dial("")
	c.send(command("1", "hello"))
	c.until("the answer", func(f wire.ConsoleFrame) bool { return f.Done == "1" })
	c.line("you said hello")
	if n := len(c.seen); n != 2 || c.seen[0].Source != wire.ConsoleIn || c.seen[0].Text != "hello" {
		t.Errorf("the lines are %+v", c.seen)
	}
	c.send(command("", "quietly"))
	c.line("you said quietly")
	c.send(wire.ConsoleInput{Ref: "2", Size: &wire.ConsoleSize{Rows: 40, Columns: 120}})
	c.until("the size", func(f wire.ConsoleFrame) bool { return f.Done == "2" })
	if rows, columns := w.engine.Size(id); rows != 40 || columns != 120 {
		t.Errorf("the terminal has %d rows, %d columns", rows, columns)
	}
	if status := w.post(`{"command":"posted"}`); status != http.StatusNoContent {
		t.Errorf("a post is answered %d", status)
	}
	c.line("you said posted")

	refused := func(in wire.ConsoleInput, code problem.Code) {
		t.Helper()
		c.send(in)
		f := c.until("a refusal", func(f wire.ConsoleFrame) bool { return f.Error != nil })
		if f.Error.Code != string(code) || f.Error.Ref != in.Ref || f.Error.Message == "" {
			t.Errorf("%+v is refused with %+v, want %s", in, f.Error, code)
		}
	}
	refused(command("a", "two\nlines"), problem.Validation)
	refused(command("b", "nul\x00"), problem.Validation)
	refused(command("c", strings.Repeat("x", wire.ConsoleCommand+1)), problem.TooLarge)
	refused(wire.ConsoleInput{Ref: "d"}, problem.BadRequest)
	refused(wire.ConsoleInput{Ref: "e", Size: &wire.ConsoleSize{Rows: 0, Columns: 1}}, problem.Validation)
	w.states.set(one, wire.ActualStopped)
	w.engine.Crash(id, 0)
	refused(command("f", "too late"), problem.Conflict)
	if status := w.post(`{"command":"too late"}`); status != http.StatusConflict {
		t.Errorf("a post is answered %d", status)
	}
	if got := w.texts(wire.ConsoleIn); len(got) != 3 {
		t.Errorf("commands in the record: %q", got)
	}
}

func (w *world) post(body string) int {
	w.t.Helper()
	request, err := http.NewRequestWithContext(w.t.Context(), http.MethodPost, w.server.URL+"/"+string(one), strings.NewReader(body))
	if err != nil {
		w.t.Fatal(err)
	}
	response, err := w.server.Client().Do(request)
	if err != nil {
		w.t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	_, _ = io.Copy(io.Discard, response.Body)
	return response.StatusCode
}

// Commands of many at once stay whole.
func TestCommandsDontMix(t *testing.T) {
	t.Parallel()
	w := setup(t)
	id := w.run(false)
	var group sync.WaitGroup
	for i := range 8 {
		group.Go(func() {
			for j := range 25 {
				if err := w.room.of(one).command(t.Context(), strings.Repeat(fmt.Sprint(i), 50+j)); err != nil {
					t.Error(err)
				}
			}
		})
	}
	group.Wait()
	got := w.engine.Lines(id)
	if len(got) != 200 {
		t.Fatalf("%d lines came", len(got))
	}
	for i, text := range got {
		if strings.Trim(text, text[:1]) != "" || text != w.texts(wire.ConsoleIn)[i] {
			t.Errorf("line %d is %q", i, text)
		}
	}
}

// A program that does not read costs its own commands a wait, and nothing else.
func TestDeafProgram(t *testing.T) {
	t.Parallel()
	w := setup(t)
	id := w.run(false)
	w.engine.SetDeaf(id, true)
	err := w.room.of(one).command(t.Context(), "hello?")
	if p := problem.From(err); err == nil || p.Code != problem.ResourceBusy {
		t.Errorf("it is answered %v", err)
	}
	w.engine.SetDeaf(id, false)
	if err := w.room.of(one).command(t.Context(), "hello!"); err != nil {
		t.Error(err)
	}
	if got := w.engine.Lines(id); len(got) != 1 || got[0] != "hello!" {
		t.Errorf("it read %q", got)
	}
}

// halting is a stdin that takes some bytes and then none until it is let go on.
type halting struct {
	runtime.Attachment
	room  int
	taken bytes.Buffer
}

func (h *halting) SetWriteDeadline(time.Time) error { return nil }

func (h *halting) Write(p []byte) (int, error) {
	n := min(len(p), h.room)
	h.room -= n
	h.taken.Write(p[:n])
	if n < len(p) {
		return n, os.ErrDeadlineExceeded
	}
	return n, nil
}

// Half a command is never the beginning of another.
func TestHalfACommand(t *testing.T) {
	t.Parallel()
	w := setup(t)
	w.states.set(one, wire.ActualRunning)
	c := w.room.of(one)
	stdin := &halting{room: 3}
	s := c.newSession("box")
	close(s.over)
	s.live = &live{stream: stdin}
	if err := c.command(t.Context(), "first"); err == nil {
		t.Error("it was taken whole")
	}
	if err := c.command(t.Context(), "lost"); err == nil {
		t.Error("it was taken at all")
	}
	stdin.room = 100
	if err := c.command(t.Context(), "second"); err != nil {
		t.Error(err)
	}
	if got := stdin.taken.String(); got != "first\nsecond\n" {
		t.Errorf("stdin got %q", got)
	}
	s.live = nil
}

// What is no message gets an error, and the socket lives on.
func TestGarbage(t *testing.T) {
	t.Parallel()
	w := setup(t)
	w.run(false)
	c := w.dial("")
	refused := func(kind int, message string, code problem.Code) {
		t.Helper()
		if err := c.conn.WriteMessage(kind, []byte(message)); err != nil {
			t.Fatal(err)
		}
		f := c.until("a refusal", func(f wire.ConsoleFrame) bool { return f.Error != nil })
		if f.Error.Code != string(code) {
			t.Errorf("%.40q is refused with %s, want %s", message, f.Error.Code, code)
		}
	}
	for _, message := range []string{"", "{", "null", "[]", "7", `"x"`, `{"command":7}`, `{"size":{"rows":-1}}`, `{}{}`, "\xff\xfe", strings.Repeat("[", 5000)} {
		refused(websocket.TextMessage, message, problem.BadRequest)
	}
	refused(websocket.BinaryMessage, `{"command":"x"}`, problem.BadRequest)
	refused(websocket.TextMessage, `{"command":"`+strings.Repeat("x", softLimit)+`"}`, problem.TooLarge)
	refused(websocket.TextMessage, strings.Repeat("x", 200<<10), problem.TooLarge)
	c.send(command("1", "still here"))
	c.until("the answer", func(f wire.ConsoleFrame) bool { return f.Done == "1" })

	for range mostWrong + 1 { // in a row: it is cut off
		if c.conn.WriteMessage(websocket.TextMessage, []byte("nonsense")) != nil {
			break
		}
	}
	<-drained(c)
	other := w.dial("")
	if err := other.conn.WriteMessage(websocket.TextMessage, make([]byte, hardLimit+1)); err == nil {
		<-drained(other)
	}
	last := w.dial("") // the agent lives on
	last.send(command("2", "and here"))
	last.until("the answer", func(f wire.ConsoleFrame) bool { return f.Done == "2" })
}

// Ten thousand messages as fast as they can be sent are answered one by one.
func TestFlood(t *testing.T) {
	t.Parallel()
	w := setup(t)
	w.run(false)
	c := w.dial("")
	const n = 10_000
	go func() {
		for i := range n {
			message := command(fmt.Sprint(i), "x")
			if i%2 == 0 {
				message = wire.ConsoleInput{Ref: fmt.Sprint(i), Size: &wire.ConsoleSize{}}
			}
			if c.conn.WriteJSON(message) != nil {
				return
			}
		}
	}()
	answers := 0
	c.until("all answers", func(f wire.ConsoleFrame) bool {
		if f.Done != "" || f.Error != nil {
			answers++
		}
		return answers == n
	})
}

func TestLimitsOfReaders(t *testing.T) {
	t.Parallel()
	w := setup(t, func(o *Options) { o.PerInstance, o.PerNode = 2, 3 })
	w.states.set(one, wire.ActualRunning)
	w.dial("").until("the record", func(f wire.ConsoleFrame) bool { return f.Record != "" })
	second := w.dial("")
	second.until("the record", func(f wire.ConsoleFrame) bool { return f.Record != "" })
	_, response, err := websocket.DefaultDialer.Dial("ws"+strings.TrimPrefix(w.server.URL, "http")+"/"+string(one), nil)
	if err == nil || response == nil || response.StatusCode != http.StatusTooManyRequests {
		t.Fatalf("a third is answered %v, %v", response, err)
	}
	_ = response.Body.Close()
	_ = second.conn.Close()
	runtimetest.Eventually(t, "room for another", func() bool {
		conn, response, err := websocket.DefaultDialer.Dial("ws"+strings.TrimPrefix(w.server.URL, "http")+"/"+string(one), nil)
		if err == nil {
			_ = conn.Close()
		} else if response != nil {
			_ = response.Body.Close()
		}
		return err == nil
	})
}

func TestWrongCalls(t *testing.T) {
	t.Parallel()
	w := setup(t)
	w.states.set(one, wire.ActualRunning)
	for call, want := range map[string]int{
		"GET /00000002": 404, "GET /00000001/deeper": 404, "PUT /00000001": 405, "GET /00000001": 400,
		"GET /00000001?after=x": 422, "GET /00000001?after=-1": 422, "POST /00000001": 400,
	} {
		method, path, _ := strings.Cut(call, " ")
		request, err := http.NewRequestWithContext(t.Context(), method, w.server.URL+path, http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		response, err := w.server.Client().Do(request)
		if err != nil {
			t.Fatal(err)
		}
		_ = response.Body.Close()
		if response.StatusCode != want {
			t.Errorf("%s is answered %d, want %d", call, response.StatusCode, want)
		}
	}
}

// A reader that takes nothing is passed over, and holds up nobody.
func TestSlowReader(t *testing.T) {
	t.Parallel()
	w := setup(t, func(o *Options) { o.Patience, o.Behind = time.Hour, 1 })
	w.states.set(one, wire.ActualRunning)
	slow := w.dialSlowly()
	quick := w.dial("?after=0")
	const n = 2000 // more than a record and a connection hold together
	go w.burst(n)
	quick.upTo(n)
	go slow.read()
	slow.upTo(n)
	if len(slow.missed) == 0 {
		t.Error("the slow one was told of nothing that it missed")
	}
	go func() {
		_ = slow.conn.Close()
		for range slow.frames {
		}
	}()
	<-slow.closed
}

// dialSlowly is dialQuietly from the first line on, for one whose connection holds
// little.
func (w *world) dialSlowly() *client {
	w.t.Helper()
	slow := w.dialQuietly("?after=0")
	if err := slow.conn.NetConn().(*net.TCPConn).SetReadBuffer(64 << 10); err != nil {
		w.t.Fatal(err)
	}
	return slow
}

// burst records lines of 8 KiB.
func (w *world) burst(n int) {
	text := strings.Repeat("x", 8<<10)
	for range n / 50 {
		list := make([]entry, 50)
		for i := range list {
			list[i] = entry{at: time.Unix(1, 0), source: wire.ConsoleOut, text: text}
		}
		w.room.of(one).add(list)
	}
}

// A burst that is larger than a record reaches a reader whole that takes it in
// later; then the record is as large as it was.
func TestLateReader(t *testing.T) {
	t.Parallel()
	w := setup(t, func(o *Options) { o.Patience = time.Hour })
	w.states.set(one, wire.ActualRunning)
	late := w.dialSlowly()
	const n = 2000
	w.burst(n)
	go late.read()
	late.upTo(n)
	if len(late.missed) > 0 || late.seen[0].Seq != 1 {
		t.Errorf("it begins with line %d and misses %v", late.seen[0].Seq, late.missed)
	}
	go func() {
		_ = late.conn.Close()
		for range late.frames {
		}
	}()
	<-late.closed
	runtimetest.Eventually(t, "the record to be small again", func() bool {
		c := w.room.of(one)
		c.mu.Lock()
		defer c.mu.Unlock()
		bytes := int64(0)
		for _, s := range c.record.segments {
			bytes += s.size
		}
		return len(c.readers) == 0 && bytes <= wire.ConsoleBytes
	})
}

func TestSilentReaderIsCutOff(t *testing.T) {
	t.Parallel()
	w := setup(t, func(o *Options) { o.Ping, o.Patience = 50*time.Millisecond, 5*time.Second })
	w.states.set(one, wire.ActualRunning)
	lively := w.dial("")
	silent := w.dialQuietly("") // it never reads, and so never answers a ping
	runtimetest.Eventually(t, "the silent one to be gone", func() bool {
		c := w.room.of(one)
		c.mu.Lock()
		defer c.mu.Unlock()
		return len(c.readers) == 1
	})
	w.room.Say(one, "there?")
	lively.line("there?")
	_ = silent.conn.Close()
}

func TestDismiss(t *testing.T) {
	t.Parallel()
	w := setup(t)
	w.states.set(one, wire.ActualRunning)
	c := w.dial("")
	c.until("the record", func(f wire.ConsoleFrame) bool { return f.Record != "" })
	w.room.Dismiss()
	<-drained(c)
	ctx, cancel := context.WithTimeout(t.Context(), runtimetest.Patience)
	defer cancel()
	_, response, err := websocket.DefaultDialer.DialContext(ctx, "ws"+strings.TrimPrefix(w.server.URL, "http")+"/"+string(one), nil)
	if err == nil || response == nil || response.StatusCode != http.StatusServiceUnavailable {
		t.Fatalf("another is answered %v, %v", response, err)
	}
	_ = response.Body.Close()
}

// What is encoded by hand is what encoding/json makes of it.
func TestAppendLine(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"", "plain ~", `"quoted\"`, "\x1b[31mred\x1b[0m\t", "<b>&amp;</b>", "ünï😀", "\x00\x7f\u2028\ufffd"} {
		for _, at := range []time.Time{time.Unix(0, 0), time.Unix(1, 5e8), time.Date(2026, 11, 22, 12, 0, 0, 123456789, time.FixedZone("", 3600))} {
			l := wire.ConsoleLineFrame{Seq: 7, At: at.UTC(), Source: wire.ConsoleErr, Text: text, Part: text == ""}
			want, err := json.Marshal(l)
			if err != nil {
				t.Fatal(err)
			}
			var a, b wire.ConsoleLineFrame
			got := appendLine(nil, &l)
			if json.Unmarshal(got, &a) != nil || json.Unmarshal(want, &b) != nil || a != b {
				t.Errorf("%s, want %s", got, want)
			}
		}
	}
}
