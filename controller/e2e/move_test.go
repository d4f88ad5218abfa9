package e2e

import (
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	agentapp "github.com/berth-panel/berth/agent/app"
	"github.com/berth-panel/berth/agent/runtime"
	"github.com/berth-panel/berth/agent/runtime/fake"
	"github.com/berth-panel/berth/agent/runtime/runtimetest"
)

const playedImage = "berth-test/played:1"

// addPlayed makes a node whose agent is real and whose engine is played; edits
// change how it runs.
func (p *panel) addPlayed(name string, edits ...func(*agentapp.Config)) (*host, *fake.Engine) {
	p.t.Helper()
	h, ln := p.enrolHost(name)
	engine := fake.New(fake.Options{Node: h.id})
	engine.AddImage(playedImage, runtime.Image{Entrypoint: []string{"/server"}}, nil)
	h.fake, h.config = engine, agentapp.Config{Data: h.dir, NoDemo: true}
	for _, edit := range edits {
		edit(&h.config)
	}
	h.run(ln)
	h.awaitOnline()
	return h, engine
}

func (h *host) volume(id string) string { return filepath.Join(h.dir, "volumes", id, "data") }

// move orders a move and gives the job.
func (p *panel) move(id string, body map[string]any) string {
	p.t.Helper()
	var made data[struct{ Job struct{ ID string } }]
	p.must(http.StatusAccepted, "POST", "/api/v1/instances/"+id+"/move", body, &made)
	return made.Data.Job.ID
}

// awaitMoved waits until a move is over and nothing is left behind.
func (p *panel) awaitMoved(job string) {
	p.t.Helper()
	p.awaitJob(job, "succeeded")
	eventually(p.t, "the old copy is gone", func() bool {
		var moves data[[]struct{}]
		p.must(http.StatusOK, "GET", "/api/v1/moves", nil, &moves)
		return len(moves.Data) == 0
	})
}

// tree lists a folder with what matters of each entry.
func tree(t *testing.T, root string) string {
	t.Helper()
	var out strings.Builder
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		name, _ := filepath.Rel(root, path)
		fmt.Fprintf(&out, "%q %s %d", name, info.Mode(), info.ModTime().UnixNano())
		switch {
		case info.Mode()&fs.ModeSymlink != 0:
			target, err := os.Readlink(path)
			fmt.Fprintf(&out, " -> %s", target)
			if err != nil {
				return err
			}
		case info.Mode().IsRegular():
			text, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			fmt.Fprintf(&out, " %d %.40q", len(text), text)
		}
		out.WriteByte('\n')
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return out.String()
}

// fill puts files into a volume that are not easy to carry.
func fill(t *testing.T, root string) {
	t.Helper()
	check := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	check(os.MkdirAll(filepath.Join(root, "world", "région"), 0o711))
	check(os.WriteFile(filepath.Join(root, "world", "région", "r.0.0.mca"), []byte(strings.Repeat("0123456789abcdef", 1<<18)), 0o640)) // 4 MiB
	check(os.WriteFile(filepath.Join(root, "run.sh"), []byte("#!/bin/sh\n"), 0o755))
	check(os.WriteFile(filepath.Join(root, "name with\nnewline"), nil, 0o600))
	check(os.Symlink("/etc/passwd", filepath.Join(root, "link")))
	check(os.Mkdir(filepath.Join(root, "empty"), 0o500))
	old := time.Date(2020, 1, 2, 3, 4, 5, 600, time.UTC)
	check(os.Chtimes(filepath.Join(root, "run.sh"), old, old))
	check(os.Chtimes(filepath.Join(root, "world"), old, old))
}

func TestMoveBetweenTwoAgents(t *testing.T) {
	t.Parallel()
	p := startPanel(t, "")
	a, engine := p.addPlayed("a")
	b, _ := p.addPlayed("b")
	owner := p.user("anna")
	p.must(http.StatusCreated, "POST", "/api/v1/images/import", map[string]any{"Name": "Played", "Image": playedImage, "StopCommand": "stop"}, nil)
	id, _ := a.running(playedImage, owner, 25565)
	fill(t, a.volume(id))
	p.awaitJob(p.order(id, "stop"), "succeeded")
	p.awaitStatus(id, "stopped")
	want := tree(t, a.volume(id))
	p.awaitMoved(p.move(id, map[string]any{})) // by placement: there is only one other
	if got := tree(t, b.volume(id)); got != want {
		t.Errorf("the volume is\n%s\nand was\n%s", got, want)
	}
	checkLeft(t, a, engine, id)
	p.awaitJob(p.order(id, "start"), "succeeded")
	p.awaitStatus(id, "running")

	if err := os.WriteFile(filepath.Join(b.volume(id), "on b"), []byte("this is new"), 0o644); err != nil {
		t.Fatal(err)
	}
	want = tree(t, b.volume(id))
	p.awaitMoved(p.move(id, map[string]any{"node_id": a.id})) // and back, while it runs
	p.awaitStatus(id, "running")
	if got := tree(t, a.volume(id)); got != want {
		t.Errorf("back on a the volume is\n%s\nand was\n%s", got, want)
	}
	if _, err := os.Stat(filepath.Join(b.dir, "volumes", id)); !os.IsNotExist(err) {
		t.Errorf("the volume is still on b: %v", err)
	}
	p.remove(id)
}

