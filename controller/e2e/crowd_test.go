package e2e

import (
	"context"
	"crypto/rand"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"syscall"
	"testing"
	"time"

	"github.com/berth-panel/berth/controller/app"
)

const (
	envPanel = "BERTH_TEST_PANEL" // the data directory of a controller to be

	crowd = 10_000 // connections to one port
	spare = 1_000  // files that a process needs besides
)

// bePanel is a controller until its input ends. It prints its URL.
func bePanel() int {
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return complain(err)
	}
	url := "http://" + ln.Addr().String()
	a, err := app.New(ctx, app.Config{
		Data: os.Getenv(envPanel), PublicURL: url, APIKey: adminKey, AdminPassword: adminPassword, Log: slog.New(slog.DiscardHandler), Now: time.Now,
	})
	if err != nil {
		return complain(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- a.Run(ctx, ln) }()
	fmt.Println(url)
	untilAlone()
	stop()
	if err := <-ended; err != nil {
		return complain(err)
	}
	return 0
}

// TestCrowdsAtTheDoors has strangers at both ports: many that say nothing, slow
// ones, and such that talk nonsense. Whoever has business there is served all
// the while. Controller and agent are processes: the files that one process may
// open would not do for both ends.
func TestCrowdsAtTheDoors(t *testing.T) {
	p := &panel{t: t, url: string(trimLine(startSelf(t, envPanel+"="+t.TempDir())))}
	owner := p.user("anna")
	const reference = "berth-test/crowd:1"
	p.catalogue(reference, nil, nil)
	var key data[struct{ Key string }]
	p.must(http.StatusCreated, "POST", "/api/v1/join-keys", map[string]any{"name": "one"}, &key)
	ids := startFleet(t, fleetOrder{Controller: p.url, Key: key.Data.Key, Dir: t.TempDir(), Images: []string{reference}, To: 1})
	var v data[struct {
		Port  int
		State string
	}]
	look := func() string {
		p.must(http.StatusOK, "GET", "/api/v1/nodes/"+string(ids[0]), nil, &v)
		return v.Data.State
	}
	eventually(t, "the node is online", func() bool { return look() == "online" })

	doors := map[string]string{"the controller": p.url[len("http://"):], "the agent": fmt.Sprintf("127.0.0.1:%d", v.Data.Port)}
	port := 20000
	for name, address := range doors {
		t.Run(name, func(t *testing.T) {
			garbage(t, address)
			loiter(t, address)
			port++
			var made data[struct{ Instance struct{ ID string } }]
			p.must(http.StatusAccepted, "POST", "/api/v1/instances", map[string]any{
				"name": name, "owner_id": owner, "node_id": ids[0], "reference": reference, "memory": 64, "cpu": 0.5,
				"ports": []map[string]any{{"container": 80, "host": port}},
			}, &made)
			p.awaitStatus(made.Data.Instance.ID, "running")
			if state := look(); state != "online" {
				t.Errorf("the node is %s", state)
			}
		})
	}
}

func trimLine(line []byte) []byte { return line[:len(line)-1] }

// garbage says things that no client says.
func garbage(t *testing.T, address string) {
	t.Helper()
	noise := make([]byte, 64<<10)
	_, _ = rand.Read(noise)
	for _, said := range [][]byte{
		noise, noise[:1], []byte("\x16\x03\x01\xff\xff"), []byte("GET / HTTP/9.9\r\n\r\n"), []byte("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
		[]byte("POST /api/v1/enrol HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999\r\n\r\n{"),
		[]byte("POST /api/v1/enrol HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\n"),
		[]byte("GET /api/v1/tunnel HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n" +
			"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n" + string(noise[:4096])),
	} {
		conn, err := net.Dial("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		_, _ = conn.Write(said) // it may hang up at once
		t.Cleanup(func() { _ = conn.Close() })
	}
}

// loiter opens a crowd of connections and keeps them to the test's end; some of
// them begin a request and never end it.
func loiter(t *testing.T, address string) {
	t.Helper()
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatal(err)
	}
	count := crowd
	if limit.Cur < crowd+spare {
		count = int(limit.Cur) - spare
		t.Logf("this machine lets a process open %d files: %d connections instead of %d", limit.Cur, count, crowd)
	}
	for n := range count {
		conn, err := net.Dial("tcp", address)
		if err != nil {
			t.Fatalf("connection %d: %v", n, err)
		}
		t.Cleanup(func() { _ = conn.Close() })
		if n%10 == 0 {
			_, _ = conn.Write([]byte("GET /api/v1/health HT")) // and no more
		}
	}
}
