package certificate_test

import (
	"context"
	"crypto/tls"
	"io"
	"io/fs"
	"log"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/berth-panel/berth/controller/certificate"
)

func TestFilesAreReadAgain(t *testing.T) {
	t.Parallel()
	dir, lines := t.TempDir(), &logs{}
	year := time.Now().Add(365 * 24 * time.Hour)
	chain, key := pair(t, "one.example", year)
	o := certificate.Options{CertFile: write(t, filepath.Join(dir, "cert.pem"), chain), KeyFile: write(t, filepath.Join(dir, "key.pem"), key), Log: lines.logger(), Now: time.Now}
	s, err := certificate.New(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	certificate.Hurry(s)
	ln := hello(t, s)
	during(t, func(ctx context.Context) error { return s.Run(ctx, ln.Addr(), nil) })
	is := func(name string) bool {
		c, err := shown(ln.Addr().String(), "whatever.example")
		return err == nil && c.Subject.CommonName == name
	}
	if !is("one.example") {
		t.Fatal("the first certificate isn't shown")
	}
	next, nextKey := pair(t, "two.example", time.Now().Add(24*time.Hour))
	write(t, o.CertFile, next) // its key comes later
	eventually(t, "a pair of different keys is told", func() bool { return strings.Contains(lines.String(), "can't be used") })
	if !is("one.example") {
		t.Fatal("half a change was taken")
	}
	write(t, o.KeyFile, nextKey)
	eventually(t, "the other certificate", func() bool { return is("two.example") })
	eventually(t, "its end is near", func() bool { return strings.Contains(lines.String(), "ends soon") })
	if err := os.Remove(o.KeyFile); err != nil {
		t.Fatal(err)
	}
	eventually(t, "a missing file is told", func() bool { return strings.Contains(lines.String(), "no such file") })
	if !is("two.example") || strings.Contains(lines.String(), "PRIVATE") {
		t.Fatal(lines.String())
	}
}

func TestProtocols(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	chain, key := pair(t, "one.example", time.Now().Add(time.Hour))
	s, err := certificate.New(t.Context(), certificate.Options{CertFile: write(t, filepath.Join(dir, "c"), chain), KeyFile: write(t, filepath.Join(dir, "k"), key), Log: (&logs{}).logger(), Now: time.Now})
	if err != nil {
		t.Fatal(err)
	}
	address := hello(t, s).Addr().String()
	for version, ok := range map[uint16]bool{tls.VersionTLS10: false, tls.VersionTLS11: false, tls.VersionTLS12: true, tls.VersionTLS13: true} {
		conn, err := tls.DialWithDialer(&net.Dialer{Timeout: patience}, "tcp", address, &tls.Config{InsecureSkipVerify: true, MinVersion: version, MaxVersion: version})
		if (err == nil) != ok {
			t.Errorf("%s: %v", tls.VersionName(version), err)
		}
		if err == nil {
			_ = conn.Close()
		}
	}
}

func TestWhatMakesNoSense(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	chain, key := pair(t, "one.example", time.Now().Add(time.Hour))
	_, other := pair(t, "two.example", time.Now().Add(time.Hour))
	cert, keyFile, wrong, bad := write(t, filepath.Join(dir, "c"), chain), write(t, filepath.Join(dir, "k"), key), write(t, filepath.Join(dir, "o"), other), write(t, filepath.Join(dir, "b"), []byte("x"))
	for name, o := range map[string]certificate.Options{
		"no key":          {CertFile: cert},
		"no certificate":  {KeyFile: keyFile},
		"another's key":   {CertFile: cert, KeyFile: wrong},
		"not there":       {CertFile: cert, KeyFile: filepath.Join(dir, "none")},
		"not PEM":         {CertFile: bad, KeyFile: keyFile},
		"both":            {CertFile: cert, KeyFile: keyFile, Domains: []string{"a.example"}, Storage: dir},
		"an address":      {Domains: []string{"192.0.2.1"}, Storage: dir},
		"no domain":       {Domains: []string{"localhost"}, Storage: dir},
		"a wildcard":      {Domains: []string{"*.example.com"}, Storage: dir},
		"a path":          {Domains: []string{"../../etc.example"}, Storage: dir},
		"roots not there": {Domains: []string{"a.example"}, Roots: filepath.Join(dir, "none"), Storage: dir},
		"roots not PEM":   {Domains: []string{"a.example"}, Roots: bad, Storage: dir},
	} {
		o.Log, o.Now = (&logs{}).logger(), time.Now
		if _, err := certificate.New(t.Context(), o); err == nil {
			t.Errorf("%s: taken", name)
		}
	}
	if (certificate.Options{}).On() {
		t.Error("nothing is HTTPS")
	}
}

// A real authority certifies the controller, by either proof, and a restart asks
// it for nothing.
func TestAuthority(t *testing.T) {
	t.Parallel()
	for _, proof := range []string{"tls-alpn-01", "http-01"} {
		t.Run(proof, func(t *testing.T) {
			t.Parallel()
			domain := proof + ".example.com" // what is being proved is known by its name in all the process
			lines, storage := &logs{}, filepath.Join(t.TempDir(), "certificates")
			plain := listen(t)
			// The authority learns only of the door that this proof comes in by.
			closed := listen(t)
			closedPort := closed.Addr().(*net.TCPAddr).Port
			_ = closed.Close()
			o := certificate.Options{Domains: []string{domain}, Email: "admin@example.com", Storage: storage, Log: lines.logger(), Now: time.Now}

			front := listen(t)
			tlsPort, httpPort := front.Addr().(*net.TCPAddr).Port, closedPort
			if proof == "http-01" {
				tlsPort, httpPort = closedPort, plain.Addr().(*net.TCPAddr).Port
			}
			ca := authority(t, httpPort, tlsPort)
			o.Directory, o.Roots = ca.directory, ca.roots
			s, err := certificate.New(t.Context(), o)
			if err != nil {
				t.Fatal(err)
			}
			serve(t, s.Listen(front))
			var plainAddr net.Addr
			if proof == "http-01" {
				plainAddr = plain.Addr()
				certificate.OnlyHTTP(s)
				during(t, func(ctx context.Context) error { return s.Redirect(ctx, plain, "https://"+domain) })
			} else {
				_ = plain.Close()
			}
			during(t, func(ctx context.Context) error { return s.Run(ctx, front.Addr(), plainAddr) })
			t.Cleanup(func() {
				if t.Failed() {
					t.Log(lines.String())
				}
			})
			eventually(t, "a certificate", func() bool {
				_, err := shown(front.Addr().String(), domain)
				return err == nil
			})
			client := &http.Client{Transport: &http.Transport{
				TLSClientConfig: &tls.Config{RootCAs: ca.pool, MinVersion: tls.VersionTLS12},
				DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
					return (&net.Dialer{}).DialContext(ctx, network, front.Addr().String())
				},
			}}
			defer client.CloseIdleConnections()
			answer, err := client.Get("https://" + domain + "/")
			if err != nil {
				t.Fatal(err)
			}
			_ = answer.Body.Close()
			if answer.ProtoMajor != 1 {
				t.Error(answer.Proto)
			}
			private(t, storage)
			if text := lines.String(); strings.Contains(text, "PRIVATE") || strings.Contains(text, "level=ERROR") {
				t.Error(text)
			}
			first, err := shown(front.Addr().String(), "")
			if err != nil {
				t.Fatal(err)
			}
			if _, err := shown(front.Addr().String(), "other.example.com"); err == nil {
				t.Error("a certificate for another name")
			}

			again, err := certificate.New(t.Context(), o)
			if err != nil {
				t.Fatal(err)
			}
			asked := ca.asked.Load() // nobody is, again
			ln := hello(t, again)
			during(t, func(ctx context.Context) error { return again.Run(ctx, ln.Addr(), nil) })
			eventually(t, "the kept certificate", func() bool {
				c, err := shown(ln.Addr().String(), domain)
				return err == nil && c.SerialNumber.Cmp(first.SerialNumber) == 0
			})
			if n := ca.asked.Load(); n != asked {
				t.Errorf("the authority was asked %d times more", n-asked)
			}
		})
	}
}

