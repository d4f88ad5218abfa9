package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	agentapp "github.com/berth-panel/berth/agent/app"
	"github.com/berth-panel/berth/agent/enrol"
	"github.com/berth-panel/berth/agent/runtime"
	"github.com/berth-panel/berth/agent/runtime/docker"
	"github.com/berth-panel/berth/agent/runtime/runtimetest"
	"github.com/berth-panel/berth/controller/app"
	"github.com/berth-panel/berth/controller/identity"
	"github.com/berth-panel/berth/shared/ident"
	"github.com/berth-panel/berth/shared/wire"
)

const (
	adminKey      = "a-key-for-the-tests-only"
	adminPassword = "a password for the tests"
	patience      = 60 * time.Second
)

// panel is a running controller.
type panel struct {
	t    testing.TB
	data string
	url  string
	app  *app.App
	stop func()
}

// startPanel runs a controller on a data directory; "" is a new one.
func startPanel(t testing.TB, data string) *panel {
	t.Helper()
	if data == "" {
		data = t.TempDir()
	}
	return startPanelAt(t, data, "127.0.0.1:0")
}

func startPanelAt(t testing.TB, data, listen string) *panel {
	t.Helper()
	ln, err := net.Listen("tcp", listen)
	if err != nil {
		t.Fatal(err)
	}
	p := &panel{t: t, data: data, url: "http://" + ln.Addr().String()}
	p.app, err = app.New(t.Context(), app.Config{
		Data: data, PublicURL: p.url, APIKey: adminKey, AdminPassword: adminPassword, SFTPListen: "127.0.0.1:0", Log: logger(t, "controller"), Now: time.Now,
		Hash: identity.Cost{MemoryKiB: 8, Passes: 1},
	})
	if err != nil {
		t.Fatal(err)
	}
	p.stop = running(t, func(ctx context.Context) error { return p.app.Run(ctx, ln) })
	return p
}

// running calls run until the returned function (or the test's end) ends it.
func running(t testing.TB, run func(context.Context) error) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := run(ctx); err != nil {
			t.Error(err)
		}
	}()
	var once sync.Once
	stop = func() { once.Do(func() { cancel(); <-done }) }
	t.Cleanup(stop)
	return stop
}

// logger writes warnings into the test's log, everything with BERTH_TEST_LOG.
func logger(t testing.TB, who string) *slog.Logger {
	level := slog.LevelWarn
	if os.Getenv("BERTH_TEST_LOG") != "" {
		level = slog.LevelDebug
	}
	return slog.New(slog.NewTextHandler(testWriter{t}, &slog.HandlerOptions{Level: level})).With("who", who)
}

type testWriter struct{ t testing.TB }

func (w testWriter) Write(b []byte) (int, error) {
	w.t.Log(strings.TrimRight(string(b), "\n"))
	return len(b), nil
}

// raw asks the controller and gives the status and the text of its answer; body is
// marshalled unless it is text or nil.
func (p *panel) raw(key, method, path string, body any) (int, []byte) {
	p.t.Helper()
	var reader io.Reader
	switch b := body.(type) {
	case nil:
	case string:
		reader = strings.NewReader(b)
	default:
		text, err := json.Marshal(b)
		if err != nil {
			p.t.Fatal(err)
		}
		reader = bytes.NewReader(text)
	}
	req, err := http.NewRequestWithContext(p.t.Context(), method, p.url+path, reader)
	if err != nil {
		p.t.Fatal(err)
	}
	if key != "" {
		req.Header.Set("x-api-key", key)
	}
	req.Header.Set("Content-Type", "application/json")
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		p.t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		p.t.Fatal(err)
	}
	return res.StatusCode, text
}

// must calls as the admin and fails the test unless the status is want.
func (p *panel) must(want int, method, path string, body, out any) {
	p.t.Helper()
	status, text := p.raw(adminKey, method, path, body)
	if status != want {
		p.t.Fatalf("%s %s: %d, want %d: %s", method, path, status, want, text)
	}
	if out != nil {
		if err := json.Unmarshal(text, out); err != nil {
			p.t.Fatalf("%s %s: %s: %v", method, path, text, err)
		}
	}
}

// data is the envelope's data.
type data[T any] struct{ Data T }

