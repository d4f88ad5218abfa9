package runtimetest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/berth-panel/berth/agent/egress"
	"github.com/berth-panel/berth/shared/ident"
)

// The variables that say which engine tests use, and whether they may do
// without.
const (
	EnvHost   = "BERTH_TEST_DOCKER_HOST" // wins over DOCKER_HOST
	EnvDocker = "BERTH_TEST_DOCKER"      // "required": a missing engine fails the test instead of skipping it
)

const defaultHost = "unix:///var/run/docker.sock"

// DockerHost gives the address of a Docker Engine that answers. Where there is
// none the test is skipped, or fails when BERTH_TEST_DOCKER is "required". Every
// test that needs Docker calls it first.
func DockerHost(t testing.TB) string {
	t.Helper()
	host := hostName()
	err := pinged(host)
	if err == nil {
		return host
	}
	if os.Getenv(EnvDocker) == "required" {
		t.Fatalf("no Docker Engine answers at %s, and %s says that one is required: %v", host, EnvDocker, err)
	}
	t.Skipf("no Docker Engine answers at %s, so this test is skipped (set %s to use another): %v", host, EnvHost, err)
	return ""
}

func hostName() string {
	for _, name := range []string{EnvHost, "DOCKER_HOST"} {
		if host := os.Getenv(name); host != "" {
			return host
		}
	}
	return defaultHost
}

// Children are the processes whose parent a process of this machine is. A test that
// can't see them is skipped.
func Children(t testing.TB, parent int) []int {
	t.Helper()
	children, err := ChildrenOf(parent)
	if err != nil {
		t.Skipf("the engine's processes can't be seen from here: %v", err)
	}
	return children
}

// ChildrenOf is Children; the error says that there is no such process to be seen.
func ChildrenOf(parent int) ([]int, error) {
	threads, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", parent)) // each has those that it began
	if err == nil && len(threads) == 0 {
		err = fmt.Errorf("process %d: %w", parent, fs.ErrNotExist)
	}
	var children []int
	for _, at := range threads {
		text, _ := os.ReadFile(at) // of a thread that has ended there is none
		for _, field := range strings.Fields(string(text)) {
			child, err := strconv.Atoi(field)
			if err != nil {
				return nil, fmt.Errorf("children of process %d: %w", parent, err)
			}
			children = append(children, child)
		}
	}
	return children, err
}

// pings remembers which engines answered, for this process.
var pings sync.Map

func pinged(host string) error {
	once, _ := pings.LoadOrStore(host, sync.OnceValue(func() error {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		return call(ctx, host, http.MethodGet, "/_ping", nil, nil)
	}))
	ping, ok := once.(func() error)
	if !ok {
		return errors.New("never: only functions are stored")
	}
	return ping()
}

// call makes one request of an engine's API. A nil answer is not read.
func call(ctx context.Context, host, method, path string, query url.Values, answer any) error {
	return request(ctx, host, method, path, query, http.NoBody, answer)
}

func request(ctx context.Context, host, method, path string, query url.Values, body io.Reader, answer any) error {
	network, address, ok := strings.Cut(host, "://")
	if !ok || (network != "unix" && network != "tcp") {
		return fmt.Errorf("%q is not unix:// or tcp://", host)
	}
	client := http.Client{Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			var d net.Dialer
			return d.DialContext(ctx, network, address)
		},
	}}
	asked, err := http.NewRequestWithContext(ctx, method, "http://engine"+path+"?"+query.Encode(), body)
	if err != nil {
		return err
	}
	asked.Header.Set("Content-Type", "application/json")
	response, err := client.Do(asked)
	if err != nil {
		return err
	}
	defer func() { _ = response.Body.Close() }()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		return err
	}
	if response.StatusCode >= http.StatusBadRequest {
		return &statusError{response.StatusCode, strings.TrimSpace(string(text))}
	}
	if answer == nil {
		return nil
	}
	return json.Unmarshal(text, answer)
}

// statusError is an engine's refusal.
type statusError struct {
	status int
	text   string
}

func (e *statusError) Error() string { return fmt.Sprintf("%d: %s", e.status, e.text) }

// NewNode gives a node id of this test's own. On a real engine follow it with
// CleanDocker.
func NewNode() ident.Node { return ident.Node("test-" + ident.New()) }

// CleanDocker removes, when the test ends, all that the nodes have made on the
// engine: their containers with the anonymous volumes, their networks and the
// images that they loaded. What can't be removed fails the test. Nodes that
// share a network belong into one call: its containers have to go first.
func CleanDocker(t testing.TB, host string, nodes ...ident.Node) {
	t.Helper()
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		if err := clean(ctx, host, nodes); err != nil {
			t.Errorf("cleaning up after nodes %v: %v", nodes, err)
		}
		for _, node := range nodes {
			_ = egress.Uninstall(node) // the tables of an agent that ran for it; without root there are none
		}
	})
}

func clean(ctx context.Context, host string, nodes []ident.Node) error {
	var all []error
	for _, kind := range []struct{ list, remove, label string }{
		{"/containers/json", "/containers/", "berth.node"},
		{"/networks", "/networks/", "berth.node"},
		{"/images/json", "/images/", "berth.loaded"},
	} {
		for _, node := range nodes {
			all = append(all, removeAll(ctx, host, kind.list, kind.remove, kind.label+"="+string(node)))
		}
	}
	return errors.Join(all...)
}

// removeAll removes the objects of one kind that carry a label.
func removeAll(ctx context.Context, host, list, remove, label string) error {
	filters, err := json.Marshal(map[string][]string{"label": {label}})
	if err != nil {
		return err
	}
	var found []struct{ ID string }
	if err := call(ctx, host, http.MethodGet, list, url.Values{"all": {"1"}, "filters": {string(filters)}}, &found); err != nil {
		return err
	}
	var all []error
	for _, object := range found {
		err := call(ctx, host, http.MethodDelete, remove+object.ID, url.Values{"force": {"1"}, "v": {"1"}}, nil)
		var refused *statusError
		if errors.As(err, &refused) && refused.status == http.StatusNotFound {
			continue
		}
		all = append(all, err)
	}
	return errors.Join(all...)
}
