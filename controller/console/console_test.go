package console_test

import (
	"fmt"
	"net"
	"net/http"
	"strings"
	"testing"

	"github.com/gorilla/websocket"

	"github.com/berth-panel/berth/controller/access"
	"github.com/berth-panel/berth/controller/console"
	"github.com/berth-panel/berth/controller/event"
	"github.com/berth-panel/berth/controller/identity"
	"github.com/berth-panel/berth/controller/instance"
	"github.com/berth-panel/berth/shared/wire"
)

// whole fails unless the lines are those from first to last, each once.
func whole(t testing.TB, lines []wire.ConsoleLineFrame, first, last int64) {
	t.Helper()
	if int64(len(lines)) != last-first+1 {
		t.Fatalf("%d lines instead of %d to %d", len(lines), first, last)
	}
	for n, line := range lines {
		if seq := first + int64(n); line.Seq != seq || line.Text != fmt.Sprintf("line %d", seq) {
			t.Fatalf("the %dth is %+v", n, line)
		}
	}
}

func TestConsoleShowsTheBacklogAndWhatComes(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.printer.print(2500)
	v := b.look(b.read, "")
	if m := v.kind("record"); m.Record != "r1" {
		t.Errorf("%+v", m)
	}
	if m := v.kind("state"); m.Status == "" || m.Node != "online" {
		t.Errorf("%+v", m)
	}
	lines, missed := v.upTo(2500)
	whole(t, lines, 1501, 2500)
	if missed != nil {
		t.Errorf("older lines are told as missed: %v", missed)
	}
	b.printer.print(3)
	lines, _ = v.upTo(2503)
	whole(t, lines, 2501, 2503)
	b.printer.change(func() { b.printer.tail = "> " })
	if m := v.kind("tail"); m.Text != "> " {
		t.Errorf("%+v", m)
	}
	b.printer.change(func() { b.printer.state.Actual = wire.ActualStopping; b.printer.states++ })
	v.next("the state", func(m message) bool { return m.Type == "state" && m.Node == "online" })
	second := b.look(b.admin, "")
	lines, _ = second.upTo(2503)
	whole(t, lines, 1504, 2503)
	if m := second.kind("tail"); m.Text != "> " {
		t.Errorf("a tail that is there already: %+v", m)
	}
	if b.printer.streams() != 1 {
		t.Errorf("%d streams for two viewers", b.printer.streams())
	}
	_ = v.conn.Close()
	_ = second.conn.Close()
	b.until("the node's stream is closed", func() bool { return b.printer.streams() == 0 })
	b.until("nothing is kept", func() bool { feeds, kept := console.Watched(b.consoles); return feeds == 0 && kept == 0 })
}

func TestEachLineComesOnceOverBreaks(t *testing.T) {
	t.Parallel()
	b := setup(t, console.Quick)
	b.printer.print(10)
	v := b.look(b.key, "")
	lines, _ := v.upTo(10)
	for n := range 5 {
		b.printer.drop()
		b.printer.print(100)
		more, missed := v.upTo(int64(10 + 100*(n+1)))
		lines = append(lines, more...)
		if missed != nil {
			t.Errorf("%v", missed)
		}
	}
	whole(t, lines, 1, 510)
	b.agent.Stop()
	v.next("the node is away", func(m message) bool { return m.Type == "state" && m.Node == "offline" && m.Message != "" })
	v.say(`{"type":"command","ref":"x","command":"hello"}`)
	if m := v.answer("x"); m.Type != "error" || m.Code != "NODE_OFFLINE" {
		t.Errorf("%+v", m)
	}
	b.printer.print(5)
	b.agent.Start(t)
	lines, _ = v.upTo(515)
	whole(t, lines, 511, 515)
	_ = v.conn.Close()
	v = b.look(b.read, "?after=500&record=r1")
	lines, missed := v.upTo(515)
	whole(t, lines, 501, 515)
	if missed != nil {
		t.Errorf("%v", missed)
	}
}

