package sftp

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/pem"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gorilla/websocket"
	"github.com/pkg/sftp"
	"go.uber.org/goleak"
	"golang.org/x/crypto/ssh"

	"github.com/berth-panel/berth/agent/files"
	"github.com/berth-panel/berth/agent/server"
	"github.com/berth-panel/berth/agent/volume"
	"github.com/berth-panel/berth/shared/ident"
	"github.com/berth-panel/berth/shared/problem"
	"github.com/berth-panel/berth/shared/sshdoor"
	"github.com/berth-panel/berth/shared/wire"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	one      = ident.Instance("0123abcd")
	two      = ident.Instance("0123abce")
	password = "correct horse battery"
	patience = time.Minute
)

var stamp = time.Unix(1_600_000_000, 0)

// disks are volumes that are plain folders, with a limit that tests set.
type disks struct {
	dir string

	mu     sync.Mutex
	limits map[ident.Instance]int64
	frozen map[ident.Instance]error
	shut   map[ident.Instance]error // what opening one meets
	open   int                      // volumes that were given out
}

func (d *disks) path(id ident.Instance) string { return filepath.Join(d.dir, string(id)) }

func (d *disks) Files(id ident.Instance) (*files.Root, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.shut[id]; err != nil {
		return nil, err
	}
	dir, err := os.Open(d.path(id))
	if err != nil {
		return nil, volume.ErrNone
	}
	d.open++
	root := files.At(dir)
	root.OnClose(func() {
		d.mu.Lock()
		defer d.mu.Unlock()
		d.open--
	})
	return root, nil
}

func (d *disks) Usage(id ident.Instance) (used, limit int64, err error) {
	err = filepath.Walk(d.path(id), func(_ string, info os.FileInfo, err error) error {
		if err == nil && info.Mode().IsRegular() {
			used += info.Size()
		}
		return nil
	})
	d.mu.Lock()
	defer d.mu.Unlock()
	return used, d.limits[id], err
}

func (d *disks) Room(id ident.Instance, bytes int64) error {
	d.mu.Lock()
	limit := d.limits[id]
	d.mu.Unlock()
	if limit == 0 {
		return nil
	}
	if used, _, _ := d.Usage(id); used+bytes > limit {
		return problem.New(problem.InsufficientResources, "the disk of this instance is full")
	}
	return nil
}

func (d *disks) Writable(id ident.Instance) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.frozen[id]
}

func (d *disks) limit(id ident.Instance, bytes int64) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.limits[id] = bytes
}

func (d *disks) freeze(id ident.Instance, why error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.frozen[id] = why
}

func (d *disks) close(id ident.Instance, why error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.shut[id] = why
}

func (d *disks) held() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.open
}

type bundle struct {
	*Service
	t     testing.TB
	disks *disks
	calls string // URL of the rooms
	key   string // file of anna's private key
	keys  map[string]ssh.Signer
	all   wire.Logins
	stop  func() // ends the service and waits

	mu   sync.Mutex
	told []wire.Event // that the controller shall know
}

func (b *bundle) tell(events ...wire.Event) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.told = append(b.told, events...)
}

// setup runs a door for anna, who has an instance and a key, and bob, who has
// another and no key. The controller is away.
func setup(t testing.TB) *bundle {
	t.Helper()
	b := &bundle{t: t, disks: &disks{dir: t.TempDir(), limits: map[ident.Instance]int64{}, frozen: map[ident.Instance]error{}, shut: map[ident.Instance]error{}}, keys: map[string]ssh.Signer{}}
	for _, id := range []ident.Instance{one, two} {
		must(t, os.Mkdir(b.disks.path(id), 0o755))
	}
	b.key = filepath.Join(t.TempDir(), "key")
	b.all = wire.Logins{Revision: 1,
		People: []wire.LoginPerson{{User: "u-anna", Username: "Anna.B", Password: "stamp-1", Keys: []string{b.newKey("anna", b.key)}}, {User: "u-bob", Username: "bob", Password: "stamp-b"}},
		Rights: []wire.LoginRight{{User: "u-anna", Instance: one, Write: true}, {User: "u-bob", Instance: two, Write: true}},
	}
	b.open(t.TempDir())
	must(t, b.push())
	return b
}

// newKey makes a private key in a file and gives the public one.
func (b *bundle) newKey(name, file string) string {
	b.t.Helper()
	_, key, err := ed25519.GenerateKey(rand.Reader)
	must(b.t, err)
	block, err := ssh.MarshalPrivateKey(key, "")
	must(b.t, err)
	must(b.t, os.WriteFile(file, pem.EncodeToMemory(block), 0o600))
	signer, err := ssh.NewSignerFromKey(key)
	must(b.t, err)
	b.keys[name] = signer
	return sshdoor.PublicText(signer.PublicKey())
}

