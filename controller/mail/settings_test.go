package mail_test

import (
	"context"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"testing"

	"github.com/berth-panel/berth/controller/event"
	"github.com/berth-panel/berth/controller/mail"
	"github.com/berth-panel/berth/controller/mail/mailtest"
	"github.com/berth-panel/berth/controller/roomtest"
	"github.com/berth-panel/berth/controller/store"
)

// local gives what calls the API on its own socket, as an admin does there.
func (b *bundle) local() func(method, path, body string) (int, string) {
	b.t.Helper()
	socket := filepath.Join(b.dir, "s")
	ln, err := net.Listen("unix", socket)
	if err != nil {
		b.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(b.t.Context())
	done := make(chan error, 1)
	go func() { done <- b.api.Serve(ctx, ln) }()
	client := &http.Client{Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", socket)
	}}}
	b.t.Cleanup(func() {
		client.CloseIdleConnections()
		cancel()
		if err := <-done; err != nil {
			b.t.Error(err)
		}
	})
	return func(method, path, body string) (int, string) {
		b.t.Helper()
		req, err := http.NewRequestWithContext(b.t.Context(), method, "http://here/api/v1"+path, strings.NewReader(body))
		if err != nil {
			b.t.Fatal(err)
		}
		res, err := client.Do(req)
		if err != nil {
			b.t.Fatal(err)
		}
		defer func() { _ = res.Body.Close() }()
		text, err := io.ReadAll(res.Body)
		if err != nil {
			b.t.Fatal(err)
		}
		return res.StatusCode, string(text)
	}
}

func TestSettingsGoInAndTheSecretNeverOut(t *testing.T) {
	t.Parallel()
	b := setup(t, mailtest.Options{})
	call := b.local()
	status, text := call("PATCH", "/settings/mail", `{"host":"mail.example.test","from":"berth@example.test","username":"berth","password":"very secret","alerts":true}`)
	if status != 200 || strings.Contains(text, "very secret") || !strings.Contains(text, `"has_password":true`) || !strings.Contains(text, `"security":"starttls"`) {
		t.Fatal(status, text)
	}
	if status, text := call("GET", "/settings/mail", ""); status != 200 || strings.Contains(text, "very secret") || !strings.Contains(text, `"host":"mail.example.test"`) {
		t.Fatal(status, text)
	}
	h := b.happened()
	if h != `settings.changed {"changed":["alerts","from","host","username","password"]}` {
		t.Fatal(h)
	}
	var value string
	var sealed []byte
	if err := b.db.Snapshot().QueryRowContext(t.Context(), `SELECT value, secret FROM settings WHERE name = 'mail'`).Scan(&value, &sealed); err != nil {
		t.Fatal(err)
	}
	if strings.Contains(value+string(sealed), "very secret") {
		t.Fatal("the password is in the database as it is")
	}
	// The same again changes nothing and tells nobody.
	if status, _ := call("PATCH", "/settings/mail", `{"host":"mail.example.test"}`); status != 200 || b.happened() != h {
		t.Fatal(status, b.happened())
	}
	if status, text := call("PATCH", "/settings/mail", `{"host":""}`); status != 200 || !strings.Contains(text, `"has_password":false`) {
		t.Fatal(status, text)
	}
}

func TestBadSettings(t *testing.T) {
	t.Parallel()
	b := setup(t, mailtest.Options{})
	call := b.local()
	if status, text := call("PATCH", "/settings/mail", `{"host":"mail.example.test","from":"berth@example.test","username":"berth","password":"very secret"}`); status != 200 {
		t.Fatal(status, text)
	}
	before := b.happened()
	for body, field := range map[string]string{
		`{"host":"evil.example.test"}`:               `"field":"password"`, // it would be told the password
		`{"port":26}`:                                `"field":"password"`,
		`{"username":"other"}`:                       `"field":"password"`,
		`{"security":"tls"}`:                         `"field":"password"`,
		`{"password":null}`:                          `"field":"password"`,
		`{"host":"mail.example.test\r\nQUIT"}`:       `"field":"host"`,
		`{"host":"-x"}`:                              `"field":"host"`,
		`{"security":"none"}`:                        `"field":"security"`,
		`{"security":"perhaps"}`:                     `security`,
		`{"port":0}`:                                 `port`,
		`{"from":""}`:                                `"field":"from"`,
		`{"from":"Berth <berth@example.test>"}`:      `"field":"from"`,
		`{"from":"a@example.test,b@example.test"}`:   `"field":"from"`,
		`{"from":"a@example.test\nBcc: b@b.test"}`:   `"field":"from"`,
		`{"username":"a\r\nb","password":"x y z 1"}`: `"field":"username"`,
		`{"colour":"red"}`:                           `colour`,
	} {
		if status, text := call("PATCH", "/settings/mail", body); status != 422 || !strings.Contains(text, field) {
			t.Errorf("%s: %d %s", body, status, text)
		}
	}
	if b.happened() != before {
		t.Fatal(b.happened())
	}
	if status, text := call("POST", "/settings/mail/test", `{"to":"no address"}`); status != 422 {
		t.Fatal(status, text)
	}
}

func TestATestMailByTheAPI(t *testing.T) {
	t.Parallel()
	b := setup(t, mailtest.Options{})
	call := b.local()
	if status, text := call("POST", "/settings/mail/test", `{"to":"anna@example.test"}`); status != 409 {
		t.Fatal(status, text)
	}
	b.use(asIs)
	if status, text := call("POST", "/settings/mail/test", `{"to":"anna@example.test"}`); status != 200 {
		t.Fatal(status, text)
	}
	b.server.Next()
	b.server.Refuse(550, "we don't know you")
	if status, text := call("POST", "/settings/mail/test", `{"to":"anna@example.test"}`); status != 409 || !strings.Contains(text, "we don't know you") {
		t.Fatal(status, text)
	}
}

// staff are the admins of these tests.
type staff []mail.Person

// Admins is mail.People's.
func (s staff) Admins(context.Context) ([]mail.Person, error) { return s, nil }

func TestAdminsHearOfANodeThatIsGone(t *testing.T) {
	t.Parallel()
	b := setup(t, mailtest.Options{})
	b.use(func(s *mail.Server) { s.Alerts = true })
	ctx, cancel := context.WithCancel(t.Context())
	over := make(chan struct{})
	go func() {
		defer close(over)
		b.svc.Alert(ctx, staff{{Email: "anna@example.test"}, {Email: "bob@example.test", Locale: "de"}})
	}()
	defer func() {
		cancel()
		<-over
	}()
	b.run()
	gone := func() {
		err := b.db.Write(t.Context(), func(tx *store.Tx) error {
			return b.events.Append(t.Context(), tx, event.Event{Type: "node.offline", Node: "n1"}, map[string]any{"name": "rack-7", "reason": "it doesn't answer"})
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	// Who listens has no other sign of it: told until a mail is there.
	roomtest.Until(b.t, "a mail", func() bool { gone(); return b.server.Count() > 0 })
	got := map[string]string{}
	for len(got) < 2 { // each fact orders one for each of them
		m := b.server.Next()
		got[m.To] = m.Subject + m.Plain
	}
	if a := got["anna@example.test"]; !strings.Contains(a, "The node rack-7 is offline") || !strings.Contains(a, "it doesn't answer") {
		t.Fatal(got)
	}
	if !strings.Contains(got["bob@example.test"], "Der Node rack-7 ist offline") {
		t.Fatal(got)
	}
}