func TestRecordThatBeginsAnew(t *testing.T) {
	t.Parallel()
	b := setup(t, console.Quick)
	b.printer.print(50)
	v := b.look(b.read, "")
	v.upTo(50)
	b.printer.again("r2")
	b.printer.print(3)
	if m := v.next("another record", func(m message) bool { return m.Type == "record" }); m.Record != "r2" {
		t.Fatalf("%+v", m)
	}
	lines, missed := v.upTo(3)
	whole(t, lines, 1, 3)
	if missed != nil {
		t.Errorf("%v", missed)
	}
	late := b.look(b.read, "?after=40&record=r1") // what he had is of no use
	if m := late.kind("record"); m.Record != "r2" {
		t.Errorf("%+v", m)
	}
	lines, _ = late.upTo(3)
	whole(t, lines, 1, 3)
}

func TestOlderLinesComeOverAStreamOfTheirOwn(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.printer.print(9000)
	first := b.look(b.read, "")
	first.upTo(9000)
	v := b.look(b.read, "?after=100")
	lines, missed := v.upTo(9000)
	whole(t, lines, 101, 9000)
	if missed != nil {
		t.Errorf("%v", missed)
	}
	b.printer.forget(500)
	v = b.look(b.read, "?after=100&record=r1")
	lines, missed = v.upTo(9000)
	whole(t, lines, 501, 9000)
	if len(missed) != 1 || missed[0].From != 101 || missed[0].To != 500 {
		t.Errorf("%+v", missed)
	}
	b.until("only the shared stream is left", func() bool { return b.printer.streams() == 1 })
}

func TestSlowViewerIsPassedOver(t *testing.T) {
	t.Parallel()
	b := setup(t, console.Sparing)
	stuck := b.look(b.read, "") // reads nothing
	if err := stuck.conn.NetConn().(*net.TCPConn).SetReadBuffer(64 << 10); err != nil {
		t.Fatal(err)
	}
	quick := b.look(b.read, "")
	quick.kind("record")
	text := strings.Repeat("x", 4000)
	const lines = 3000 // 12 MB: more than the kernel's buffers and what is kept of somebody behind
	const burst = 500  // less than is kept, so that nobody quick is passed over
	for n := int64(0); n < lines; n += burst {
		b.printer.change(func() {
			for range burst {
				b.printer.add(wire.ConsoleOut, text)
			}
		})
		if got, missed := quick.upTo(n + burst); len(got) != burst || missed != nil {
			t.Fatalf("the quick one got %d lines, missed %v", len(got), missed)
		}
		b.printer.forget(burst)
	}
	_, kept := console.Watched(b.consoles)
	if kept > 4<<20 {
		t.Errorf("%d MiB are kept for one who is stuck", kept>>20)
	}
	got, missed := stuck.upTo(lines)
	if len(missed) == 0 {
		t.Fatal("nothing was missed")
	}
	at := int64(0)
	have := map[int64]bool{}
	for _, line := range got {
		have[line.Seq] = true
	}
	for _, m := range missed {
		for seq := m.From; seq <= m.To; seq++ {
			if have[seq] {
				t.Fatalf("line %d came and was missed", seq)
			}
			have[seq] = true
		}
	}
	for at = 1; at <= lines; at++ {
		if !have[at] {
			t.Fatalf("line %d neither came nor was missed", at)
		}
	}
}

