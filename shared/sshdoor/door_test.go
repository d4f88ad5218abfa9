package sshdoor_test

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
	"golang.org/x/crypto/ssh"

	"github.com/berth-panel/berth/shared/problem"
	"github.com/berth-panel/berth/shared/sshdoor"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// echo lets everybody in whose password is right, and says what he says.
type echo struct{ begun chan struct{} }

func (e *echo) Password(_ context.Context, l sshdoor.Login, password string) (sshdoor.Login, error) {
	switch password {
	case "right":
		return l, nil
	case "suspended":
		return l, problem.New(problem.Conflict, "it is suspended")
	}
	return l, errors.New("secret reasons")
}

func (e *echo) Key(_ context.Context, l sshdoor.Login, _ ssh.PublicKey) (sshdoor.Login, error) {
	return l, nil
}

func (e *echo) Proven(_ context.Context, l sshdoor.Login) error {
	return problem.New(problem.Conflict, "you are known, %s, but keys don't do", l.Username)
}

func (e *echo) Serve(ctx context.Context, _ sshdoor.Login, channel sshdoor.Channel) error {
	e.begun <- struct{}{}
	detach := context.AfterFunc(ctx, func() { channel.End("it is over") })
	defer detach()
	_, _ = io.Copy(channel, channel)
	return context.Cause(ctx)
}

