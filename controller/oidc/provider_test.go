package oidc_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"database/sql"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"time"

	"github.com/berth-panel/berth/shared/ident"
)

// realProvider is a glewlwyd of our own on the loopback interface, one for all tests
// of the package: Debian's package of it, with its database in a temporary folder.
// Clients and people are made for each test.
type realProvider struct {
	base  string // http://127.0.0.1:PORT/api
	admin *http.Client
	err   error
	stop  func()
}

var provider realProvider // set by TestMain before any test

const (
	schema   = "/usr/share/dbconfig-common/data/glewlwyd/install/sqlite3"
	modules  = "/usr/lib/glewlwyd"
	patience = time.Minute
)

// startProvider starts it; without the program it gives nothing and no error.
func startProvider(ctx context.Context, dir string) (p realProvider) {
	program, err := exec.LookPath("glewlwyd")
	if err != nil {
		return realProvider{err: err, stop: func() {}}
	}
	for range 5 { // another process may take the port between our look and its listening
		if p = launch(ctx, program, dir); p.err == nil {
			return p
		}
		p.stop()
	}
	return p
}

func launch(ctx context.Context, program, dir string) realProvider {
	p := realProvider{stop: func() {}}
	home, err := os.MkdirTemp(dir, "provider")
	if err != nil {
		p.err = err
		return p
	}
	if p.err = fillDatabase(ctx, filepath.Join(home, "db")); p.err != nil {
		return p
	}
	port, err := freePort()
	if err != nil {
		p.err = err
		return p
	}
	gate := oneAtATime(port)
	p.stop = gate.Close
	p.base = gate.URL + "/api"
	config := fmt.Sprintf(`port=%d
bind_address="127.0.0.1"
external_url=%q
login_url="login.html"
api_prefix="api"
log_mode="console"
log_level="WARNING"
cookie_secure=0
session_expiration=3600
session_key="PROVIDER"
admin_scope="g_admin"
profile_scope="g_profile"
user_module_path="%[3]s/user"
user_middleware_module_path="%[3]s/user_middleware"
client_module_path="%[3]s/client"
user_auth_scheme_module_path="%[3]s/scheme"
plugin_module_path="%[3]s/plugin"
hash_algorithm="SHA512"
database={ type="sqlite3" path=%[4]q };
`, port, gate.URL, modules, filepath.Join(home, "db"))
	file := filepath.Join(home, "conf")
	if p.err = os.WriteFile(file, []byte(config), 0o600); p.err != nil {
		return p
	}
	var said bytes.Buffer
	cmd := exec.CommandContext(ctx, program, "--config-file="+file)
	cmd.Stdout, cmd.Stderr = &said, &said
	if p.err = cmd.Start(); p.err != nil {
		return p
	}
	over := make(chan struct{})
	go func() {
		defer close(over)
		_ = cmd.Wait()
	}()
	p.stop = func() {
		gate.Close()
		_ = cmd.Process.Kill()
		<-over
	}
	if p.err = p.prepare(ctx, over); p.err != nil {
		p.stop()
		p.err = fmt.Errorf("%w; it said: %s", p.err, said.String())
	}
	return p
}

// oneAtATime stands before the provider, whose SQLite answers 500 to who writes while
// another does.
func oneAtATime(port int) *httptest.Server {
	var turn sync.Mutex
	proxy := httputil.NewSingleHostReverseProxy(&url.URL{Scheme: "http", Host: fmt.Sprintf("127.0.0.1:%d", port)})
	proxy.ErrorLog = log.New(io.Discard, "", 0)
	return httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		turn.Lock()
		defer turn.Unlock()
		proxy.ServeHTTP(w, r)
	}))
}

func fillDatabase(ctx context.Context, path string) error {
	text, err := os.ReadFile(schema)
	if err != nil {
		return err
	}
	db, err := sql.Open("sqlite3", path)
	if err != nil {
		return err
	}
	defer func() { _ = db.Close() }()
	_, err = db.ExecContext(ctx, string(text))
	return err
}

func freePort() (int, error) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	defer func() { _ = ln.Close() }()
	return ln.Addr().(*net.TCPAddr).Port, nil
}