func serve(t testing.TB, ln net.Listener) {
	t.Helper()
	server := &http.Server{ReadHeaderTimeout: patience, ErrorLog: log.New(io.Discard, "", 0), Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { _, _ = io.WriteString(w, r.Proto) })}
	done := make(chan struct{})
	go func() { defer close(done); _ = server.Serve(ln) }()
	t.Cleanup(func() { _ = server.Close(); <-done })
}

// private checks that nobody else can read what is kept.
func private(t testing.TB, dir string) {
	t.Helper()
	files := 0
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		if info.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s is %s", path, info.Mode())
		}
		if !d.IsDir() {
			files++
		}
		return nil
	})
	if err != nil || files < 3 {
		t.Errorf("%d files, %v", files, err)
	}
}

func TestRedirect(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	chain, key := pair(t, "one.example", time.Now().Add(time.Hour))
	s, err := certificate.New(t.Context(), certificate.Options{CertFile: write(t, filepath.Join(dir, "c"), chain), KeyFile: write(t, filepath.Join(dir, "k"), key), Log: (&logs{}).logger(), Now: time.Now})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Redirect(t.Context(), listen(t), "http://panel.example.com"); err == nil {
		t.Error("it sends to plain HTTP")
	}
	ln := listen(t)
	during(t, func(ctx context.Context) error { return s.Redirect(ctx, ln, "https://panel.example.com:8443") })
	client := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	for _, tc := range []struct {
		method, path, key, host string
		status                  int
		location                string
	}{
		{"GET", "/", "", "", 308, "https://panel.example.com:8443/"},
		{"GET", "/instances/a?tab=files", "", "", 308, "https://panel.example.com:8443/instances/a?tab=files"},
		{"HEAD", "/x", "", "evil.example", 308, "https://panel.example.com:8443/x"},
		{"GET", "//evil.example/x", "", "", 308, "https://panel.example.com:8443/evil.example/x"},
		{"GET", "/%0d%0aSet-Cookie:x", "", "", 308, "https://panel.example.com:8443/%0D%0ASet-Cookie:x"},
		{"POST", "/", "", "", 403, ""}, {"GET", "/api/v1/me", "", "", 403, ""}, {"GET", "/", "k", "", 403, ""},
	} {
		q, err := http.NewRequestWithContext(t.Context(), tc.method, "http://"+ln.Addr().String()+tc.path, http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		if q.Host = tc.host; tc.key != "" {
			q.Header.Set("X-Api-Key", tc.key)
		}
		answer, err := client.Do(q)
		if err != nil {
			t.Fatal(err)
		}
		_ = answer.Body.Close()
		if h := answer.Header; answer.StatusCode != tc.status || h.Get("Location") != tc.location || h.Get("X-Content-Type-Options") != "nosniff" || h.Get("Content-Security-Policy") == "" || h.Get("Strict-Transport-Security") != "" {
			t.Errorf("%s %s: %d %v", tc.method, tc.path, answer.StatusCode, h)
		}
	}
}
