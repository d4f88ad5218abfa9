package mail_test

import (
	"strings"
	"testing"
	"time"

	"github.com/berth-panel/berth/controller/mail"
	"github.com/berth-panel/berth/controller/mail/mailtest"
	"github.com/berth-panel/berth/controller/roomtest"
	"github.com/berth-panel/berth/controller/store"
	"github.com/berth-panel/berth/shared/problem"
)

func TestAMailIsOrderedAndSent(t *testing.T) {
	t.Parallel()
	b := setup(t, mailtest.Options{})
	b.use(asIs)
	b.run()
	b.order(greeting{To: "anna@example.test", Name: "Anna", Link: "https://panel.example.test/link#abc"})
	m := b.server.Next()
	if m.From != "berth@example.test" || m.To != "anna@example.test" || m.Subject != "A new password for Berth" {
		t.Fatalf("%+v", m)
	}
	if m.Link() != "https://panel.example.test/link#abc" || !strings.Contains(m.Plain, "Hello Anna,") || !strings.Contains(m.HTML, `href="https://panel.example.test/link#abc"`) {
		t.Fatalf("%s\n%s", m.Plain, m.HTML)
	}
	if m.Header.Get("Auto-Submitted") != "auto-generated" || !strings.HasSuffix(m.Header.Get("Message-Id"), "@example.test>") {
		t.Fatalf("%v", m.Header)
	}
	roomtest.Until(b.t, "the queue is empty", func() bool { return b.waiting() == 0 })
}

func TestLanguages(t *testing.T) {
	t.Parallel()
	b := setup(t, mailtest.Options{})
	b.use(asIs)
	b.run()
	for locale, subject := range map[string]string{"de": "Ein neues Passwort für Berth", "de-AT": "Ein neues Passwort für Berth", "fr": "A new password for Berth", "../en": "A new password for Berth"} {
		b.order(greeting{To: "anna@example.test", Name: "Anna", Link: "https://x.test/link#a", Locale: locale})
		if m := b.server.Next(); m.Subject != subject {
			t.Errorf("%s: %q", locale, m.Subject)
		}
	}
}

func TestWhatUsersWriteIsText(t *testing.T) {
	t.Parallel()
	b := setup(t, mailtest.Options{})
	b.use(asIs)
	b.run()
	b.order(greeting{To: "anna@example.test", Name: "<b>{{.Link}}</b>\r\nBcc: eve@example.test\r\n\r\nhttp://evil.test", Link: "https://x.test/link#a"})
	m := b.server.Next()
	if m.Header.Get("Bcc") != "" || strings.Contains(m.HTML, "<b>") || strings.Contains(m.HTML, "{{.Link}}</b>\n") || !strings.Contains(m.HTML, "&lt;b&gt;{{.Link}}&lt;/b&gt;") {
		t.Fatalf("%v\n%s", m.Header, m.HTML)
	}
	if m.Link() != "https://x.test/link#a" { // no line of its own for theirs
		t.Fatal(m.Plain)
	}
}

func TestAnAddressThatIsMoreThanOneIsGivenUp(t *testing.T) {
	t.Parallel()
	b := setup(t, mailtest.Options{})
	b.use(asIs)
	for _, to := range []string{"anna@example.test\r\nBcc: eve@example.test", "Anna <anna@example.test>", "anna@example.test, eve@example.test", "no address"} {
		b.order(greeting{To: to, Link: "https://x.test/link#a"})
	}
	b.run()
	roomtest.Until(b.t, "all are given up", func() bool { return b.waiting() == 0 })
	if n := strings.Count(b.happened(), "mail.failed"); n != 4 || b.server.Count() != 0 {
		t.Fatalf("%d, %d:\n%s", n, b.server.Count(), b.happened())
	}
}

func TestEncryptionAndLogin(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		options mailtest.Options
		way     mail.Security
	}{
		"starttls": {mailtest.Options{StartTLS: true, Username: "berth", Password: "geheim"}, mail.StartTLS},
		"tls":      {mailtest.Options{TLS: true, Username: "berth", Password: "geheim"}, mail.TLS},
	} {
		b := setup(t, c.options)
		b.use(func(s *mail.Server) { s.Security, s.Username = c.way, "berth" })
		if err := b.svc.Test(t.Context(), "anna@example.test"); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if m := b.server.Next(); m.User != "berth" || !m.Encrypted || m.Subject != "A test from Berth" {
			t.Fatalf("%s: %+v", name, m)
		}
	}
}

func TestPlainLoginOnThisMachine(t *testing.T) {
	t.Parallel()
	b := setup(t, mailtest.Options{Username: "berth", Password: "geheim"})
	b.use(func(s *mail.Server) { s.Username = "berth" })
	if err := b.svc.Test(t.Context(), "anna@example.test"); err != nil {
		t.Fatal(err)
	}
}

func TestNothingGoesOutUnencrypted(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		options mailtest.Options
		change  func(*mail.Server)
	}{
		"a server without STARTTLS":      {mailtest.Options{}, func(s *mail.Server) { s.Security = mail.StartTLS }},
		"a server that speaks plain":     {mailtest.Options{}, func(s *mail.Server) { s.Security = mail.TLS }},
		"another machine without it":     {mailtest.Options{}, func(s *mail.Server) { s.Host, s.Port = "192.0.2.1", 25 }},
		"a wrong password":               {mailtest.Options{StartTLS: true, Username: "berth", Password: "else"}, func(s *mail.Server) { s.Security, s.Username = mail.StartTLS, "berth" }},
		"a name that isn't in its proof": {mailtest.Options{StartTLS: true}, func(s *mail.Server) { s.Security, s.Host = mail.StartTLS, "localhost" }},
	} {
		b := setup(t, c.options)
		b.use(c.change)
		if err := b.svc.Test(t.Context(), "anna@example.test"); !problem.Is(err, problem.Conflict) || strings.Contains(err.Error(), "geheim") {
			t.Errorf("%s: %v", name, err)
		}
		if b.server.Count() != 0 {
			t.Errorf("%s: a mail went out", name)
		}
	}
}

