package e2e

import (
	"bufio"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	agentapp "github.com/berth-panel/berth/agent/app"
	"github.com/berth-panel/berth/agent/cgroup"
	"github.com/berth-panel/berth/agent/runtime"
)

// What an instance reaches beside the internet, and how fast its disk is, are held
// on a real engine from the first moment, and change while it runs.
func TestReach(t *testing.T) {
	t.Parallel()
	p := startPanel(t, "")
	h := p.addHost("a", func(c *agentapp.Config) { c.Volumes = "image" })
	owner := p.user("anna")
	ln, err := net.Listen("tcp4", "0.0.0.0:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = ln.Close() })
	go func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			_ = c.Close()
		}
	}()
	gateway := gatewayOf(t, h.config.NetworkSubnet)
	address := net.JoinHostPort(gateway, strconv.Itoa(ln.Addr().(*net.TCPAddr).Port))
	id := h.made(owner, []string{"dial", address, "/app/data/said", "then", "idle"}, nil)
	path := "/api/v1/instances/" + id
	said := func() string {
		t.Helper()
		var text string
		eventually(t, "the dial's end", func() bool {
			status, body := p.raw(adminKey, http.MethodGet, path+"/files/content?path=said", nil)
			text = string(body)
			return status == http.StatusOK && text != ""
		})
		return text
	}
	if text := said(); text == "reached" {
		t.Error("it reaches its node")
	}
	change := func(body map[string]any) {
		t.Helper()
		var changed data[struct{ Job struct{ ID string } }]
		p.must(http.StatusAccepted, http.MethodPatch, path, body, &changed)
		p.awaitJob(changed.Data.Job.ID, "succeeded")
	}
	before := p.life(id)
	change(map[string]any{"network": map[string]any{"allow": []string{gateway}}, "io": map[string]any{"write_bytes": 10 << 20, "read_ops": 500}})
	var v data[struct {
		ContainerID string `json:"container_id"`
		Unheld      []string
	}]
	p.must(http.StatusOK, http.MethodGet, path, nil, &v)
	if len(v.Data.Unheld) > 0 {
		t.Errorf("%q", v.Data.Unheld)
	}
	if after := p.life(id); after.ContainerID != before.ContainerID || !after.StartedAt.Equal(*before.StartedAt) {
		t.Errorf("it was made anew: %+v, %+v", before, after)
	}
	box, err := h.engine().Inspect(t.Context(), runtime.ContainerID(v.Data.ContainerID))
	if err != nil {
		t.Fatal(err)
	}
	if text := speeds(t, box); !strings.Contains(text, " 10485760\n") && !strings.Contains(text, "wbps=10485760") {
		t.Errorf("its disk is held to %q", text)
	}
	_ = ioWrite(t, p, path, "said", "")
	p.must(http.StatusAccepted, http.MethodPost, path+"/restart", nil, nil)
	eventually(t, "it reaches its node now", func() bool {
		_, body := p.raw(adminKey, http.MethodGet, path+"/files/content?path=said", nil)
		return string(body) == "reached"
	})
}

// gatewayOf is the first address of a subnet: the node's own on the bridge.
func gatewayOf(t *testing.T, subnet string) string {
	t.Helper()
	ip, _, err := net.ParseCIDR(subnet)
	if err != nil {
		t.Fatal(err)
	}
	ip = ip.To4()
	ip[3]++
	return ip.String()
}

// ioWrite empties a file, so that what is in it later is new.
func ioWrite(t *testing.T, p *panel, path, name, text string) error {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPut, p.url+path+"/files/content?path="+name, strings.NewReader(text))
	if err != nil {
		return err
	}
	req.Header.Set("x-api-key", adminKey)
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	return res.Body.Close()
}

// speeds is what the kernel holds a container's disk to.
func speeds(t *testing.T, box runtime.Container) string {
	t.Helper()
	groups, err := cgroup.Open("").Find(box.Pid, string(box.ID))
	if err != nil {
		t.Fatal(err)
	}
	name := filepath.Join(groups.V2, "io.max")
	if dir := groups.V1["blkio"]; dir != "" {
		name = filepath.Join(dir, "blkio.throttle.write_bps_device")
	}
	file, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = file.Close() }()
	var all strings.Builder
	for lines := bufio.NewScanner(file); lines.Scan(); {
		all.WriteString(lines.Text() + "\n")
	}
	return all.String()
}