// open runs a door until the returned function is called.
func open(t *testing.T, idle time.Duration) (address string, e *echo, shut func()) {
	t.Helper()
	key, err := sshdoor.HostKey(filepath.Join(t.TempDir(), "key"))
	must(t, err)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	e = &echo{begun: make(chan struct{}, 100)}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() {
		done <- sshdoor.New[sshdoor.Login](e, sshdoor.Options{HostKey: key, Log: slog.New(slog.DiscardHandler), Idle: idle, Handshake: time.Hour}).Serve(ctx, listener)
	}()
	ended := false
	shut = func() {
		if ended {
			return
		}
		ended = true
		cancel()
		must(t, <-done)
	}
	t.Cleanup(shut)
	return listener.Addr().String(), e, shut
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func dial(address string, banner *string, methods ...ssh.AuthMethod) (*ssh.Client, error) {
	return ssh.Dial("tcp", address, &ssh.ClientConfig{User: "anna.0123abcd", Auth: methods, HostKeyCallback: ssh.InsecureIgnoreHostKey(), Timeout: time.Minute, //nolint:gosec // the key is another test's matter
		BannerCallback: func(text string) error {
			if banner != nil {
				*banner += text
			}
			return nil
		}})
}

func TestWhatPeopleAreTold(t *testing.T) {
	t.Parallel()
	address, _, _ := open(t, 0)
	signer, err := sshdoor.HostKey(filepath.Join(t.TempDir(), "mine"))
	must(t, err)
	for what, c := range map[string]struct {
		method ssh.AuthMethod
		says   string
	}{
		"a wrong password":  {ssh.Password("wrong"), ""},
		"a sentence":        {ssh.Password("suspended"), "it is suspended"},
		"a key, once shown": {ssh.PublicKeys(signer), "you are known, anna"},
	} {
		var banner string
		if conn, err := dial(address, &banner, c.method); err == nil {
			_ = conn.Close()
			t.Errorf("%s comes in", what)
		}
		if !strings.Contains(banner, c.says) || c.says == "" && banner != "" || strings.Contains(banner, "secret") {
			t.Errorf("%s: %q", what, banner)
		}
	}
}

// session begins one and gives its ends.
func session(t *testing.T, address string) (conn *ssh.Client, in io.Writer, out, said io.Reader) {
	t.Helper()
	conn, err := dial(address, nil, ssh.Password("right"))
	must(t, err)
	t.Cleanup(func() { _ = conn.Close() })
	s, err := conn.NewSession()
	must(t, err)
	in, err = s.StdinPipe()
	must(t, err)
	out, err = s.StdoutPipe()
	must(t, err)
	said, err = s.StderrPipe()
	must(t, err)
	must(t, s.RequestSubsystem("sftp"))
	return conn, in, out, said
}

func TestSessionsEndWithTheDoor(t *testing.T) {
	t.Parallel()
	address, _, shut := open(t, 0)
	_, in, out, said := session(t, address)
	_, err := in.Write([]byte("hello"))
	must(t, err)
	got := make([]byte, 5)
	_, err = io.ReadFull(out, got)
	must(t, err)
	shut()
	words, _ := io.ReadAll(said)
	if string(got) != "hello" || !strings.Contains(string(words), "it is over") {
		t.Errorf("%q, and at the end %q", got, words)
	}
}

func TestIdleSessionsEnd(t *testing.T) {
	t.Parallel()
	address, _, _ := open(t, 50*time.Millisecond)
	_, _, out, said := session(t, address)
	words, _ := io.ReadAll(said)
	if rest, err := io.ReadAll(out); len(rest) != 0 {
		t.Errorf("%q, %v", rest, err)
	}
	if !strings.Contains(string(words), "it is over") {
		t.Errorf("at the end it said %q", words)
	}
}

// A client that takes nothing in doesn't keep its session.
func TestStuckClientsAreHungUp(t *testing.T) {
	t.Parallel()
	address, e, shut := open(t, 0)
	_, in, _, _ := session(t, address)
	go func() { // its own window is full soon, and nobody reads
		for {
			if _, err := in.Write(make([]byte, 1<<20)); err != nil {
				return
			}
		}
	}()
	<-e.begun
	shut()
}

// One network has eight strangers inside at most; who has logged in and begun is
// none any more.
func TestStrangersHaveFewPlaces(t *testing.T) {
	t.Parallel()
	address, e, _ := open(t, 0)
	for range 12 {
		session(t, address)
		<-e.begun
	}
	var open []net.Conn
	for range 8 {
		conn, err := net.Dial("tcp", address)
		must(t, err)
		defer func() { _ = conn.Close() }()
		_, err = io.ReadFull(conn, make([]byte, 4)) // "SSH-": it is inside
		must(t, err)
		open = append(open, conn)
	}
	ninth, err := net.Dial("tcp", address)
	must(t, err)
	defer func() { _ = ninth.Close() }()
	if n, _ := ninth.Read(make([]byte, 4)); n != 0 {
		t.Error("the ninth is let in")
	}
	_ = open[0].Close()
	for end := time.Now().Add(time.Minute); ; time.Sleep(5 * time.Millisecond) {
		conn, err := dial(address, nil, ssh.Password("right"))
		if err == nil {
			_ = conn.Close()
			break
		}
		if time.Now().After(end) {
			t.Fatalf("after one has left: %v", err)
		}
	}
}

func TestHostKeysStay(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "key")
	one, err := sshdoor.HostKey(file)
	must(t, err)
	two, err := sshdoor.HostKey(file)
	must(t, err)
	if sshdoor.PublicText(one.PublicKey()) != sshdoor.PublicText(two.PublicKey()) || one.PublicKey().Type() != ssh.KeyAlgoED25519 {
		t.Error("the key is another the second time")
	}
	if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info, err)
	}
	must(t, os.WriteFile(file, []byte("torn"), 0o600))
	if _, err := sshdoor.HostKey(file); err == nil {
		t.Error("a torn key is replaced")
	}
}

func TestLogins(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"anna.0123abcd": "anna 0123abcd", "a.b.0123ABCD": "a.b 0123abcd", "Ann a.00000000": "Ann a 00000000",
		"": "", ".0123abcd": "", "anna": "", "anna.": "", "anna.0123abc": "", "anna.0123abcg": "", "anna.0123abcd0": "", "0123abcd": "",
	} {
		got := ""
		if l, ok := sshdoor.ParseLogin(text); ok {
			got = l.Username + " " + string(l.Instance)
		}
		if got != want {
			t.Errorf("%q is %q, want %q", text, got, want)
		}
	}
}

// Who only holds a place is cut off.
func TestStrangersAreNotWaitedFor(t *testing.T) {
	t.Parallel()
	key, err := sshdoor.HostKey(filepath.Join(t.TempDir(), "key"))
	must(t, err)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() {
		done <- sshdoor.New[sshdoor.Login](&echo{}, sshdoor.Options{HostKey: key, Log: slog.New(slog.DiscardHandler), Handshake: time.Millisecond}).Serve(ctx, listener)
	}()
	conn, err := net.Dial("tcp", listener.Addr().String())
	must(t, err)
	_, _ = io.ReadAll(conn) // ends, without a word of ours
	_ = conn.Close()
	cancel()
	must(t, <-done)
}
