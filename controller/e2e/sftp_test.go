package e2e

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/pkg/sftp"
	"golang.org/x/crypto/ssh"

	agentapp "github.com/berth-panel/berth/agent/app"
	"github.com/berth-panel/berth/agent/runtime/runtimetest"
)

// sftpDoor is what the API says of an instance's SFTP.
type sftpDoor struct {
	Host, Username, Via string
	Port                int
	HostKey             string `json:"host_key"`
}

func (p *panel) sftpDoor(id string) sftpDoor {
	p.t.Helper()
	var v data[sftpDoor]
	p.must(http.StatusOK, "GET", "/api/v1/instances/"+id+"/sftp", nil, &v)
	return v.Data
}

// dial logs in at the door; banner gets what the server says meanwhile.
func (d sftpDoor) dial(t testing.TB, banner *string, method ssh.AuthMethod) (*ssh.Client, error) {
	t.Helper()
	key, _, _, _, err := ssh.ParseAuthorizedKey([]byte(d.HostKey))
	if err != nil {
		t.Fatal(err)
	}
	return ssh.Dial("tcp", net.JoinHostPort(d.Host, strconv.Itoa(d.Port)), &ssh.ClientConfig{
		User: d.Username, Auth: []ssh.AuthMethod{method}, HostKeyCallback: ssh.FixedHostKey(key), Timeout: patience,
		BannerCallback: func(message string) error {
			if banner != nil {
				*banner += message
			}
			return nil
		},
	})
}