// host is a node with its agent.
type host struct {
	panel  *panel
	id     ident.Node
	dir    string
	docker string // engine's address
	listen string
	config agentapp.Config
	fake   runtime.Engine // instead of Docker; nil is Docker
	stop   func()
	// killAgent ends the agent as kill -9 does, when it is a process: see addProcess.
	killAgent func()
}

// addHost makes a node and runs its agent on the test's Docker Engine; edits
// change how.
func (p *panel) addHost(name string, edits ...func(*agentapp.Config)) *host {
	p.t.Helper()
	dockerHost := runtimetest.DockerHost(p.t)
	h, ln := p.enrolHost(name)
	h.docker = dockerHost
	p.t.Cleanup(func() { _ = agentapp.UnmountVolumes(h.dir) }) // once the containers are gone
	p.t.Cleanup(func() { runtimetest.CleanDocker(p.t, dockerHost, h.id) })
	network := runtimetest.DrawNetwork()
	h.config = agentapp.Config{Data: h.dir, DockerHost: dockerHost, NetworkName: network.Name, NetworkSubnet: network.Subnet, NoDemo: true}
	for _, edit := range edits {
		edit(&h.config)
	}
	h.run(ln)
	h.awaitOnline()
	return h
}

// enrolHost makes a node and has its agent enrol; nothing runs yet.
func (p *panel) enrolHost(name string) (*host, net.Listener) {
	p.t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		p.t.Fatal(err)
	}
	_, port, _ := net.SplitHostPort(ln.Addr().String())
	var made data[struct {
		Node      struct{ ID ident.Node }
		Enrolment struct{ Key string }
	}]
	p.must(http.StatusCreated, "POST", "/api/v1/nodes", map[string]any{
		"name": name, "address": "127.0.0.1", "port": json.Number(port), "memory": 4096, "disk": 40960,
	}, &made)
	h := &host{panel: p, id: made.Data.Node.ID, dir: p.t.TempDir(), listen: ln.Addr().String()}
	p.t.Cleanup(func() { h.unmount() })
	p.t.Cleanup(func() { _ = agentapp.RemoveFirewall(h.dir) }) // which outlives its agent; without root there is none
	_, err = enrol.Enrol(p.t.Context(), enrol.Options{
		Controller: p.url, Key: made.Data.Enrolment.Key, Dir: h.dir, Agent: wire.EnrolAgent{Release: "test", Wire: wire.Version}, Now: time.Now,
	})
	if err != nil {
		p.t.Fatal(err)
	}
	return h, ln
}

// run starts the agent; a nil listener listens where it did before.
func (h *host) run(ln net.Listener) {
	h.panel.t.Helper()
	config := h.config
	if ln == nil {
		config.Listen = h.listen
	}
	a, err := agentapp.New(config, agentapp.Deps{Engine: h.fake, Listener: ln, Log: logger(h.panel.t, "agent"), Now: time.Now})
	if err != nil {
		h.panel.t.Fatal(err)
	}
	h.stop = running(h.panel.t, a.Run)
}

func (h *host) awaitOnline() {
	h.panel.t.Helper()
	eventually(h.panel.t, "the node is online", func() bool { return h.panel.app.Fleet.Online(h.id) })
}

// loadProbe puts the probe image on the node and into the catalogue; the
// reference is the test's own.
func (h *host) loadProbe(steps ...string) (reference string) {
	t := h.panel.t
	t.Helper()
	engine, err := docker.New(docker.Options{Host: h.docker, Node: h.id, Logger: logger(t, "engine"), Now: time.Now})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = engine.Close() })
	reference = "berth-test/probe-" + string(ident.NewInstance()) + ":1"
	runtimetest.LoadProbe(t, engine, reference)
	h.panel.must(http.StatusCreated, "POST", "/api/v1/images/import", map[string]any{
		"Name": reference, "Image": reference, "Cmd": steps, "StopCommand": "stop", "Env": []string{"FROM_IMAGE=yes"},
	}, nil)
	return reference
}

