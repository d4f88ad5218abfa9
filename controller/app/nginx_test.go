package app_test

import (
	"bufio"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"github.com/berth-panel/berth/controller/access"
	"github.com/berth-panel/berth/controller/event"
)

// selfSigned writes a certificate for panel.example.com and its key.
func selfSigned(t testing.TB, dir string) (cert, key string, pool *x509.CertPool) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), DNSNames: []string{"panel.example.com"}, NotBefore: time.Now().Add(-time.Hour),
		NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true}
	der, err := x509.CreateCertificate(rand.Reader, template, template, private.Public(), private)
	if err != nil {
		t.Fatal(err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	chain := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	pool = x509.NewCertPool()
	pool.AppendCertsFromPEM(chain)
	cert, key = filepath.Join(dir, "panel.pem"), filepath.Join(dir, "panel.key")
	for path, text := range map[string][]byte{cert: chain, key: pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: secret})} {
		if err := os.WriteFile(path, text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return cert, key, pool
}

// proxied is a controller behind Debian's nginx with the configuration of the
// README and nginx's own timeouts.
type proxied struct {
	*bundle
	client *http.Client
	dial   func(ctx context.Context, network, address string) (net.Conn, error)
	tls    *tls.Config
}

const proxyURL = "https://panel.example.com"

func behindNginx(t *testing.T) *proxied {
	t.Helper()
	program, err := exec.LookPath("nginx")
	if err != nil {
		t.Skip("nginx is not here: deploy/need.sh nginx installs it")
	}
	dir := t.TempDir()
	cert, key, pool := selfSigned(t, dir)
	c := config(t, filepath.Join(dir, "data"))
	c.PublicURL, c.HSTS, c.Proxies = proxyURL, true, []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32")}
	b := setupWith(t, c)

	readme, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(readme), "```nginx\n")
	server, _, ok := strings.Cut(rest, "```")
	if !ok {
		t.Fatal("the README has no configuration of nginx")
	}
	at := ownAddress(t)
	for from, to := range map[string]string{"listen 443 ssl;": "listen " + at + " ssl;", "/etc/ssl/panel.example.com.pem": cert,
		"/etc/ssl/panel.example.com.key": key, "http://127.0.0.1:8080": b.url} {
		if strings.Count(server, from) != 1 {
			t.Fatalf("the README's configuration has not one %q", from)
		}
		server = strings.Replace(server, from, to, 1)
	}
	conf := "daemon off;\nmaster_process off;\nworker_processes 1;\npid " + dir + "/pid;\nerror_log " + dir + "/error.log;\nevents {}\nhttp {\naccess_log off;\n"
	for _, temp := range []string{"client_body", "proxy", "fastcgi", "uwsgi", "scgi"} {
		conf += temp + "_temp_path " + dir + "/" + temp + ";\n"
	}
	path := filepath.Join(dir, "nginx.conf")
	if err := os.WriteFile(path, []byte(conf+server+"}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	nginx := exec.CommandContext(ctx, program, "-p", dir, "-e", dir+"/error.log", "-c", path)
	if err := nginx.Start(); err != nil {
		cancel()
		t.Fatal(err)
	}
	dialer := &net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, 2)}}
	p := &proxied{bundle: b, tls: &tls.Config{RootCAs: pool, ServerName: "panel.example.com", MinVersion: tls.VersionTLS12}}
	p.dial = func(ctx context.Context, network, _ string) (net.Conn, error) {
		return dialer.DialContext(ctx, network, at)
	}
	transport := &http.Transport{DialContext: p.dial, TLSClientConfig: p.tls}
	p.client = &http.Client{Transport: transport}
	t.Cleanup(func() { transport.CloseIdleConnections(); cancel(); _ = nginx.Wait() })
	b.until("nginx answers", func() bool {
		conn, err := p.dial(t.Context(), "tcp", "")
		return err == nil && conn.Close() == nil
	})
	return p
}

// ownAddress is one of this machine's many that nobody else uses: nginx can't say
// which port it got, and one of 127.0.0.1 might be taken meanwhile.
func ownAddress(t testing.TB) string {
	t.Helper()
	var chance [2]byte
	_, _ = rand.Read(chance[:])
	ln, err := net.Listen("tcp", net.JoinHostPort(net.IPv4(127, 77, chance[0], max(chance[1], 1)).String(), "0"))
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	return ln.Addr().String()
}