func TestCommands(t *testing.T) {
	t.Parallel()
	b := setup(t, console.Quick)
	v := b.look(b.key, "")
	v.say(`{"type":"command","ref":"one","command":"say \u001b[31mhi"}`)
	if m := v.answer("one"); m.Type != "done" {
		t.Fatalf("%+v", m)
	}
	given := b.printer.given()
	if len(given) != 1 || *given[0].Command != "say \x1b[31mhi" {
		t.Errorf("%+v", given)
	}
	v.say(`{"type":"size","ref":"two","rows":24,"columns":80}`)
	if m := v.answer("two"); m.Type != "done" {
		t.Fatalf("%+v", m)
	}
	if given := b.printer.given(); given[1].Size == nil || *given[1].Size != (wire.ConsoleSize{Rows: 24, Columns: 80}) {
		t.Errorf("%+v", given)
	}
	b.printer.change(func() {
		b.printer.reply = func(in wire.ConsoleInput) *wire.ConsoleFrame {
			return &wire.ConsoleFrame{Error: &wire.ConsoleError{Ref: in.Ref, Code: "CONFLICT", Message: "it does not run"}}
		}
	})
	v.say(`{"type":"command","ref":"three","command":"stopped"}`)
	if m := v.answer("three"); m.Type != "error" || m.Code != "CONFLICT" || m.Message != "it does not run" {
		t.Errorf("%+v", m)
	}
	if n := console.Pending(b.consoles, b.id); n != 0 {
		t.Errorf("%d inputs are remembered", n)
	}
	list, _, err := b.events.List(t.Context(), b.db.Snapshot(), event.Filter{Sight: event.Everything(), Type: instance.Commanded, Limit: 10})
	if err != nil || len(list) != 2 || list[1].Actor.Key != b.keyID || string(list[0].Data) != `{}` {
		t.Errorf("%v, %v", list, err)
	}
}

func TestSilenceIsUncertain(t *testing.T) {
	t.Parallel()
	b := setup(t, console.Hasty)
	v := b.look(b.key, "")
	b.printer.change(func() {
		b.printer.reply = func(wire.ConsoleInput) *wire.ConsoleFrame { return &wire.ConsoleFrame{} }
	})
	v.say(`{"type":"command","ref":"four","command":"silence"}`)
	if m := v.answer("four"); m.Type != "error" || m.Code != "NODE_OFFLINE" || !strings.Contains(m.Message, "uncertain") {
		t.Errorf("%+v", m)
	}
	if n := console.Pending(b.consoles, b.id); n != 0 {
		t.Errorf("%d inputs are remembered", n)
	}
	list, _, err := b.events.List(t.Context(), b.db.Snapshot(), event.Filter{Sight: event.Everything(), Type: instance.Commanded, Limit: 10})
	if err != nil || len(list) != 1 || string(list[0].Data) != `{}` {
		t.Errorf("%v, %v", list, err)
	}
}

func TestPower(t *testing.T) {
	t.Parallel()
	b := setup(t)
	v := b.look(b.key, "")
	v.say(`{"type":"power","ref":"k","verb":"kill"}`)
	if m := v.answer("k"); m.Type != "done" || m.Job == "" {
		t.Errorf("%+v", m)
	}
	v.say(`{"type":"power","ref":"e","verb":"explode"}`)
	if m := v.answer("e"); m.Type != "error" || m.Code != "VALIDATION_ERROR" {
		t.Errorf("%+v", m)
	}
	reader := b.look(b.read, "")
	for _, text := range []string{`{"type":"power","ref":"x","verb":"start"}`, `{"type":"command","ref":"x","command":"x"}`, `{"type":"size","ref":"x","rows":1,"columns":1}`} {
		reader.say(text)
		if m := reader.answer("x"); m.Type != "error" || m.Code != "FORBIDDEN" {
			t.Errorf("%s: %+v", text, m)
		}
	}
	if len(b.printer.given()) != 0 {
		t.Error("the node was told something")
	}
}

