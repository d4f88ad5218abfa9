package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"time"

	agentapp "github.com/berth-panel/berth/agent/app"
	"github.com/berth-panel/berth/agent/runtime/runtimetest"
)

const envAgent = "BERTH_TEST_AGENT" // the configuration of an agent to be

// beAgent is an agent until its input ends.
func beAgent() int {
	var config agentapp.Config
	if err := json.Unmarshal([]byte(os.Getenv(envAgent)), &config); err != nil {
		return complain(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	a, err := agentapp.New(config, agentapp.Deps{Log: slog.New(slog.DiscardHandler), Now: time.Now})
	if err != nil {
		return complain(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- a.Run(ctx) }()
	fmt.Println("serving")
	untilAlone()
	stop()
	if err := <-ended; err != nil {
		return complain(err)
	}
	return 0
}

// addProcess makes a node whose agent is a process of its own, to be killed;
// edits change how it runs.
func (p *panel) addProcess(name string, edits ...func(*agentapp.Config)) *host {
	p.t.Helper()
	dockerHost := runtimetest.DockerHost(p.t)
	h, ln := p.enrolHost(name)
	if err := ln.Close(); err != nil {
		p.t.Fatal(err)
	}
	h.docker = dockerHost
	p.t.Cleanup(func() { runtimetest.CleanDocker(p.t, dockerHost, h.id) })
	network := runtimetest.DrawNetwork()
	h.config = agentapp.Config{Data: h.dir, Listen: h.listen, DockerHost: dockerHost, NetworkName: network.Name, NetworkSubnet: network.Subnet, NoDemo: true}
	for _, edit := range edits {
		edit(&h.config)
	}
	h.spawn()
	h.awaitOnline()
	return h
}

// spawn starts the agent's process; kill -9 is h.kill.
func (h *host) spawn() {
	t := h.panel.t
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	config, err := json.Marshal(h.config)
	if err != nil {
		t.Fatal(err)
	}
	c := exec.Command(self)
	c.Env = append(os.Environ(), envAgent+"="+string(config))
	c.Stderr = os.Stderr
	in, err := c.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	dead := false
	h.killAgent = func() {
		dead = true
		if err := c.Process.Kill(); err != nil {
			t.Error(err)
		}
		_ = c.Wait() // it was killed: that is what it says
		_ = in.Close()
	}
	t.Cleanup(func() {
		if dead {
			return
		}
		_ = in.Close()
		if err := c.Wait(); err != nil {
			t.Errorf("the agent: %v", err)
		}
	})
}