// prepare waits until it answers, and makes it a provider of OpenID Connect.
func (p *realProvider) prepare(ctx context.Context, over <-chan struct{}) error {
	jar, err := cookiejar.New(nil)
	if err != nil {
		return err
	}
	p.admin = &http.Client{Jar: jar}
	deadline := time.After(patience)
	for {
		err := p.call(ctx, p.admin, "POST", "/auth/", map[string]any{"username": "admin", "password": "password"})
		if err == nil {
			break
		}
		select {
		case <-over:
			return fmt.Errorf("the provider ended: %w", err)
		case <-deadline:
			return fmt.Errorf("the provider doesn't answer: %w", err)
		case <-time.After(20 * time.Millisecond):
		}
	}
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return err
	}
	public, err := x509.MarshalPKIXPublicKey(&key.PublicKey)
	if err != nil {
		return err
	}
	data := map[string]any{"multiple": false, "read": true, "write": true}
	steps := []struct {
		method, path string
		body         map[string]any
	}{
		{"PUT", "/mod/user/database", map[string]any{"module": "database", "name": "database", "display_name": "Database", "order_rank": 0,
			"enabled": true, "readonly": false, "multiple_passwords": false, "parameters": map[string]any{"use-glewlwyd-connection": true, "data-format": map[string]any{
				"email_verified": data, "groups": map[string]any{"multiple": true, "read": true, "write": true}}}}},
		{"PUT", "/mod/user/database/reset", nil},
		{"POST", "/scope/", map[string]any{"name": "email", "display_name": "email", "password_required": true, "password_max_age": 0, "scheme": map[string]any{}}},
		{"POST", "/scope/", map[string]any{"name": "profile", "display_name": "profile", "password_required": true, "password_max_age": 0, "scheme": map[string]any{}}},
		{"POST", "/mod/plugin/", map[string]any{"module": "oidc", "name": "oidc", "display_name": "oidc", "parameters": map[string]any{
			"iss": p.base + "/oidc", "jwt-type": "rsa", "jwt-key-size": "256",
			"key":                   string(pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(key)})),
			"cert":                  string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: public})),
			"access-token-duration": 3600, "refresh-token-duration": 3600, "code-duration": 600, "refresh-token-rolling": true, "allow-non-oidc": false,
			"auth-type-code-enabled": true, "auth-type-token-enabled": false, "auth-type-id-token-enabled": true, "auth-type-none-enabled": false,
			"auth-type-password-enabled": false, "auth-type-client-enabled": false, "auth-type-refresh-enabled": false,
			"pkce-allowed": true, "pkce-method-plain-allowed": false, "pkce-required": true, "jwks-show": true, "subject-type": "public",
			"allowed-scope": []string{"openid", "email", "profile", "g_profile"}, "email-claim": "mandatory", "name-claim": "mandatory", "scope-claim": "no",
			"claims": []map[string]any{
				{"name": "email_verified", "user-property": "email_verified", "type": "boolean", "boolean-value-true": "1", "boolean-value-false": "0", "mandatory": true},
				{"name": "preferred_username", "user-property": "username", "type": "string", "mandatory": true},
				{"name": "groups", "user-property": "groups", "type": "string", "mandatory": true},
			}}}},
	}
	for _, s := range steps {
		if err := p.call(ctx, p.admin, s.method, s.path, s.body); err != nil {
			return err
		}
	}
	return nil
}

// call calls the provider's own API.
func (p *realProvider) call(ctx context.Context, as *http.Client, method, path string, body map[string]any) error {
	b, err := json.Marshal(body)
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, method, p.base+path, bytes.NewReader(b))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	res, err := as.Do(req)
	if err != nil {
		return err
	}
	defer func() { _ = res.Body.Close() }()
	text, err := io.ReadAll(res.Body)
	if err == nil && res.StatusCode >= 300 {
		err = fmt.Errorf("%s %s: %d %s", method, path, res.StatusCode, text)
	}
	return err
}

// person is somebody at the provider.
type person struct {
	name, email string
	verified    string // "1", "0", "" says nothing
	groups      []string
}

func (b *bundle) person(p person) {
	b.t.Helper()
	body := map[string]any{"username": p.name, "name": p.name, "email": p.email, "password": "a long password", "enabled": true,
		"scope": []string{"openid", "email", "profile", "g_profile"}}
	if p.verified != "" {
		body["email_verified"] = p.verified
	}
	if p.groups != nil {
		body["groups"] = p.groups
	}
	// Of an earlier run of the same test (-count): it needn't be there.
	_ = provider.call(b.t.Context(), provider.admin, "DELETE", "/user/"+url.PathEscape(p.name), nil)
	if err := provider.call(b.t.Context(), provider.admin, "POST", "/user/", body); err != nil {
		b.t.Fatal(err)
	}
}

// client makes the provider know a panel.
func (b *bundle) registerClient() {
	b.t.Helper()
	b.client = "panel-" + ident.New()
	err := provider.call(b.t.Context(), provider.admin, "POST", "/client/", map[string]any{
		"client_id": b.client, "name": b.client, "enabled": true, "confidential": true, "client_secret": clientSecret,
		"redirect_uri": []string{b.url + "/api/v1/auth/oidc/callback"}, "authorization_type": []string{"code"},
		"token_endpoint_auth_method": []string{"client_secret_basic"}, "scope": []string{},
	})
	if err != nil {
		b.t.Fatal(err)
	}
}

// consent is what somebody does at the provider's page, and gives where the provider
// sends his browser. He logs in there once for each test: that is dear.
func (b *bundle) consent(name, authorize string) string {
	b.t.Helper()
	his := b.there[name]
	if his == nil {
		his = b.loginThere(name)
		b.there[name] = his
	}
	req, err := http.NewRequestWithContext(b.t.Context(), http.MethodGet, authorize+"&g_continue", nil)
	if err != nil {
		b.t.Fatal(err)
	}
	res, err := his.Do(req)
	if err != nil {
		b.t.Fatal(err)
	}
	_ = res.Body.Close()
	return res.Header.Get("Location")
}

func (b *bundle) loginThere(name string) *http.Client {
	b.t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		b.t.Fatal(err)
	}
	his := &http.Client{Jar: jar, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	if err := provider.call(b.t.Context(), his, "POST", "/auth/", map[string]any{"username": name, "password": "a long password"}); err != nil {
		b.t.Fatal(err)
	}
	if err := provider.call(b.t.Context(), his, "PUT", "/auth/grant/"+url.PathEscape(b.client), map[string]any{"scope": "openid email profile"}); err != nil {
		b.t.Fatal(err)
	}
	return his
}
