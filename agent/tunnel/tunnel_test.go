package tunnel

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gorilla/websocket"
	"github.com/hashicorp/yamux"
	"go.uber.org/goleak"

	"github.com/berth-panel/berth/shared/wire"
)

func TestMain(m *testing.M) {
	// net/http sleeps half a second before it closes a connection of which it has
	// not read everything, and nothing waits for that.
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("net/http.(*conn).closeWriteAndWait"))
}

const patience = 30 * time.Second

// controller is the other end of tunnels.
type controller struct {
	t       *testing.T
	server  *httptest.Server
	sockets chan *websocket.Conn
	refuse  http.HandlerFunc // instead of a WebSocket
}

func newController(t *testing.T, refuse http.HandlerFunc) *controller {
	t.Helper()
	c := &controller{t: t, sockets: make(chan *websocket.Conn, 100), refuse: refuse}
	upgrader := websocket.Upgrader{}
	c.server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/at"+wire.PathTunnel {
			t.Errorf("the tunnel is opened at %s", r.URL.Path)
		}
		if c.refuse != nil {
			c.refuse(w, r)
			return
		}
		if socket, err := upgrader.Upgrade(w, r, nil); err == nil {
			c.sockets <- socket
		}
	}))
	t.Cleanup(c.server.Close)
	return c
}

// next waits for a tunnel.
func (c *controller) next() *websocket.Conn {
	c.t.Helper()
	select {
	case socket := <-c.sockets:
		c.t.Cleanup(func() { _ = socket.Close() })
		return socket
	case <-time.After(patience):
		c.t.Fatal("no tunnel is opened")
		return nil
	}
}

func (c *controller) session(socket *websocket.Conn) *yamux.Session {
	c.t.Helper()
	config := yamux.DefaultConfig()
	config.LogOutput = io.Discard
	session, err := yamux.Client(wire.NewTunnelConn(socket, false, time.Now), config)
	if err != nil {
		c.t.Fatal(err)
	}
	c.t.Cleanup(func() { _ = session.Close() })
	return session
}

type logBook struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *logBook) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *logBook) wait(t *testing.T, text string) {
	t.Helper()
	for deadline := time.Now().Add(patience); ; time.Sleep(time.Millisecond) { // it has no signal
		l.mu.Lock()
		said := l.text.String()
		l.mu.Unlock()
		if strings.Contains(said, text) {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("the log never said %q: %s", text, said)
		}
	}
}

// open runs a tunnel to that address until the test ends, with an echo behind it.
func open(t *testing.T, address string) (tunnel *Tunnel, log *logBook, stop func()) {
	t.Helper()
	log = &logBook{}
	tunnel, err := New(Options{Controller: address, Log: slog.New(slog.NewTextHandler(log, nil)), Now: time.Now})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() { tunnel.Run(ctx) })
	running.Go(func() {
		for {
			conn, err := tunnel.Accept()
			if err != nil {
				return
			}
			running.Go(func() {
				_, _ = io.Copy(conn, conn)
				_ = conn.Close()
			})
		}
	})
	stop = func() {
		cancel()
		running.Wait()
	}
	t.Cleanup(stop)
	return tunnel, log, stop
}

func echoes(t *testing.T, session *yamux.Session) {
	t.Helper()
	stream, err := session.Open()
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = stream.Close() }()
	_ = stream.SetDeadline(time.Now().Add(patience))
	text := bytes.Repeat([]byte("through the tunnel "), 100_000) // more than a window
	go func() { _, _ = stream.Write(text) }()
	got := make([]byte, len(text))
	if _, err := io.ReadFull(stream, got); err != nil || !bytes.Equal(got, text) {
		t.Fatalf("the echo is another: %v", err)
	}
}

func TestConnectionsComeThrough(t *testing.T) {
	t.Parallel()
	c := newController(t, nil)
	tunnel, _, stop := open(t, c.server.URL+"/at")
	session := c.session(c.next())
	for range 3 {
		echoes(t, session)
	}
	if a := tunnel.Addr(); a.Network() != "tunnel" || !strings.HasPrefix(a.String(), "ws://") {
		t.Errorf("its address is %s %s", a.Network(), a)
	}
	stop()
	<-session.CloseChan()
	if _, err := tunnel.Accept(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("Accept then gives %v", err)
	}
}

