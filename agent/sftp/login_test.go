package sftp

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/pkg/sftp"
	"golang.org/x/crypto/ssh"

	"github.com/berth-panel/berth/shared/wire"
)

// try logs in, hangs up, and gives what the server said.
func (b *bundle) try(user string, methods ...ssh.AuthMethod) (banner string, err error) {
	conn, err := ssh.Dial("tcp", b.Addr().String(), &ssh.ClientConfig{User: user, Auth: methods, HostKeyCallback: ssh.FixedHostKey(b.hostKey()), Timeout: patience,
		BannerCallback: func(message string) error { banner += message; return nil }})
	if err == nil {
		_ = conn.Close()
	}
	return banner, err
}

func TestWhoMayLogIn(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.answerer(map[string]wire.LoginAnswer{
		"anna.b": {Allowed: true, User: "u-anna", Password: "stamp-1"},
		"bob":    {Message: "you need a key"},
	})
	b.newKey("stranger", filepath.Join(t.TempDir(), "key"))
	anna, stranger := ssh.PublicKeys(b.keys["anna"]), ssh.PublicKeys(b.keys["stranger"])
	for what, c := range map[string]struct {
		user   string
		method ssh.AuthMethod
		ok     bool
		says   string
	}{
		"her key":                      {"anna.b." + string(one), anna, true, ""},
		"names have no case":           {"ANNA.B." + strings.ToUpper(string(one)), anna, true, ""},
		"her password":                 {"anna.b." + string(one), ssh.Password(password), true, ""},
		"a wrong password":             {"anna.b." + string(one), ssh.Password("guess"), false, ""},
		"somebody else's instance":     {"anna.b." + string(two), anna, false, ""},
		"an instance that isn't there": {"anna.b.ffffffff", anna, false, ""},
		"somebody else's name":         {"bob." + string(two), anna, false, ""},
		"a key that nobody has":        {"anna.b." + string(one), stranger, false, ""},
		"a sentence for who knows":     {"bob." + string(two), ssh.Password(password), false, "you need a key"},
		"no instance":                  {"anna.b", anna, false, "username.instanceid"},
		"nothing":                      {"", anna, false, "username.instanceid"},
		"a path":                       {"anna.b.../../../x", anna, false, "username.instanceid"},
	} {
		banner, err := b.try(c.user, c.method)
		if (err == nil) != c.ok || !strings.Contains(banner, c.says) || c.says == "" && banner != "" {
			t.Errorf("%s: %q, %v", what, banner, err)
		}
	}
}

func TestARestartForgetsNothing(t *testing.T) {
	t.Parallel()
	b := setup(t)
	key := b.Announced().HostKey
	b.stop()
	b.open(b.Dir)
	if b.Announced().HostKey != key {
		t.Error("the host key is another")
	}
	if banner, err := b.try("anna.b."+string(one), ssh.PublicKeys(b.keys["anna"])); err != nil {
		t.Errorf("her key: %q, %v", banner, err)
	}
	if banner, err := b.try("anna.b."+string(one), ssh.Password(password)); err == nil || !strings.Contains(banner, "controller is away") {
		t.Errorf("her password: %q, %v", banner, err)
	}
	// An older push changes nothing.
	held, err := b.put(wire.Logins{})
	if err != nil || held.Revision != b.all.Revision {
		t.Errorf("it holds %+v, %v", held, err)
	}
	if _, err := b.try("anna.b."+string(one), ssh.PublicKeys(b.keys["anna"])); err != nil {
		t.Errorf("after an older push: %v", err)
	}
}

func TestSessionsAreCut(t *testing.T) {
	t.Parallel()
	for what, change := range map[string]func(*wire.Logins){
		"the key":      func(l *wire.Logins) { l.People[0].Keys = nil },
		"the person":   func(l *wire.Logins) { l.People = l.People[1:] },
		"the right":    func(l *wire.Logins) { l.Rights = l.Rights[1:] },
		"a suspension": func(l *wire.Logins) { l.Rights[0].Refused = "the instance is suspended" },
		"everything":   func(l *wire.Logins) { l.People, l.Rights = nil, nil },
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			b := setup(t)
			c := b.client()
			f, err := c.Create("/f")
			must(t, err)
			ended := make(chan struct{})
			go func() {
				defer close(ended)
				chunk := make([]byte, 100<<10)
				for {
					if _, err := f.WriteAt(chunk, 0); err != nil {
						return
					}
				}
			}()
			b.change(change)
			<-ended
			b.until("the session is gone", func() bool { return b.sessions.users.Open() == 0 })
			if _, err := c.Stat("/f"); err == nil {
				t.Error("the session goes on")
			}
			if _, err := b.try("anna.b."+string(one), ssh.PublicKeys(b.keys["anna"])); err == nil {
				t.Error("she comes in again")
			}
		})
	}
}

