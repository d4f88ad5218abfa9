package app_test

import (
	"context"
	"crypto/tls"
	"net"
	"net/http"
	"strings"
	"testing"

	"github.com/berth-panel/berth/controller/certificate"
)

// Whatever is answered, to whomever: a browser is told to trust it with nothing
// that it doesn't need.
func TestEveryAnswerIsGuarded(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	cert, key, pool := selfSigned(t, dir)
	c := config(t, t.TempDir())
	c.PublicURL, c.HSTS, c.TLS = proxyURL, true, certificate.Options{CertFile: cert, KeyFile: key}
	b := setupWith(t, c)
	address := strings.TrimPrefix(b.url, "http://")
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12},
		DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, network, address)
		}}
	defer transport.CloseIdleConnections()
	client := &http.Client{Transport: transport, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	for name, tc := range map[string]struct {
		method, path, key string
		status            int
		page              bool // it is one of ours, which may run
	}{
		"the panel":              {"GET", "/", "", 200, true},
		"an address of it":       {"GET", "/instances/0123abcd/console", "", 200, true},
		"its head":               {"HEAD", "/", "", 200, true},
		"what isn't there":       {"GET", "/assets/none.js", "", 404, true},
		"the documentation":      {"GET", "/docs", "", 200, true},
		"its script":             {"GET", "/docs/docs.js", "", 200, true},
		"the OpenAPI document":   {"GET", "/openapi.json", "", 200, true},
		"a call":                 {"GET", "/api/v1/me", adminKey, 200, false},
		"a call without a key":   {"GET", "/api/v1/me", "", 401, false},
		"no such call":           {"GET", "/api/v1/none", "", 404, false},
		"a wrong method":         {"PUT", "/api/v1/me", adminKey, 405, false},
		"an unknown method":      {"TRACE", "/", "", 405, false},
		"a wrong body":           {"POST", "/api/v1/users", adminKey, 400, false},
		"the classic API":        {"GET", "/api/instances", adminKey, 200, false},
		"and its errors":         {"GET", "/api/none", "", 404, false},
		"a download":             {"GET", "/metrics", adminKey, 200, false},
		"a download that failed": {"GET", "/api/v1/downloads/none", "", 404, false},
		"a socket that isn't":    {"GET", "/api/v1/live", adminKey, 426, false},
		"a login elsewhere":      {"GET", "/api/v1/auth/oidc/start", "", 0, false},
	} {
		q, err := http.NewRequestWithContext(t.Context(), tc.method, proxyURL+tc.path, http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		if tc.key != "" {
			q.Header.Set("X-Api-Key", tc.key)
		}
		answer, err := client.Do(q)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		_ = answer.Body.Close()
		if tc.status != 0 && answer.StatusCode != tc.status {
			t.Errorf("%s: %s", name, answer.Status)
		}
		guarded(t, name, answer.Header, tc.page)
	}
}

func guarded(t *testing.T, name string, h http.Header, page bool) {
	t.Helper()
	for header, want := range map[string]string{
		"X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer", "X-Frame-Options": "DENY",
		"Cross-Origin-Opener-Policy": "same-origin", "Cross-Origin-Resource-Policy": "same-origin",
	} {
		if got := h.Get(header); got != want {
			t.Errorf("%s: %s is %q", name, header, got)
		}
	}
	if h.Get("Strict-Transport-Security") == "" || !strings.Contains(h.Get("Permissions-Policy"), "camera=()") || h.Get("Server") != "" || h.Get("X-Powered-By") != "" {
		t.Errorf("%s: %v", name, h)
	}
	policy := map[string]string{}
	for part := range strings.SplitSeq(h.Get("Content-Security-Policy"), ";") {
		what, sources, _ := strings.Cut(strings.TrimSpace(part), " ")
		policy[what] = sources
	}
	want := map[string]string{"default-src": "'none'", "base-uri": "'none'", "frame-ancestors": "'none'"}
	if page {
		for what, sources := range map[string]string{"script-src": "'self'", "style-src": "'self'", "img-src": "'self' data:", "connect-src": "'self'", "form-action": "'self'"} {
			want[what] = sources
		}
	} else if _, boxed := policy["sandbox"]; !boxed || policy["script-src"] != "" {
		t.Errorf("%s: what is no page of ours might run: %v", name, policy)
	}
	for what, sources := range want {
		if policy[what] != sources {
			t.Errorf("%s: %s is %q, want %q", name, what, policy[what], sources)
		}
	}
	if all := h.Get("Content-Security-Policy"); strings.Contains(all, "unsafe") || strings.Contains(all, "*") {
		t.Errorf("%s: %s", name, all)
	}
}