// After Close what stands goes on, and nothing new comes in.
func TestCloseLetsFinish(t *testing.T) {
	t.Parallel()
	c := newController(t, nil)
	tunnel, _, stop := open(t, c.server.URL+"/at")
	session := c.session(c.next())
	stream, err := session.Open()
	if err != nil {
		t.Fatal(err)
	}
	say := func() error {
		_ = stream.SetDeadline(time.Now().Add(patience))
		if _, err := stream.Write([]byte("x")); err != nil {
			return err
		}
		_, err := io.ReadFull(stream, make([]byte, 1))
		return err
	}
	if err := say(); err != nil {
		t.Fatal(err)
	}
	_ = tunnel.Close()
	if err := say(); err != nil {
		t.Errorf("a connection that stands was cut: %v", err)
	}
	late, err := session.Open()
	if err != nil {
		t.Fatal(err)
	}
	_ = late.SetDeadline(time.Now().Add(patience))
	if _, err := late.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
		t.Errorf("a new connection: %v", err)
	}
	stop()
}

func TestTunnelIsOpenedAgain(t *testing.T) {
	t.Parallel()
	c := newController(t, nil)
	_, log, _ := open(t, c.server.URL+"/at")
	for range 3 {
		socket := c.next()
		_ = socket.NetConn().Close() // as a controller does that is killed
	}
	echoes(t, c.session(c.next()))
	log.wait(t, "the connection broke off")
}

// What is no controller, and one that abuses the tunnel, is left, and tried again.
func TestOtherEndsAreLeft(t *testing.T) {
	t.Parallel()
	frame := func(kind, flags, stream, length byte) []byte {
		return []byte{0, kind, 0, flags, 0, 0, 0, stream, 0, 0, 0, length}
	}
	cases := map[string]struct {
		send   func(s *websocket.Conn) error
		reason string
	}{
		"text": {func(s *websocket.Conn) error { return s.WriteMessage(websocket.TextMessage, []byte("hello")) }, "does not keep to its language"},
		"noise": {func(s *websocket.Conn) error {
			return s.WriteMessage(websocket.BinaryMessage, []byte("hello, hello, hello"))
		}, "does not keep to its language"},
		"too long": {func(s *websocket.Conn) error {
			_ = s.WriteMessage(websocket.BinaryMessage, make([]byte, 2<<20)) // it may be closed before the end
			return nil
		}, "broke off"},
		"pings": {func(s *websocket.Conn) error {
			return s.WriteMessage(websocket.BinaryMessage, bytes.Repeat(frame(2, 1, 0, 7), 100))
		}, "too many pings"},
		"goodbye": {func(s *websocket.Conn) error { return s.WriteMessage(websocket.BinaryMessage, frame(3, 0, 0, 2)) }, "broke off"},
		"a reason": {func(s *websocket.Conn) error {
			return s.WriteControl(websocket.CloseMessage, websocket.FormatCloseMessage(wire.TunnelRefused, "not let in"), time.Now().Add(patience))
		}, "not let in"},
	}
	for name, other := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := newController(t, nil)
			_, log, _ := open(t, c.server.URL+"/at")
			if err := other.send(c.next()); err != nil {
				t.Fatal(err)
			}
			log.wait(t, other.reason)
			echoes(t, c.session(c.next()))
		})
	}
}

func TestFloodOfConnectionsEndsTheTunnel(t *testing.T) {
	t.Parallel()
	c := newController(t, nil)
	_, log, _ := open(t, c.server.URL+"/at")
	session := c.session(c.next())
	for range 2 * streamsAtOnce {
		if _, err := session.Open(); err != nil {
			break
		}
	}
	<-session.CloseChan()
	log.wait(t, "too many connections")
}