// session is one that must come to be.
func (d sftpDoor) session(t testing.TB, method ssh.AuthMethod) *sftp.Client {
	t.Helper()
	conn, err := d.dial(t, nil, method)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	c, err := sftp.NewClient(conn)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// cut waits until a session, that works, doesn't any more.
func cut(t testing.TB, why string, c *sftp.Client, act func()) {
	t.Helper()
	if _, err := c.ReadDir("/"); err != nil {
		t.Fatalf("before %s: %v", why, err)
	}
	act()
	eventually(t, why+" cuts the session", func() bool {
		_, err := c.ReadDir("/")
		return err != nil
	})
}

func TestSFTP(t *testing.T) {
	t.Parallel()
	bothWays(t, func(t *testing.T, w way) {
		p, h, owner := setup(t, w, func(c *agentapp.Config) { c.SFTPListen = "127.0.0.1:0" })
		id, _ := h.running(h.loadProbe("serve", "8080"), owner, runtimetest.FreePort(t))
		_, private, err := ed25519.GenerateKey(rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		signer, err := ssh.NewSignerFromKey(private)
		if err != nil {
			t.Fatal(err)
		}
		var added data[struct{ ID string }]
		keys := "/api/v1/users/" + owner + "/ssh-keys"
		p.must(http.StatusCreated, "POST", keys, map[string]any{"name": "laptop", "public_key": string(ssh.MarshalAuthorizedKey(signer.PublicKey()))}, &added)
		door := p.sftpDoor(id)
		var user data[struct{ Username string }]
		p.must(http.StatusOK, "GET", "/api/v1/users/"+owner, nil, &user)
		byKey, word := ssh.PublicKeys(signer), "secret-"+user.Data.Username
		door.Username = user.Data.Username + "." + id
		if want := map[string]string{"dial": "node", "tunnel": "controller"}[h.connection()]; door.Via != want {
			t.Fatalf("people are sent to the door of the %s, want %s", door.Via, want)
		}
		eventually(t, "the key opens the door", func() bool {
			conn, err := door.dial(t, nil, byKey)
			if err == nil {
				_ = conn.Close()
			}
			return err == nil
		})
		sftpCarries(t, door.session(t, byKey), door.session(t, ssh.Password(word)))
		if _, err := door.dial(t, nil, ssh.Password("wrong")); err == nil {
			t.Fatal("a wrong password opens the door")
		}

		c := door.session(t, ssh.Password(word))
		sftpSuspends(t, p, door, c, id, byKey, word)
		c = door.session(t, ssh.Password(word))
		cut(t, "a new password", c, func() {
			p.must(http.StatusOK, "PATCH", "/api/v1/users/"+owner, map[string]any{"password": word + "-2"}, nil)
		})
		word += "-2"
		_ = door.session(t, byKey).Close() // a key has nothing to do with that
		c = door.session(t, byKey)
		cut(t, "the end of the key", c, func() { p.must(http.StatusOK, "DELETE", keys+"/"+added.Data.ID, nil, nil) })
		c = door.session(t, ssh.Password(word))
		cut(t, "the end of the account", c, func() {
			p.must(http.StatusOK, "PATCH", "/api/v1/users/"+owner, map[string]any{"disabled": true}, nil)
		})
		p.must(http.StatusOK, "PATCH", "/api/v1/users/"+owner, map[string]any{"disabled": false}, nil)
		c = door.session(t, ssh.Password(word))
		cut(t, "the end of the instance", c, func() { p.must(http.StatusAccepted, "DELETE", "/api/v1/instances/"+id, nil, nil) })
		eventually(t, "the instance is gone", func() bool {
			status, _ := p.raw(adminKey, "GET", "/api/v1/instances/"+id, nil)
			return status == http.StatusNotFound
		})
	})
}

// sftpCarries writes with one session and reads with another.
func sftpCarries(t *testing.T, one, two *sftp.Client) {
	t.Helper()
	content := make([]byte, 5<<20+1)
	_, _ = rand.Read(content)
	f, err := one.Create("/big")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.ReadFrom(bytes.NewReader(content)); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	back, err := two.Open("/big")
	if err != nil {
		t.Fatal(err)
	}
	got, err := io.ReadAll(back)
	if err != nil || !bytes.Equal(got, content) {
		t.Fatalf("%d bytes come back, %v", len(got), err)
	}
	_, _ = one.Close(), two.Close()
}

// sftpSuspends: a suspended instance is shut, with a sentence for its owner, also
// in the middle of a transfer.
func sftpSuspends(t *testing.T, p *panel, door sftpDoor, c *sftp.Client, id string, byKey ssh.AuthMethod, word string) {
	t.Helper()
	writing := make(chan error, 1)
	begun := make(chan struct{})
	go func() {
		f, err := c.Create("/endless")
		if err == nil {
			chunk := make([]byte, 32<<10)
			for n := 0; err == nil; n++ {
				if n == 10 {
					close(begun)
				}
				_, err = f.WriteAt(chunk, int64(n%64)*int64(len(chunk)))
			}
		}
		writing <- err
	}()
	<-begun
	p.must(http.StatusAccepted, "POST", "/api/v1/instances/"+id+"/suspend", map[string]any{"reason": "unpaid"}, nil)
	select {
	case <-writing:
	case <-time.After(patience):
		t.Fatal("the transfer goes on")
	}
	for _, method := range []ssh.AuthMethod{byKey, ssh.Password(word)} {
		eventually(t, "a suspended instance is shut, and says so", func() bool {
			var banner string
			conn, err := door.dial(t, &banner, method)
			if err == nil {
				_ = conn.Close()
			}
			return err != nil && strings.Contains(banner, "suspended (unpaid)")
		})
	}
	p.must(http.StatusAccepted, "POST", "/api/v1/instances/"+id+"/unsuspend", nil, nil)
	eventually(t, "it is open again", func() bool {
		conn, err := door.dial(t, nil, byKey)
		if err == nil {
			_ = conn.Close()
		}
		return err == nil
	})
}

// Keys work while the controller is away, also after the agent's restart;
// passwords don't, and say why.
func TestSFTPWithoutTheController(t *testing.T) {
	t.Parallel()
	address := fmt.Sprintf("127.0.0.1:%d", runtimetest.FreePort(t))
	p, h, owner := setup(t, func(c *agentapp.Config) { c.SFTPListen = address })
	id, _ := h.running(h.loadProbe("serve", "8080"), owner, runtimetest.FreePort(t))
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	signer, err := ssh.NewSignerFromKey(private)
	if err != nil {
		t.Fatal(err)
	}
	p.must(http.StatusCreated, "POST", "/api/v1/users/"+owner+"/ssh-keys", map[string]any{"name": "laptop", "public_key": string(ssh.MarshalAuthorizedKey(signer.PublicKey()))}, nil)
	door := p.sftpDoor(id)
	var user data[struct{ Username string }]
	p.must(http.StatusOK, "GET", "/api/v1/users/"+owner, nil, &user)
	door.Username = user.Data.Username + "." + id
	opens := func() bool {
		conn, err := door.dial(t, nil, ssh.PublicKeys(signer))
		if err == nil {
			_ = conn.Close()
		}
		return err == nil
	}
	eventually(t, "the key opens the door", opens)
	p.stop()
	h.stop()
	h.run(nil)
	if !opens() { // with the same host key
		t.Fatal("without the controller the key doesn't open the door")
	}
	var banner string
	_, err = door.dial(t, &banner, ssh.Password("secret-"+user.Data.Username))
	if err == nil || !strings.Contains(banner, "controller is away") {
		t.Fatalf("a password: %q, %v", banner, err)
	}
}