func TestAStrangersCertificateIsRefused(t *testing.T) {
	t.Parallel()
	b := setup(t, mailtest.Options{StartTLS: true})
	b.server.Roots = nil // of the system
	b.open()
	b.use(func(s *mail.Server) { s.Security = mail.StartTLS })
	if err := b.svc.Test(t.Context(), "anna@example.test"); !problem.Is(err, problem.Conflict) || b.server.Count() != 0 {
		t.Fatal(err)
	}
}

func TestABadDayOfTheServerIsWaitedFor(t *testing.T) {
	t.Parallel()
	b := setup(t, mailtest.Options{})
	b.use(asIs)
	b.server.Refuse(451, "try later")
	b.run()
	b.order(greeting{To: "anna@example.test", Name: "Anna", Link: "https://x.test/link#a"})
	b.server.WaitRefused(1)
	roomtest.Until(b.t, "the attempt is kept", func() bool { return b.attempts() == 1 })
	b.server.Refuse(0, "")
	b.clock.Add(time.Minute)
	b.order(greeting{}) // rouses it; is about nothing
	first := b.server.Next()
	roomtest.Until(b.t, "the queue is empty", func() bool { return b.waiting() == 0 })
	if b.server.Count() != 1 || strings.Contains(b.happened(), "mail.failed") {
		t.Fatalf("%+v\n%s", first, b.happened())
	}
}

func (b *bundle) attempts() int {
	b.t.Helper()
	var n int
	if err := b.db.Snapshot().QueryRowContext(b.t.Context(), `SELECT COALESCE(MAX(attempts), 0) FROM mails`).Scan(&n); err != nil {
		b.t.Fatal(err)
	}
	return n
}

func TestARefusalForGoodIsTold(t *testing.T) {
	t.Parallel()
	b := setup(t, mailtest.Options{})
	b.use(asIs)
	b.server.Refuse(550, "no such\tmailbox \x1b[31m")
	b.run()
	b.order(greeting{To: "anna@example.test", Name: "Anna", Link: "https://x.test/link#secret"})
	roomtest.Until(b.t, "it is given up", func() bool { return b.waiting() == 0 })
	h := b.happened()
	if b.server.Refused() != 1 || !strings.Contains(h, `mail.failed {"attempts":1,"kind":"hello"`) || strings.Contains(h, "secret") || strings.Contains(h, `\u001b`) {
		t.Fatalf("%d:\n%s", b.server.Refused(), h)
	}
}

func TestAMailThatIsTooOldIsGivenUp(t *testing.T) {
	t.Parallel()
	b := setup(t, mailtest.Options{})
	b.use(asIs)
	b.server.Refuse(451, "try later")
	b.order(greeting{To: "anna@example.test", Link: "https://x.test/link#a"})
	b.clock.Add(time.Hour)
	b.run()
	roomtest.Until(b.t, "it is given up", func() bool { return b.waiting() == 0 })
	if !strings.Contains(b.happened(), "mail.failed") {
		t.Fatal(b.happened())
	}
}

func TestARestartLosesNothing(t *testing.T) {
	t.Parallel()
	b := setup(t, mailtest.Options{})
	b.use(asIs)
	b.server.Refuse(451, "try later")
	stop := b.run()
	b.order(greeting{To: "anna@example.test", Name: "Anna", Link: "https://x.test/link#a"})
	roomtest.Until(b.t, "the attempt is kept", func() bool { return b.attempts() == 1 })
	stop()
	if err := b.db.Close(); err != nil {
		t.Fatal(err)
	}
	b.server.Refuse(0, "")
	b.clock.Add(10 * time.Minute)
	b.open()
	b.run()
	if m := b.server.Next(); m.To != "anna@example.test" {
		t.Fatalf("%+v", m)
	}
}

func TestAnOrderThatWasRolledBackIsNone(t *testing.T) {
	t.Parallel()
	b := setup(t, mailtest.Options{})
	b.use(asIs)
	b.run()
	err := b.db.Write(t.Context(), func(tx *store.Tx) error {
		if err := b.svc.Order(t.Context(), tx, mail.Order{Kind: "hello", About: greeting{To: "eve@example.test"}}); err != nil {
			return err
		}
		return problem.New(problem.Conflict, "no")
	})
	if !problem.Is(err, problem.Conflict) || b.waiting() != 0 {
		t.Fatal(err)
	}
}

func TestWithoutAServerItWaits(t *testing.T) {
	t.Parallel()
	b := setup(t, mailtest.Options{})
	if ready, err := b.svc.Ready(t.Context(), nil); err != nil || ready {
		t.Fatal(ready, err)
	}
	if err := b.svc.Test(t.Context(), "anna@example.test"); !problem.Is(err, problem.Conflict) {
		t.Fatal(err)
	}
	b.run()
	b.order(greeting{To: "anna@example.test", Name: "Anna", Link: "https://x.test/link#a"})
	roomtest.Until(b.t, "the attempt is kept", func() bool { return b.attempts() == 1 })
	b.use(asIs)
	b.clock.Add(time.Minute)
	b.order(greeting{})
	b.server.Next()
}