func (p *proxied) do(method, path string, body io.Reader, header ...string) *http.Response {
	p.t.Helper()
	q, err := http.NewRequestWithContext(p.t.Context(), method, proxyURL+path, body)
	if err != nil {
		p.t.Fatal(err)
	}
	q.Header.Set("X-Api-Key", adminKey)
	for n := 0; n < len(header); n += 2 {
		q.Header.Set(header[n], header[n+1])
	}
	answer, err := p.client.Do(q)
	if err != nil {
		p.t.Fatal(err)
	}
	p.t.Cleanup(func() { _ = answer.Body.Close() })
	return answer
}

func TestBehindNginx(t *testing.T) {
	t.Parallel()
	p := behindNginx(t)

	// Who calls is known, whatever he says of himself.
	if a := p.do("POST", "/api/v1/keys", strings.NewReader(`{"name":"ci","scopes":["read"]}`), "Content-Type", "application/json", "X-Forwarded-For", "192.0.2.66"); a.StatusCode != 201 {
		t.Fatal(a.Status)
	}
	list, _, err := p.app.Events.List(t.Context(), p.app.DB.Snapshot(), event.Filter{Sight: event.Everything(), Type: "key.created", Limit: 1})
	if err != nil || len(list) != 1 || list[0].Actor.Address != "127.0.0.2" || list[0].Actor.Via != access.ViaKey {
		t.Errorf("%+v, %v", list, err)
	}
	// Pages come with what keeps them safe, by https alone.
	page := p.do("GET", "/", nil)
	if h := page.Header; h.Get("Strict-Transport-Security") == "" || !strings.Contains(h.Get("Content-Security-Policy"), "script-src 'self'") {
		t.Errorf("%v", h)
	}

	// Events come at once, as server-sent events and on the page's socket.
	stream := p.do("GET", "/api/v1/events/stream", nil)
	if stream.StatusCode != 200 {
		t.Fatal(stream.Status)
	}
	dialer := websocket.Dialer{NetDialContext: p.dial, TLSClientConfig: p.tls}
	socket, answer, err := dialer.DialContext(t.Context(), "wss://panel.example.com/api/v1/live", http.Header{"X-Api-Key": {adminKey}, "Origin": {proxyURL}})
	if err != nil {
		t.Fatalf("%v, %+v", err, answer)
	}
	_ = answer.Body.Close()
	defer socket.Close()
	_ = socket.SetReadDeadline(time.Now().Add(2 * patience))
	var m struct {
		Type  string
		Event struct{ Type string }
	}
	if err := socket.ReadJSON(&m); err != nil || m.Type != "hello" {
		t.Fatal(m, err)
	}
	p.do("POST", "/api/v1/keys", strings.NewReader(`{"name":"cd","scopes":["read"]}`), "Content-Type", "application/json")
	for m.Event.Type != "key.created" {
		if err := socket.ReadJSON(&m); err != nil {
			t.Fatal(err)
		}
	}
	lines := bufio.NewScanner(stream.Body)
	for lines.Scan() && !strings.Contains(lines.Text(), "key.created") {
		continue
	}
	if lines.Err() != nil {
		t.Fatal(lines.Err())
	}
	// A ping goes through and back: so does ours, which is what keeps it open.
	ponged := make(chan struct{})
	socket.SetPongHandler(func(string) error { close(ponged); return nil })
	if err := socket.WriteControl(websocket.PingMessage, nil, time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	go func() {
		for {
			if _, _, err := socket.ReadMessage(); err != nil {
				return
			}
		}
	}()
	select {
	case <-ponged:
	case <-time.After(2 * patience):
		t.Error("no pong came")
	}
	// Another site's page can't open it.
	if conn, _, err := dialer.DialContext(t.Context(), "wss://panel.example.com/api/v1/live", http.Header{"X-Api-Key": {adminKey}, "Origin": {"https://evil.example"}}); err == nil {
		_ = conn.Close()
		t.Error("another origin is let in")
	}
}

// An upload goes through as it comes: its answer is here before its end.
func TestUploadsStreamThroughNginx(t *testing.T) {
	t.Parallel()
	p := behindNginx(t)
	open, feed := io.Pipe()
	defer feed.Close()
	go func() {
		for block := make([]byte, 64<<10); ; {
			if _, err := feed.Write(block); err != nil {
				return
			}
		}
	}()
	answer := p.do("PUT", "/api/v1/instances/0123abcd/files/content?path=big", open)
	var e struct{ Error struct{ Code string } }
	if err := json.NewDecoder(answer.Body).Decode(&e); err != nil || answer.StatusCode != 404 || e.Error.Code != "NOT_FOUND" {
		t.Errorf("%d %+v %v", answer.StatusCode, e, err)
	}
}