// inspect asks Docker itself about a container.
func (h *host) inspect(container string) (*inspected, bool) {
	h.panel.t.Helper()
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", strings.TrimPrefix(h.docker, "unix://"))
	}}}
	res, err := client.Get("http://docker/containers/" + container + "/json")
	if err != nil {
		h.panel.t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	if res.StatusCode == http.StatusNotFound {
		return nil, false
	}
	var c inspected
	if err := json.NewDecoder(res.Body).Decode(&c); err != nil {
		h.panel.t.Fatal(err)
	}
	return &c, true
}

// inspected is what Docker says of a container.
type inspected struct {
	ID    string
	State struct {
		Running, OOMKilled bool
		ExitCode, Pid      int
	}
	Config struct {
		Env            []string
		Entrypoint     []string
		Labels         map[string]string
		Tty, OpenStdin bool
	}
	HostConfig struct {
		Memory, MemorySwap, NanoCpus, PidsLimit int64
		CapDrop, CapAdd, SecurityOpt            []string
		Privileged, Init                        bool
		NetworkMode                             string
		PortBindings                            map[string][]struct{ HostIp, HostPort string }
		LogConfig                               struct {
			Type   string
			Config map[string]string
		}
	}
	Mounts []struct {
		Type, Source, Destination string
		RW                        bool
	}
}

// eventually waits until what holds.
func eventually(t testing.TB, what string, holds func() bool) {
	t.Helper()
	deadline := time.Now().Add(patience)
	for !holds() {
		if time.Now().After(deadline) {
			t.Fatalf("not within %s: %s", patience, what)
		}
		time.Sleep(50 * time.Millisecond)
	}
}

// user makes a user and gives his id.
func (p *panel) user(name string) string {
	p.t.Helper()
	var u struct {
		UserID string `json:"userId"`
	}
	p.must(http.StatusCreated, "POST", "/api/auth/create-user", map[string]any{"username": name, "email": name + "@example.test", "password": "secret-" + name}, &u)
	return u.UserID
}

// classicInstance is what clients of the classic API read.
type classicInstance struct {
	Name, ID, InternalState, ContainerId, VolumeId, Ports, Primary string
	Memory                                                         int64
	Suspended                                                      bool `json:"suspended"`
	Env                                                            []string
}

func (p *panel) classic(id string) (classicInstance, int) {
	p.t.Helper()
	var i classicInstance
	status, text := p.raw(adminKey, "POST", "/api/getInstance", map[string]string{"id": id})
	if status == http.StatusOK {
		if err := json.Unmarshal(text, &i); err != nil {
			p.t.Fatalf("%s: %v", text, err)
		}
	}
	return i, status
}

// view is an instance of /api/v1.
type view struct {
	ID, Status, Actual, Phase string
	ContainerID               string `json:"container_id"`
	Failure                   *struct{ Code, Message string }
	ExitCode                  *int `json:"exit_code"`
	OOM                       bool
	StartedAt                 *time.Time `json:"started_at"`
}

func (p *panel) instance(id string) view {
	p.t.Helper()
	var v data[view]
	p.must(http.StatusOK, "GET", "/api/v1/instances/"+id, nil, &v)
	return v.Data
}

func (p *panel) awaitStatus(id, want string) view {
	p.t.Helper()
	var v view
	deadline := time.Now().Add(patience)
	for {
		if v = p.instance(id); v.Status == want {
			return v
		}
		if time.Now().After(deadline) {
			p.t.Fatalf("instance %s is %s (%s, %s, failure %v), want %s", id, v.Status, v.Phase, v.Actual, v.Failure, want)
		}
		time.Sleep(50 * time.Millisecond)
	}
}

// deploy deploys over the classic API and gives the id.
func (h *host) deploy(image, owner, ports string, more map[string]any) string {
	h.panel.t.Helper()
	body := map[string]any{"image": image, "memory": "64", "cpu": "0.5", "ports": ports, "nodeId": h.id, "name": "test", "user": owner}
	for k, v := range more {
		body[k] = v
	}
	var made struct{ VolumeID, State string }
	h.panel.must(http.StatusCreated, "POST", "/api/instances/deploy", body, &made)
	if made.State != "INSTALLING" || made.VolumeID == "" {
		h.panel.t.Fatalf("deploy answered %+v", made)
	}
	return made.VolumeID
}

var _ runtime.Engine // the suite's ports come from runtimetest

func mapping(container int, host uint16) string { return fmt.Sprintf("%d:%d", container, host) }
