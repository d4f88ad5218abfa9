package wire_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"net"
	"reflect"
	"testing"
	"time"

	"github.com/berth-panel/berth/shared/wire"
)

// played is a WebSocket that plays messages and ends.
type played struct {
	size int
	kind int
	data []byte
	sent [][]byte
}

func (p *played) NextReader() (int, io.Reader, error) {
	if len(p.data) == 0 {
		return 0, nil, io.EOF
	}
	n := min(p.size, len(p.data))
	message := p.data[:n]
	p.data = p.data[n:]
	return p.kind, bytes.NewReader(message), nil
}

func (p *played) WriteMessage(_ int, data []byte) error {
	p.sent = append(p.sent, bytes.Clone(data))
	return nil
}
func (p *played) Close() error         { return nil }
func (p *played) LocalAddr() net.Addr  { return &net.TCPAddr{Port: 1} }
func (p *played) RemoteAddr() net.Addr { return &net.TCPAddr{Port: 2} }

func frame(kind, flags, length byte, body string) string {
	return string([]byte{0, kind, 0, flags, 0, 0, 0, 1, 0, 0, 0, length}) + body
}

func TestTunnelConnGivesTheBytes(t *testing.T) {
	t.Parallel()
	text := frame(1, 2, 0, "") + frame(0, 0, 5, "hello") + frame(2, 2, 7, "") + frame(0, 4, 0, "") + frame(3, 0, 0, "")
	for size := 1; size <= len(text); size++ { // however the messages are cut
		conn := wire.NewTunnelConn(&played{size: size, kind: 2, data: []byte(text)}, false, time.Now)
		got, err := io.ReadAll(conn)
		if err != nil || string(got) != text {
			t.Fatalf("messages of %d bytes: %q, %v", size, got, err)
		}
		if !errors.Is(conn.Err(), io.EOF) {
			t.Fatalf("it ended with %v", conn.Err())
		}
	}
	messages := &played{}
	conn := wire.NewTunnelConn(messages, false, time.Now)
	if n, err := conn.Write([]byte("abc")); n != 3 || err != nil || len(messages.sent) != 1 || conn.LocalAddr().String() != ":1" || conn.RemoteAddr().String() != ":2" {
		t.Fatalf("%d, %v, %q", n, err, messages.sent)
	}
}

func TestTunnelConnRefuses(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	pings := ""
	for range 17 {
		pings += frame(2, 1, 0, "")
	}
	cases := map[string]struct {
		text  string
		kind  int
		opens bool
		bad   bool
	}{
		"text":                            {frame(2, 2, 0, ""), 1, true, true},
		"another version":                 {"\x01" + frame(2, 2, 0, "")[1:], 2, true, true},
		"another type":                    {frame(4, 0, 0, ""), 2, true, true},
		"a stream":                        {frame(1, 1, 0, ""), 2, false, true},
		"a stream with data":              {frame(0, 1, 1, "x"), 2, false, true},
		"a stream, closed at once":        {frame(0, 5, 0, ""), 2, false, true},
		"a stream where it may":           {frame(1, 1, 0, ""), 2, true, false},
		"too many pings":                  {pings, 2, true, true},
		"as many as may be":               {pings[:16*12], 2, true, false},
		"answers to pings":                {string(bytes.Repeat([]byte(frame(2, 2, 0, "")), 100)), 2, true, false},
		"what looks like one within data": {frame(0, 0, 12, frame(1, 1, 0, "")), 2, false, false},
	}
	for name, c := range cases {
		conn := wire.NewTunnelConn(&played{size: 5, kind: c.kind, data: []byte(c.text)}, c.opens, func() time.Time { return now })
		if _, err := io.ReadAll(conn); errors.Is(err, wire.ErrTunnelAbused) != c.bad || errors.Is(conn.Err(), wire.ErrTunnelAbused) != c.bad {
			t.Errorf("%s: %v", name, err)
		}
	}
	// One more is allowed each second.
	messages := &played{size: 12, kind: 2, data: []byte(pings[:16*12] + pings)}
	conn := wire.NewTunnelConn(messages, true, func() time.Time { now = now.Add(time.Second); return now })
	if _, err := io.ReadAll(conn); err != nil {
		t.Errorf("one in a second: %v", err)
	}
}

// FuzzTunnelConn: it gives exactly what came, up to where it refuses.
func FuzzTunnelConn(f *testing.F) {
	f.Add([]byte(frame(0, 0, 5, "hello")), 3, true)
	f.Add([]byte(frame(1, 1, 0, "")), 1, false)
	f.Add([]byte("\x00\x00\x00\x00\x00\x00\x00\x00\xff\xff\xff\xff"), 100, false)
	f.Fuzz(func(t *testing.T, data []byte, size int, opens bool) {
		conn := wire.NewTunnelConn(&played{size: max(1, size), kind: 2, data: data}, opens, time.Now)
		got, err := io.ReadAll(conn)
		if !bytes.HasPrefix(data, got) {
			t.Fatalf("%q became %q", data, got)
		}
		if err == nil && len(got) != len(data) {
			t.Fatalf("it ended early without a word: %q of %q", got, data)
		}
	})
}

// FuzzDecode: what is decoded means the same when it is sent on.
func FuzzDecode(f *testing.F) {
	f.Add([]byte(`{"node":"n","wire":2,"release":"1","epoch":"e","last_seq":4,"engine":{"reachable":true,"cores":8}}`))
	f.Add([]byte(`{"wire":1,"engine":"of another version","new":[1,2]}`))
	f.Add([]byte(`{"events":[{"seq":1,"at":"2026-11-22T12:00:00Z","type":"instance.state","instance":"0a1b2c3d","state":{"phase":"ready"}}]}`))
	f.Add([]byte(`{"seq":9223372036854775807}`))
	f.Add([]byte(`{"key_id":"k","nonce":"bm9uY2U","csr":"x","agent":{"tags":["a"],"tunnel":true},"mac":"00"}`))
	f.Add([]byte(`{"csr":"x","certificate":"y"}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		for _, into := range []any{&wire.Hello{}, &wire.EventBatch{}, &wire.Ack{}, &wire.EnrolRequest{}, &wire.EnrolAnswer{}, &wire.CertificateRequest{}, &wire.Certificate{}, &wire.ReleaseState{}} {
			if json.Unmarshal(data, into) != nil {
				continue
			}
			text, err := json.Marshal(into)
			if err != nil {
				t.Fatalf("%T: %v", into, err)
			}
			again := reflect.New(reflect.TypeOf(into).Elem()).Interface()
			if err := json.Unmarshal(text, again); err != nil {
				t.Fatalf("%T: %s: %v", into, text, err)
			}
			if second, err := json.Marshal(again); err != nil || !bytes.Equal(text, second) {
				t.Fatalf("%T: %s became %s, %v", into, text, second, err)
			}
		}
	})
}

// FuzzEnrolmentKey: what is taken for a key is written the same again.
func FuzzEnrolmentKey(f *testing.F) {
	key := wire.EnrolmentKey{ID: "k", Secret: bytes.Repeat([]byte{7}, 32), Fingerprint: bytes.Repeat([]byte{9}, 32)}
	f.Add(key.String())
	f.Add("berth-enrol.k..")
	f.Fuzz(func(t *testing.T, text string) {
		key, err := wire.ParseEnrolmentKey(text)
		if err != nil {
			return
		}
		again, err := wire.ParseEnrolmentKey(key.String())
		if err != nil || !reflect.DeepEqual(key, again) {
			t.Fatalf("%q: %+v, then %+v, %v", text, key, again, err)
		}
	})
}