func TestWhoMayLook(t *testing.T) {
	t.Parallel()
	b := setup(t, console.Quick)
	for name, tc := range map[string]struct {
		key, query string
		status     int
	}{
		"a wrong key":     {"nonsense", "", 401},
		"a stranger":      {b.other, "", 404},
		"a wrong ticket":  {"", "?ticket=nonsense", 401},
		"a wrong number":  {b.read, "?after=x", 422},
		"a negative one":  {b.read, "?after=-1", 422},
		"a key, as query": {"", "?key=" + b.key, 0},
	} {
		v, res, err := b.dial(tc.key, tc.query)
		if tc.status == 0 {
			if err != nil {
				t.Errorf("%s: %v", name, err)
				continue
			}
			if m, code := v.ends(); m.Type != "closing" || m.Code != "UNAUTHORIZED" || code != 4001 { // nobody said who he is
				t.Errorf("%s: %+v %d", name, m, code)
			}
			continue
		}
		if err == nil || res.StatusCode != tc.status {
			t.Errorf("%s: %v, %v", name, res, err)
		}
	}
	for first, want := range map[string]int{
		`{"type":"auth","key":"` + b.key + `"}`:   0,
		`{"type":"auth","key":"nonsense"}`:        4001,
		`{"type":"auth","ticket":"nonsense"}`:     4001,
		`{"type":"auth"}`:                         4001,
		`{"type":"auth","key":"` + b.other + `"}`: 4004,
		`{"type":"command","command":"x"}`:        4001,
		`{not JSON`:                               4001,
		`{"type":"auth","key":"a","ticket":"b"}`:  4001,
		strings.Repeat("x", 10_000):               4001,
		`"` + strings.Repeat("\\u0000", 10) + `"`: 4001,
	} {
		v := b.look("", "")
		err := v.conn.WriteMessage(websocket.TextMessage, []byte(first))
		if want == 0 {
			if err != nil {
				t.Fatal(err)
			}
			v.kind("record")
			continue
		}
		// What is too long goes in several writes, and the door may be shut before the last.
		if m, code := v.ends(); m.Type != "closing" || code != want {
			t.Errorf("%.60s: %+v %d", first, m, code)
		}
	}
	if len(b.printer.given()) != 0 {
		t.Error("the node was told something")
	}
}

func TestTicketOpensOnce(t *testing.T) {
	t.Parallel()
	b := setup(t)
	ticket := func() string {
		t.Helper()
		status, body := b.call(b.read, "POST", "/console/ticket", "")
		data, _ := body["data"].(map[string]any)
		text, _ := data["ticket"].(string)
		if status != 201 || text == "" || data["expires_at"] == nil {
			t.Fatalf("%d %v", status, body)
		}
		return text
	}
	text := ticket()
	b.look("", "?ticket="+text).kind("record")
	if _, res, err := b.dial("", "?ticket="+text); err == nil || res.StatusCode != 401 {
		t.Errorf("a second time: %v", err)
	}
	v := b.look("", "")
	v.say(`{"type":"auth","ticket":"` + ticket() + `"}`)
	v.kind("record")
	v.say(`{"type":"command","ref":"1","command":"x"}`) // it is a reader's
	if m := v.answer("1"); m.Code != "FORBIDDEN" {
		t.Errorf("%+v", m)
	}
	if status, _ := b.call(b.other, "POST", "/console/ticket", ""); status != 404 {
		t.Errorf("a stranger: %d", status)
	}
}

func TestSocketsEndWithTheirRight(t *testing.T) {
	t.Parallel()
	yes := true
	for name, tc := range map[string]struct {
		take func(*bench) error
		code string
		end  int
	}{
		"the key is revoked": {func(b *bench) error { return b.users.RevokeKey(b.local(), b.keyID) }, "UNAUTHORIZED", 4001},
		"the user is disabled": {func(b *bench) error {
			_, err := b.users.UpdateUser(b.local(), b.owner, identity.UserChange{Disabled: &yes})
			return err
		}, "UNAUTHORIZED", 4001},
		"it is suspended": {func(b *bench) error {
			_, _, err := b.instances.Suspend(b.t.Context(), access.Local(), b.id, "unpaid")
			return err
		}, "CONFLICT", 4009},
		"it is deleted": {func(b *bench) error {
			_, _, err := b.instances.Delete(b.t.Context(), access.Local(), b.id)
			return err
		}, "CONFLICT", 4004},
		"the controller stops": {func(b *bench) error { b.stop(); return nil }, "INTERNAL_ERROR", websocket.CloseGoingAway},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := setup(t)
			v := b.look(b.key, "")
			v.kind("record")
			idle := b.look(b.key, "")
			idle.kind("record")
			if err := tc.take(b); err != nil {
				t.Fatal(err)
			}
			for _, one := range []*viewer{v, idle} {
				if m, code := one.ends(); m.Type != "closing" || m.Code != tc.code || m.Message == "" || code != tc.end {
					t.Errorf("%+v, %d", m, code)
				}
			}
			b.until("the node's stream is closed", func() bool { return b.printer.streams() == 0 })
		})
	}
}

