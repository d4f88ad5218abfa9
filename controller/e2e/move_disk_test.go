package e2e

import (
	"crypto/ed25519"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	agentapp "github.com/berth-panel/berth/agent/app"
	"github.com/berth-panel/berth/agent/runtime"
	"github.com/berth-panel/berth/agent/runtime/runtimetest"
	"github.com/berth-panel/berth/shared/ident"
	"github.com/berth-panel/berth/shared/wire"
)

func withSFTP(c *agentapp.Config) { c.SFTPListen = "127.0.0.1:0" }

// inside is where the files of an instance are whose disk is an image.
func (h *host) inside(id string) string { return filepath.Join(h.dir, "volumes", id, "mount", "data") }

// newLogin gives a user a key, and how it logs in.
func (p *panel) newLogin(user string) (name string, byKey ssh.AuthMethod) {
	p.t.Helper()
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		p.t.Fatal(err)
	}
	signer, err := ssh.NewSignerFromKey(private)
	if err != nil {
		p.t.Fatal(err)
	}
	p.must(http.StatusCreated, "POST", "/api/v1/users/"+user+"/ssh-keys", map[string]any{"name": "laptop", "public_key": string(ssh.MarshalAuthorizedKey(signer.PublicKey()))}, nil)
	var v data[struct{ Username string }]
	p.must(http.StatusOK, "GET", "/api/v1/users/"+user, nil, &v)
	return v.Data.Username, ssh.PublicKeys(signer)
}

// awaitDoor waits until an instance's present door opens to a key, and gives it.
func (p *panel) awaitDoor(id, user string, byKey ssh.AuthMethod) (door sftpDoor) {
	p.t.Helper()
	eventually(p.t, "the key opens the door", func() bool {
		door = p.sftpDoor(id)
		door.Username = user + "." + id
		conn, err := door.dial(p.t, nil, byKey)
		if err == nil {
			_ = conn.Close()
		}
		return err == nil
	})
	return door
}

// slowly begins an upload that doesn't end by itself, and gives how it ends. So
// much has been sent then that the node must have begun with it.
func (f *filed) slowly(path string) (ended chan int) {
	t := f.panel.t
	t.Helper()
	const size = 60 << 20
	_, header := f.is(http.StatusCreated, "POST", "/uploads", nil, "Tus-Resumable", "1.0.0", "Upload-Length", strconv.Itoa(size),
		"Upload-Metadata", "path "+base64.StdEncoding.EncodeToString([]byte(path)))
	reader, writer := io.Pipe()
	t.Cleanup(func() { _ = writer.Close() })
	ended = make(chan int, 1)
	go func() {
		res, err := f.call(f.panel.url, "PATCH", header.Get("Location"), reader, "Tus-Resumable", "1.0.0", "Content-Type", "application/offset+octet-stream", "Upload-Offset", "0")
		_ = reader.Close()
		if err != nil {
			ended <- 0 // cut off
			return
		}
		_ = res.Body.Close()
		ended <- res.StatusCode
	}()
	if _, err := writer.Write(noise(size - 1<<20)); err != nil {
		t.Fatal(err)
	}
	return ended
}

// isCut waits for the end of what slowly began.
func isCut(t testing.TB, ended chan int) {
	t.Helper()
	select {
	case status := <-ended:
		if status != 0 && status < 400 {
			t.Errorf("a file that was half sent is answered with %d", status)
		}
	case <-time.After(patience):
		t.Fatal("writing goes on")
	}
}

// nothingOf wants neither file nor mount nor device of an instance on a node.
func (h *host) nothingOf(id string) {
	t := h.panel.t
	t.Helper()
	dir := filepath.Join(h.dir, "volumes", id)
	eventually(t, "the volume is gone from its old node", func() bool {
		_, err := os.Lstat(dir)
		return os.IsNotExist(err)
	})
	eventually(t, "neither its mount nor its device is left", func() bool {
		mounts, err := os.ReadFile("/proc/self/mounts")
		if err != nil {
			t.Fatal(err)
		}
		backing, _ := filepath.Glob("/sys/block/loop*/loop/backing_file")
		for _, file := range backing {
			text, _ := os.ReadFile(file)
			mounts = append(mounts, text...)
		}
		return !strings.Contains(string(mounts), dir+"/")
	})
}

// holds wants that the disk of an instance ends at its limit.
func (h *host) holds(id string, mib int64) {
	t := h.panel.t
	t.Helper()
	if d := h.panel.disk(id); d.Driver != wire.VolumeImage || !d.Hard || d.LimitBytes != mib<<20 {
		t.Errorf("on node %s the disk is %+v", h.id, d)
	}
	var st syscall.Statfs_t
	if err := syscall.Statfs(h.inside(id), &st); err != nil || int64(st.Blocks)*st.Bsize > mib<<20 {
		t.Errorf("it has room for %d MiB, %v", int64(st.Blocks)*st.Bsize>>20, err)
	}
	tooMuch := filepath.Join(h.inside(id), "too much")
	if err := os.WriteFile(tooMuch, make([]byte, mib<<20), 0o600); !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("a file as large as the limit: %v", err)
	}
	if err := os.Remove(tooMuch); err != nil {
		t.Error(err)
	}
}