func TestRefusalsAreTold(t *testing.T) {
	t.Parallel()
	cases := map[string]struct {
		refuse http.HandlerFunc
		reason string
	}{
		"busy": {func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusServiceUnavailable)
			_, _ = w.Write([]byte(`{"success":false,"error":{"code":"RATE_LIMITED","message":"too many tunnels"}}`))
		}, "too many tunnels"},
		"elsewhere": {func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "https://other.example/", http.StatusFound)
		}, "other.example"},
		"a web page": {func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("<html>")) }, "has no tunnels (HTTP status 200)"},
	}
	for name, other := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := newController(t, other.refuse)
			_, log, _ := open(t, c.server.URL+"/at")
			log.wait(t, other.reason)
		})
	}
	_, log, _ := open(t, "http://127.0.0.1:1/at")
	log.wait(t, "can't be reached")
	for _, address := range []string{"", "ftp://x", "://"} {
		if _, err := New(Options{Controller: address}); err == nil {
			t.Errorf("%q is taken for an address", address)
		}
	}
}

func TestPauses(t *testing.T) {
	t.Parallel()
	var p pauses
	broke := errors.New("broke")
	between := func(got, low, high time.Duration) {
		t.Helper()
		if got < low || got > high {
			t.Errorf("a pause of %v, want %v to %v", got, low, high)
		}
	}
	between(p.next(0, broke), firstPause/2, firstPause)
	for range 10 {
		p.next(time.Second, broke)
	}
	between(p.next(time.Second, broke), longestPause/2, longestPause)
	between(p.next(time.Minute, broke), firstPause/2, firstPause)
	// Another agent with this identity: longer each time, until it was quiet.
	replaced := &websocket.CloseError{Code: wire.TunnelReplaced, Text: "a newer tunnel"}
	between(p.next(time.Minute, replaced), replacedPause/2, replacedPause)
	between(p.next(time.Minute, replaced), replacedPause, 2*replacedPause)
	for range 10 {
		p.next(time.Minute, replaced)
	}
	between(p.next(time.Minute, replaced), replacedMost/2, replacedMost)
	between(p.next(time.Hour, broke), firstPause/2, firstPause)
	between(p.next(time.Minute, replaced), replacedPause/2, replacedPause)
}

// FuzzTunnel throws bytes at an agent's end as messages of the WebSocket: it may
// close the tunnel and nothing else.
func FuzzTunnel(f *testing.F) {
	f.Add([]byte{}, 1)
	f.Add([]byte("GET / HTTP/1.1\r\n\r\n"), 3)
	f.Add([]byte{0, 1, 0, 1, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 2, 'h', 'i'}, 5) // opens a stream, says hi
	f.Add([]byte{0, 0, 0, 1, 0, 0, 0, 1, 255, 255, 255, 255, 1, 2, 3}, 100)
	f.Add([]byte{0, 3, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1}, 12)
	f.Add(bytes.Repeat([]byte{0, 2, 0, 1, 0, 0, 0, 0, 0, 0, 0, 9}, 20), 7)
	f.Fuzz(func(t *testing.T, data []byte, size int) {
		size = max(1, min(size, 1<<16))
		messages := &played{size: size, data: data, closed: make(chan struct{})}
		session, err := yamux.Server(wire.NewTunnelConn(messages, true, time.Now), sessionConfig())
		if err != nil {
			t.Fatal(err)
		}
		for range streamsAtOnce {
			stream, err := session.Accept()
			if err != nil {
				break
			}
			_ = stream.Close()
		}
		_ = session.Close()
	})
}

// played is a WebSocket that plays bytes and ends.
type played struct {
	size   int
	data   []byte
	closed chan struct{}
	once   sync.Once
}

func (p *played) NextReader() (int, io.Reader, error) {
	if len(p.data) == 0 {
		return 0, nil, io.EOF
	}
	n := min(p.size, len(p.data))
	message := p.data[:n]
	p.data = p.data[n:]
	return websocket.BinaryMessage, bytes.NewReader(message), nil
}

func (p *played) WriteMessage(int, []byte) error { return nil }
func (p *played) Close() error                   { p.once.Do(func() { close(p.closed) }); return nil }
func (p *played) LocalAddr() net.Addr            { return addr("here") }
func (p *played) RemoteAddr() net.Addr           { return addr("there") }