func TestCommandsNeedTheRightOfTheMoment(t *testing.T) {
	t.Parallel()
	b := setup(t)
	v := b.look(b.key, "")
	v.next("the node", func(m message) bool { return m.Type == "state" && m.Node == "online" })
	if _, err := b.users.UpdateKey(b.local(), b.keyID, identity.KeyChange{Scopes: []access.Scope{access.ScopeRead}}); err != nil {
		t.Fatal(err)
	}
	v.say(`{"type":"command","ref":"1","command":"x"}`)
	if m := v.answer("1"); m.Type != "error" || m.Code != "FORBIDDEN" {
		t.Errorf("%+v", m)
	}
	b.printer.print(1)
	v.upTo(1) // and looks on
}

func TestCallsForPrograms(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.printer.print(30)
	b.printer.forget(10)
	numbers := func(key, query string) (out []int, body map[string]any) {
		t.Helper()
		status, body := b.call(key, "GET", "/console/lines"+query, "")
		if status != http.StatusOK {
			t.Fatalf("%s: %d %v", query, status, body)
		}
		data, _ := body["data"].(map[string]any)
		lines, _ := data["lines"].([]any)
		for _, one := range lines {
			line, _ := one.(map[string]any)
			seq, _ := line["seq"].(float64)
			out = append(out, int(seq))
		}
		return out, data
	}
	for query, want := range map[string]string{
		"": "11-30 20", "?limit=5": "26-30 5", "?after=28": "29-30 2", "?after=20&limit=3": "21-23 3", "?after=0&limit=2": "11-12 2", "?after=30": "0-0 0", "?after=999": "0-0 0",
	} {
		got, data := numbers(b.read, query)
		first, last := 0, 0
		if len(got) > 0 {
			first, last = got[0], got[len(got)-1]
		}
		if text := fmt.Sprintf("%d-%d %d", first, last, len(got)); text != want || data["record"] != "r1" || data["last"] != 30.0 {
			t.Errorf("%s: %s, %v %v", query, text, data["record"], data["last"])
		}
		if (data["missed"] != nil) != (query == "?after=0&limit=2") {
			t.Errorf("%s: missed %v", query, data["missed"])
		}
	}
	if status, body := b.call(b.key, "POST", "/command", `{"command":"say hi"}`); status != 200 || body["message"] == "" {
		t.Errorf("%d %v", status, body)
	}
	if given := b.printer.given(); len(given) != 1 || *given[0].Command != "say hi" {
		t.Errorf("%+v", given)
	}
	for body, want := range map[string]int{`{"command":"a\nb"}`: 422, `{"command":"` + strings.Repeat("x", 4097) + `"}`: 422, `{}`: 422, `{`: 400} {
		if status, answer := b.call(b.key, "POST", "/command", body); status != want {
			t.Errorf("%.30s: %d %v", body, status, answer)
		}
	}
	if status, _ := b.call(b.read, "POST", "/command", `{"command":"x"}`); status != 403 {
		t.Errorf("a reader: %d", status)
	}
	if status, _ := b.call(b.other, "POST", "/command", `{"command":"x"}`); status != 404 {
		t.Errorf("a stranger: %d", status)
	}
	if status, _ := b.call(b.other, "GET", "/console/lines", ""); status != 404 {
		t.Errorf("a stranger reads: %d", status)
	}
	b.agent.Stop()
	b.until("the node is away", func() bool { return !b.fleet.Online(b.node) })
	if status, _ := b.call(b.key, "POST", "/command", `{"command":"x"}`); status != 503 {
		t.Errorf("away: %d", status)
	}
	if status, _ := b.call(b.key, "GET", "/console/lines", ""); status != 503 {
		t.Errorf("away: %d", status)
	}
}
