package console_test

import (
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"github.com/berth-panel/berth/controller/console"
)

func TestWhatIsNoMessageIsToldAndTheSocketLives(t *testing.T) {
	t.Parallel()
	b := setup(t)
	v := b.look(b.key, "")
	v.next("the node", func(m message) bool { return m.Type == "state" && m.Node == "online" })
	for text, code := range map[string]string{
		`{not JSON`:                              "BAD_REQUEST",
		``:                                       "BAD_REQUEST",
		`[]`:                                     "BAD_REQUEST",
		`{"type":"command","command":7}`:         "BAD_REQUEST",
		`null`:                                   "VALIDATION_ERROR",
		`{}`:                                     "VALIDATION_ERROR",
		`{"type":"dance"}`:                       "VALIDATION_ERROR",
		`{"type":"command"}`:                     "VALIDATION_ERROR",
		`{"type":"command","command":"a\nb"}`:    "VALIDATION_ERROR",
		`{"type":"command","command":"a\u0000"}`: "VALIDATION_ERROR",
		`{"type":"size"}`:                        "VALIDATION_ERROR",
		`{"type":"size","rows":70000,"columns":1}`:                         "BAD_REQUEST",
		`{"type":"auth","key":"x"}`:                                        "CONFLICT",
		`{"type":"command","command":"` + strings.Repeat("x", 5000) + `"}`: "TOO_LARGE",
		`{"type":"command","command":"` + strings.Repeat("x", 9000) + `"}`: "TOO_LARGE",
		strings.Repeat("[", 8000):                                          "BAD_REQUEST",
		strings.Repeat("y", 900_000):                                       "TOO_LARGE",
		`{"type":"ping","ref":"` + strings.Repeat("r", 65) + `"}`:          "VALIDATION_ERROR",
	} {
		v.say(text)
		if m := v.next("an error", func(m message) bool { return m.Type == "error" || m.Type == "pong" || m.Type == "done" }); m.Code != code || m.Message == "" {
			t.Errorf("%.60s: %+v", text, m)
		}
	}
	if err := v.conn.WriteMessage(websocket.BinaryMessage, []byte{0xff, 0, 1}); err != nil {
		t.Fatal(err)
	}
	if m := v.kind("error"); m.Code != "BAD_REQUEST" {
		t.Errorf("%+v", m)
	}
	v.say(`{"type":"ping","ref":"alive"}`)
	if m := v.answer("alive"); m.Type != "pong" {
		t.Errorf("%+v", m)
	}
	if len(b.printer.given()) != 0 {
		t.Error("the node was told something")
	}
	// A message beyond all measure ends it; whether its sender, who is still
	// sending, gets to read why is up to the kernel.
	_ = v.conn.WriteMessage(websocket.TextMessage, []byte(strings.Repeat("z", 2<<20)))
	for {
		if _, _, err := v.conn.ReadMessage(); err != nil {
			break
		}
	}
	b.look(b.key, "").kind("record")
}

func TestAFloodIsDropped(t *testing.T) {
	t.Parallel()
	b := setup(t)
	v := b.look(b.key, "")
	bystander := b.look(b.read, "")
	v.next("the node", func(m message) bool { return m.Type == "state" && m.Node == "online" })
	for range 10_000 {
		v.say(`{"type":"command","command":"spam"}`)
	}
	if m := v.kind("error"); m.Code != "RATE_LIMITED" {
		t.Errorf("%+v", m)
	}
	b.printer.print(1)
	bystander.next("a line", func(m message) bool { return m.Type == "lines" })
	answered := make(chan struct{})
	asking := make(chan struct{})
	go func() {
		defer close(asking)
		for {
			if v.conn.WriteMessage(websocket.TextMessage, []byte(`{"type":"ping","ref":"later"}`)) != nil {
				return
			}
			select {
			case <-answered:
				return
			case <-time.After(50 * time.Millisecond):
			}
		}
	}()
	v.answer("later")
	close(answered)
	<-asking
	if n := len(b.printer.given()); n > 5000 { // far fewer, but how many depends on how long it took
		t.Errorf("%d of the 10,000 went through", n)
	}
}

// A proxy that cuts what is idle sees something often enough.
func TestPings(t *testing.T) {
	t.Parallel()
	b := setup(t, console.Quick)
	v := b.look(b.read, "")
	var pings atomic.Int64
	enough := make(chan struct{})
	v.conn.SetPingHandler(func(text string) error {
		if pings.Add(1) == 5 {
			close(enough)
		}
		return v.conn.WriteControl(websocket.PongMessage, []byte(text), time.Now().Add(patience))
	})
	go func() {
		for {
			if _, _, err := v.conn.ReadMessage(); err != nil {
				return
			}
		}
	}()
	select {
	case <-enough:
	case <-time.After(patience):
		t.Fatal("nothing came")
	}
}