// checkLeft checks that nothing of an instance is left on a node.
func checkLeft(t *testing.T, h *host, engine *fake.Engine, id string) {
	t.Helper()
	if _, err := os.Stat(filepath.Join(h.dir, "volumes", id)); !os.IsNotExist(err) {
		t.Errorf("the volume is still on the old node: %v", err)
	}
	boxes, err := engine.List(t.Context())
	if err != nil || len(boxes) > 0 {
		t.Errorf("the old node still has %+v, %v", boxes, err)
	}
	var held data[[]struct{}]
	h.panel.must(http.StatusOK, "GET", "/api/v1/nodes/"+string(h.id)+"/allocations?use=used", nil, &held)
	if len(held.Data) != 0 {
		t.Error("the old node's ports are still held")
	}
}

func TestDrainBetweenTwoAgents(t *testing.T) {
	t.Parallel()
	p := startPanel(t, "")
	a, engine := p.addPlayed("a")
	p.addPlayed("b")
	owner := p.user("anna")
	p.must(http.StatusCreated, "POST", "/api/v1/images/import", map[string]any{"Name": "Played", "Image": playedImage, "StopCommand": "stop"}, nil)
	var ids []string
	for n := range 5 {
		id, _ := a.running(playedImage, owner, uint16(25000+n))
		ids = append(ids, id)
	}
	var drain data[struct{ ID string }]
	p.must(http.StatusAccepted, "POST", "/api/v1/nodes/"+string(a.id)+"/drain", nil, &drain)
	p.awaitJob(drain.Data.ID, "succeeded")
	for _, id := range ids {
		p.awaitStatus(id, "running")
		checkLeft(t, a, engine, id)
	}
	p.must(http.StatusOK, "DELETE", "/api/v1/nodes/"+string(a.id), nil, nil)
}

// Real containers at both ends. Both agents work on one Docker Engine, where a
// container's name can be there only once, so the way leads over a third node;
// straight ahead shows what becomes of a move that the new node can't end.
func TestMoveWithDocker(t *testing.T) {
	t.Parallel()
	runtimetest.DockerHost(t)
	p := startPanel(t, "")
	a := p.addHost("a")
	between, engine := p.addPlayed("between")
	b := p.addHost("b")
	image := a.loadProbe("write", "/app/data/kept", "yes", "then", "serve", "8080")
	engine.AddImage(image, runtime.Image{Entrypoint: []string{"/server"}}, nil)
	port := runtimetest.FreePort(t)
	id, container := a.running(image, p.user("anna"), port)
	address := fmt.Sprintf("127.0.0.1:%d", port)
	runtimetest.Echoes(t, "tcp", address)

	job := p.awaitJob(p.move(id, map[string]any{"node_id": b.id}), "failed")
	if job.Failure == nil || !strings.Contains(job.Failure.Message, "is back on node a") {
		t.Fatalf("%+v", job)
	}
	p.awaitStatus(id, "running")
	runtimetest.Echoes(t, "tcp", address)
	if c, there := a.inspect(p.instance(id).ContainerID); !there || c.Config.Labels["berth.node"] != string(a.id) {
		t.Fatal("it does not run on its old node")
	}
	eventually(t, "nothing is left on the node that could not", func() bool {
		_, err := os.Stat(filepath.Join(b.dir, "volumes", id))
		return os.IsNotExist(err)
	})

	p.awaitMoved(p.move(id, map[string]any{"node_id": between.id}))
	if _, there := a.inspect(container); there {
		t.Error("the container is still on the old node")
	}
	if _, err := os.Stat(filepath.Join(a.dir, "volumes", id)); !os.IsNotExist(err) {
		t.Errorf("the volume is still on the old node: %v", err)
	}
	if err := os.WriteFile(filepath.Join(between.volume(id), "more"), []byte("from between"), 0o644); err != nil {
		t.Fatal(err)
	}
	p.awaitMoved(p.move(id, map[string]any{"node_id": b.id}))
	p.awaitStatus(id, "running")
	runtimetest.Echoes(t, "tcp", address)
	for name, want := range map[string]string{"kept": "yes", "more": "from between"} {
		if text, err := os.ReadFile(filepath.Join(b.volume(id), name)); err != nil || string(text) != want {
			t.Errorf("%s holds %q, %v", name, text, err)
		}
	}
	p.remove(id)
}