// open runs the service on a data directory.
func (b *bundle) open(dir string) {
	b.t.Helper()
	var err error
	b.Service, err = New(Options{Dir: dir, Listen: "127.0.0.1:0", Volumes: b.disks, Instances: b.disks, Tell: b.tell, Log: slog.New(slog.DiscardHandler), Now: time.Now})
	must(b.t, err)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		b.Run(ctx)
	}()
	upgrader := websocket.Upgrader{}
	rooms := b.Rooms(func(w http.ResponseWriter, r *http.Request) (*websocket.Conn, error) {
		return upgrader.Upgrade(w, r, nil)
	})
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		name, rest, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/v1/"), "/")
		rooms[name].ServeNode(w, r, rest)
	}))
	b.calls = web.URL
	b.stop = sync.OnceFunc(func() {
		cancel()
		<-done
		web.Close()
	})
	b.t.Cleanup(b.stop)
}

// push sends b.all, as its revision says.
func (b *bundle) push() error {
	_, err := b.put(b.all)
	return err
}

// change edits who may log in, and pushes it.
func (b *bundle) change(edit func(*wire.Logins)) {
	b.t.Helper()
	b.all.Revision++
	edit(&b.all)
	must(b.t, b.push())
}

// answerer is a controller that knows some passwords: answers by username.
func (b *bundle) answerer(answers map[string]wire.LoginAnswer) (hangUp func()) {
	b.t.Helper()
	socket, _, err := websocket.DefaultDialer.Dial("ws"+strings.TrimPrefix(b.calls, "http")+"/v1/logins/ask", nil)
	must(b.t, err)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			var q wire.LoginQuestion
			if socket.ReadJSON(&q) != nil {
				return
			}
			answer := wire.LoginAnswer{}
			if q.Password == password {
				answer = answers[fold(q.Username)]
			}
			answer.Ref = q.Ref
			if socket.WriteJSON(answer) != nil {
				return
			}
		}
	}()
	hangUp = sync.OnceFunc(func() {
		_ = socket.Close()
		<-done
	})
	b.t.Cleanup(hangUp)
	b.until("the agent takes the socket", func() bool {
		b.asker.mu.Lock()
		defer b.asker.mu.Unlock()
		return b.asker.socket != nil
	})
	return hangUp
}

// until waits for a condition.
func (b *bundle) until(what string, holds func() bool) {
	b.t.Helper()
	for end := time.Now().Add(patience); !holds(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			b.t.Fatalf("waited in vain: %s", what)
		}
	}
}

// dial logs in with the library, as user "name.instance".
func (b *bundle) dial(user string, methods ...ssh.AuthMethod) (*ssh.Client, error) {
	return ssh.Dial("tcp", b.Addr().String(), &ssh.ClientConfig{User: user, Auth: methods, HostKeyCallback: ssh.FixedHostKey(b.hostKey()), Timeout: patience})
}

func (b *bundle) hostKey() ssh.PublicKey {
	key, _, _, _, err := ssh.ParseAuthorizedKey([]byte(b.Announced().HostKey))
	must(b.t, err)
	return key
}

// client is anna's session over the library, by key.
func (b *bundle) client() *sftp.Client {
	b.t.Helper()
	conn, err := b.dial("anna.b."+string(one), ssh.PublicKeys(b.keys["anna"]))
	must(b.t, err)
	b.t.Cleanup(func() { _ = conn.Close() })
	c, err := sftp.NewClient(conn)
	must(b.t, err)
	return c
}

// openSSH runs the real client with a batch of commands, by key, and gives what it printed.
func (b *bundle) openSSH(batch string, more ...string) (string, error) {
	b.t.Helper()
	return b.openSSHAs("anna.b."+string(one), batch, more...)
}

func (b *bundle) openSSHAs(user, batch string, more ...string) (string, error) {
	b.t.Helper()
	host, port, err := net.SplitHostPort(b.Addr().String())
	must(b.t, err)
	known := filepath.Join(b.t.TempDir(), "known_hosts")
	must(b.t, os.WriteFile(known, fmt.Appendf(nil, "[%s]:%s %s\n", host, port, b.Announced().HostKey), 0o600))
	args := append([]string{"-F", "/dev/null", "-i", b.key, "-o", "IdentitiesOnly=yes", "-o", "IdentityAgent=none", "-o", "UserKnownHostsFile=" + known,
		"-o", "StrictHostKeyChecking=yes", "-o", "PasswordAuthentication=no", "-P", port}, more...)
	ctx, cancel := context.WithTimeout(context.Background(), 5*patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, "sftp", append(args, "-b", "-", user+"@"+host)...)
	cmd.Stdin = strings.NewReader(batch)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	err = cmd.Run()
	return out.String(), err
}

// needClient skips where there is no OpenSSH client.
func needClient(t testing.TB) {
	t.Helper()
	if _, err := exec.LookPath("sftp"); err != nil {
		if os.Getenv("BERTH_TEST_DOCKER") == "required" {
			t.Fatal("openssh-client is not installed")
		}
		t.Skip("openssh-client is not installed")
	}
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

var _ server.Live = (*sftpRoom)(nil)
