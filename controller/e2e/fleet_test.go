package e2e

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime/debug"
	"sync"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	agentapp "github.com/berth-panel/berth/agent/app"
	"github.com/berth-panel/berth/agent/enrol"
	"github.com/berth-panel/berth/agent/runtime"
	"github.com/berth-panel/berth/agent/runtime/fake"
	"github.com/berth-panel/berth/shared/ident"
	"github.com/berth-panel/berth/shared/wire"
)

// envFleet holds a fleetOrder: the program is then no test but the agents that
// it names, each on an engine of its own that is scripted.
const envFleet = "BERTH_TEST_FLEET"

// fleetOrder says which agents to be.
type fleetOrder struct {
	Controller string
	Key        string // a join key
	Dir        string
	Images     []string // that every engine has
	From, To   int      // numbers of the agents
}

// beFleet runs the agents until its input ends. It prints a line of JSON with the
// nodes' ids once all of them listen.
func beFleet() int {
	debug.SetGCPercent(50)
	var order fleetOrder
	if err := json.Unmarshal([]byte(os.Getenv(envFleet)), &order); err != nil {
		return complain(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	apps := make([]*agentapp.App, order.To-order.From)
	var making errgroup.Group
	making.SetLimit(8)
	for n := range apps {
		making.Go(func() (err error) {
			apps[n], err = order.agent(ctx, order.From+n)
			return err
		})
	}
	if err := making.Wait(); err != nil {
		return complain(err)
	}
	var running sync.WaitGroup
	ids := make([]ident.Node, len(apps))
	for n, a := range apps {
		ids[n] = a.Node()
		running.Go(func() {
			if err := a.Run(ctx); err != nil {
				complain(err)
			}
		})
	}
	if err := json.NewEncoder(os.Stdout).Encode(ids); err != nil {
		return complain(err)
	}
	untilAlone()
	stop()
	running.Wait()
	return 0
}

func complain(err error) int {
	fmt.Fprintln(os.Stderr, "fleet:", err)
	return 1
}

// agent enrols one agent and opens it.
func (o fleetOrder) agent(ctx context.Context, n int) (*agentapp.App, error) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	address, ok := ln.Addr().(*net.TCPAddr)
	if !ok {
		return nil, fmt.Errorf("listening on %v", ln.Addr())
	}
	dir := filepath.Join(o.Dir, fmt.Sprintf("agent-%04d", n))
	identity, err := enrol.Enrol(ctx, enrol.Options{
		Controller: o.Controller, Key: o.Key, Dir: dir, Now: time.Now,
		Agent: wire.EnrolAgent{Name: fmt.Sprintf("node-%04d", n), Address: "127.0.0.1", Port: address.Port, MemoryMiB: 1 << 20, DiskMiB: 1 << 24},
	})
	if err != nil {
		return nil, err
	}
	engine := fake.New(fake.Options{Node: identity.Node})
	for _, reference := range o.Images {
		engine.AddImage(reference, runtime.Image{Entrypoint: []string{"/server"}}, nil)
	}
	return agentapp.New(agentapp.Config{Data: dir, NoDemo: true, NoFirewall: true}, // a scripted engine sends nothing
		agentapp.Deps{Engine: engine, Listener: ln, Log: slog.New(slog.DiscardHandler), Now: time.Now})
}

// agentsOfProcess is how many agents share one process: each holds a file open for
// every instance, and a process may have only so many.
const agentsOfProcess = 100

// startFleet runs the agents of an order in processes of their own, which end
// with the test, and gives their nodes. The processes are nice: they stand for
// machines of their own, so the cores are the controller's whenever it wants them.
func startFleet(t testing.TB, order fleetOrder) []ident.Node {
	t.Helper()
	var all []ident.Node
	for from := order.From; from < order.To; from += agentsOfProcess {
		part := order
		part.From, part.To = from, min(from+agentsOfProcess, order.To)
		text, err := json.Marshal(part)
		if err != nil {
			t.Fatal(err)
		}
		var ids []ident.Node
		if err := json.Unmarshal(startSelf(t, envFleet+"="+string(text), "nice", "-n", "19"), &ids); err != nil {
			t.Fatal(err)
		}
		all = append(all, ids...)
	}
	return all
}

// startSelf runs the test's own program as what the variable says and gives the
// first line that it prints. It lives until the test ends, and no longer than
// this process: its input is a pipe of ours. What it is run by may stand before.
func startSelf(t testing.TB, variable string, by ...string) (said []byte) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	words := append(by, self)
	c := exec.Command(words[0], words[1:]...) //nolint:gosec // by ourselves
	c.Env = append(os.Environ(), variable)
	c.Stderr = os.Stderr
	in, err := c.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := c.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = in.Close() // it may have ended by itself: Wait says so
		if err := c.Wait(); err != nil {
			t.Errorf("%.40s: %v", variable, err)
		}
	})
	said, err = bufio.NewReaderSize(out, 1<<20).ReadBytes('\n')
	if err != nil {
		t.Fatal(err)
	}
	return said
}

// untilAlone returns when whoever started us closes our input, or has died.
func untilAlone() { _, _ = io.Copy(io.Discard, os.Stdin) }