// An instance with a disk of its own moves while it runs and while people work on
// it: its files arrive whole, the limit holds there, nobody writes during the last
// copy, and console and SFTP go on at the new node.
func TestMoveOfADiskThatIsInUse(t *testing.T) {
	t.Parallel()
	edit := images(t)
	runtimetest.DockerHost(t)
	p := startPanel(t, "")
	a := p.addHost("a", edit, withSFTP)
	between, engine := p.addPlayed("between", edit, withSFTP)
	b := p.addHost("b", edit, withSFTP)
	owner := p.user("anna")
	user, byKey := p.newLogin(owner)
	image := a.loadProbeAs("")
	p.catalogue(image, []string{"say", "hello\\n", "then", "stubborn"}, map[string]any{"stop_grace_seconds": 600})
	engine.AddImage(image, runtime.Image{Entrypoint: []string{"/server"}}, nil)
	body := a.body(image, owner, 0)
	body["disk"] = 80
	id, _ := a.begin(body)
	container := p.awaitStatus(id, "running").ContainerID
	f := &filed{host: a, id: id, base: "/api/v1/instances/" + id + "/files"}
	fill(t, a.inside(id))
	door := p.awaitDoor(id, user, byKey)
	session := door.session(t, byKey)
	if _, err := session.Create("/by-sftp"); err != nil {
		t.Fatal(err)
	}
	v := p.view(adminKey, id, "")
	v.sees("out: hello\n")
	ended := f.slowly("half")

	job := p.move(id, map[string]any{"node_id": between.id})
	eventually(t, "new writers are refused", func() bool {
		res, err := f.call(p.url, "PUT", f.base+"/content?path=late", strings.NewReader("late"))
		if err != nil {
			t.Fatal(err)
		}
		_ = res.Body.Close()
		return res.StatusCode == http.StatusConflict
	})
	f.is(http.StatusOK, "GET", "/content?path=run.sh", nil)
	want := tree(t, a.inside(id))
	if !strings.Contains(want, "by-sftp") || strings.Contains(want, "half") {
		t.Errorf("the volume is\n%s", want)
	}
	// It ignores its stop, so that all this was before the last copy; those who
	// still write are cut when it is down.
	if status := a.engineCall("POST", "/containers/"+container+"/kill", nil, nil); status >= http.StatusBadRequest {
		t.Fatalf("kill: %d", status)
	}
	isCut(t, ended)
	eventually(t, "the move cuts the session", func() bool {
		_, err := session.ReadDir("/")
		return err != nil
	})
	p.awaitMoved(job)
	arrived(t, between, id, want)
	a.nothingOf(id)
	p.awaitStatus(id, "running")
	if !engine.Print(engine.Find(ident.Instance(id))[0].ID, false, "this is between\n") {
		t.Error("it does not run between")
	}
	v.sees("out: this is between\n")

	there := p.awaitDoor(id, user, byKey)
	if there.Port == door.Port || there.HostKey == door.HostKey {
		t.Errorf("the door is still %+v", there)
	}
	if conn, err := door.dial(t, nil, byKey); err == nil {
		_ = conn.Close()
		t.Error("the old node still opens its door")
	}
	if err := there.session(t, byKey).Mkdir("/from between"); err != nil {
		t.Fatal(err)
	}
	want = tree(t, between.inside(id))
	p.awaitMoved(p.move(id, map[string]any{"node_id": b.id}))
	arrived(t, b, id, want)
	between.nothingOf(id)
	p.awaitStatus(id, "running")
	v.until("the first line at the third node", func(spoken) bool { return strings.Count(v.text.String(), "out: hello\n") == 2 })
	p.awaitDoor(id, user, byKey)
	p.order(id, "kill")
	p.awaitStatus(id, "stopped")
	p.remove(id)
	b.nothingOf(id)
}

// arrived wants an instance's files whole at a node, on a disk that holds 80 MiB.
func arrived(t *testing.T, h *host, id, want string) {
	t.Helper()
	if got := tree(t, h.inside(id)); got != want {
		t.Errorf("the volume is\n%s\nand was\n%s", got, want)
	}
	h.holds(id, 80)
}

// A plain directory becomes, by its move, what the new node makes.
func TestMoveOfADirectoryToADisk(t *testing.T) {
	t.Parallel()
	edit := images(t)
	p := startPanel(t, "")
	a, engine := p.addPlayed("a")
	b, _ := p.addPlayed("b", edit)
	p.must(http.StatusCreated, "POST", "/api/v1/images/import", map[string]any{"Name": "Played", "Image": playedImage, "StopCommand": "stop"}, nil)
	body := a.body(playedImage, p.user("anna"), 0)
	body["disk"] = 80
	id, _ := a.begin(body)
	p.awaitStatus(id, "running")
	if d := p.disk(id); d.Driver != wire.VolumeDirectory || d.Hard {
		t.Errorf("it begins as %+v", d)
	}
	fill(t, a.volume(id))
	want := tree(t, a.volume(id))
	p.awaitMoved(p.move(id, map[string]any{"node_id": b.id}))
	arrived(t, b, id, want)
	checkLeft(t, a, engine, id)
	p.awaitStatus(id, "running")
	p.remove(id)
	b.nothingOf(id)
}