func TestPasswordSessionsEndWithThePassword(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.answerer(map[string]wire.LoginAnswer{"anna.b": {Allowed: true, User: "u-anna", Password: "stamp-1"}})
	conn, err := b.dial("anna.b."+string(one), ssh.Password(password))
	must(t, err)
	defer func() { _ = conn.Close() }()
	c, err := sftp.NewClient(conn)
	must(t, err)
	byKey := b.client()
	b.change(func(l *wire.Logins) { l.People[0].Password = "stamp-2" })
	b.until("the session by password is cut", func() bool { _, err := c.ReadDir("/"); return err != nil })
	if _, err := byKey.ReadDir("/"); err != nil {
		t.Errorf("the session by key: %v", err)
	}
}

// An answer that is older than a push doesn't count; one that is newer waits for
// its push.
func TestAnswersAndPushesCross(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.answerer(map[string]wire.LoginAnswer{"carl": {Allowed: true, User: "u-carl", Password: "stamp-c"}})
	done := make(chan error, 1)
	go func() {
		_, err := b.try("carl."+string(one), ssh.Password(password))
		done <- err
	}()
	b.until("the answer is there", func() bool {
		b.asker.mu.Lock()
		defer b.asker.mu.Unlock()
		return b.asker.last > 0 && len(b.asker.pending) == 0
	})
	b.change(func(l *wire.Logins) {
		l.People = append(l.People, wire.LoginPerson{User: "u-carl", Username: "carl", Password: "stamp-c", Everywhere: true})
	})
	if err := <-done; err != nil {
		t.Errorf("the push came, but %v", err)
	}
}

func TestGuessesAreSlowedDown(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.answerer(map[string]wire.LoginAnswer{"anna.b": {Allowed: true, User: "u-anna", Password: "stamp-1"}})
	slowed := false
	for n := range 20 {
		banner, err := b.try("anna.b."+string(one), ssh.RetryableAuthMethod(ssh.PasswordCallback(func() (string, error) { return fmt.Sprint("guess ", n), nil }), 3))
		if err == nil {
			t.Fatal("a guess came in")
		}
		if slowed = slowed || strings.Contains(banner, "Too many tries"); slowed {
			break
		}
	}
	if !slowed {
		t.Fatal("nobody was slowed down")
	}
	b.asker.mu.Lock()
	asked := b.asker.last
	b.asker.mu.Unlock()
	if asked > 12 {
		t.Errorf("the controller was asked %d times", asked)
	}
	if _, err := b.try("anna.b."+string(one), ssh.PublicKeys(b.keys["anna"])); err != nil {
		t.Errorf("her key is slowed down too: %v", err)
	}
}

func TestSessionsAreCounted(t *testing.T) {
	t.Parallel()
	b := setup(t)
	var all sync.WaitGroup
	for range sessionsUser {
		b.client()
	}
	conn, err := b.dial("anna.b."+string(one), ssh.PublicKeys(b.keys["anna"]))
	must(t, err)
	defer func() { _ = conn.Close() }()
	if c, err := sftp.NewClient(conn); err == nil {
		if _, err = c.ReadDir("/"); err == nil {
			t.Error("one more session than there may be works")
		}
	}
	all.Wait()
}

func TestThereIsOnlySFTP(t *testing.T) {
	t.Parallel()
	b := setup(t)
	conn, err := b.dial("anna.b."+string(one), ssh.PublicKeys(b.keys["anna"]))
	must(t, err)
	defer func() { _ = conn.Close() }()
	if _, _, err := conn.OpenChannel("direct-tcpip", ssh.Marshal(struct {
		Host   string
		Port   uint32
		Origin string
		From   uint32
	}{"127.0.0.1", 22, "127.0.0.1", 1})); err == nil {
		t.Error("it forwards")
	}
	if ok, _, err := conn.SendRequest("tcpip-forward", true, nil); ok || err != nil {
		t.Errorf("it listens for others: %v, %v", ok, err)
	}
	s, err := conn.NewSession()
	must(t, err)
	if err := s.Setenv("LD_PRELOAD", "x"); err == nil {
		t.Error("it takes an environment")
	}
	if err := s.RequestPty("xterm", 1, 1, nil); err == nil {
		t.Error("it gives a terminal")
	}
	out, err := s.CombinedOutput("id")
	var exit *ssh.ExitError
	if !errors.As(err, &exit) || exit.ExitStatus() != 1 || string(out) != "There is only SFTP here.\n" {
		t.Errorf("a command: %q, %v", out, err)
	}
	other, err := conn.NewSession()
	must(t, err)
	if err := other.RequestSubsystem("netconf"); err == nil {
		t.Error("another subsystem works")
	}
	must(t, other.RequestSubsystem("sftp"))
	if third, err := conn.NewSession(); err == nil {
		if third.RequestSubsystem("sftp") == nil {
			t.Error("two sessions work on one connection")
		}
	}
}
