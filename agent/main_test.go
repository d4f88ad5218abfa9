package main

import (
	"bufio"
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/berth-panel/berth/agent/egress"
	"github.com/berth-panel/berth/shared/ident"
	"github.com/berth-panel/berth/shared/wire"
)

// program builds the agent once; the directory is removed by TestMain.
var program = sync.OnceValues(func() (string, error) {
	file := filepath.Join(scratch, "berth-agent")
	build := exec.Command("go", "build", "-o", file, ".")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if text, err := build.CombinedOutput(); err != nil {
		return string(text), err
	}
	return file, nil
})

var scratch string

func TestMain(m *testing.M) {
	var err error
	if scratch, err = os.MkdirTemp("", "berth-agent-*"); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	code := m.Run()
	_ = os.RemoveAll(scratch)
	os.Exit(code)
}

// command prepares a run of the agent with an engine that is nowhere.
func command(t *testing.T, args ...string) *exec.Cmd {
	t.Helper()
	file, err := program()
	if err != nil {
		t.Fatalf("%v: %s", err, file)
	}
	c := exec.CommandContext(t.Context(), file, args...)
	c.Env = []string{"DOCKER_HOST=unix:///nonexistent/docker.sock", "PATH=" + os.Getenv("PATH")}
	return c
}

// fails runs the agent and checks that it ends with code 1 and these words.
func fails(t *testing.T, words string, args ...string) {
	t.Helper()
	text, err := command(t, args...).CombinedOutput()
	if err == nil || !strings.Contains(string(text), words) || strings.Contains(string(text), "goroutine") {
		t.Errorf("%q: %v, %s, want %q", args, err, text, words)
	}
}

// enroller is a controller that lets in whoever proves the key.
func enroller(t *testing.T) (address, key string) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	}
	ca, err := x509.CreateCertificate(rand.Reader, template, template, &private.PublicKey, private)
	if err != nil {
		t.Fatal(err)
	}
	print := sha256.Sum256(ca)
	k := wire.EnrolmentKey{ID: "k1", Secret: bytes.Repeat([]byte{7}, 32), Fingerprint: print[:]}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != wire.PathEnrol { // it has no tunnels
			http.NotFound(w, r)
			return
		}
		var request wire.EnrolRequest
		if err := json.NewDecoder(r.Body).Decode(&request); err != nil || !wire.Proves(request.MAC, k.SignRequest(request)) {
			t.Errorf("the request is %+v, %v", request, err)
		}
		a := request.Agent
		if a.Name != "n1" || a.Port != 9443 || len(a.Tags) != 2 || a.MemoryMiB <= 0 || a.DiskMiB != 77 || a.Address != "192.0.2.1" {
			t.Errorf("the agent said %+v", a)
		}
		block, _ := pem.Decode([]byte(request.CSR))
		csr, err := x509.ParseCertificateRequest(block.Bytes)
		if err != nil {
			t.Error(err)
		}
		leaf := &x509.Certificate{
			SerialNumber: big.NewInt(2), NotBefore: template.NotBefore, NotAfter: template.NotAfter,
			ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}, URIs: []*url.URL{{Scheme: "berth", Host: "node", Path: "/n-1"}},
		}
		der, err := x509.CreateCertificate(rand.Reader, leaf, template, csr.PublicKey, private)
		if err != nil {
			t.Error(err)
		}
		encode := func(der []byte) string {
			return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
		}
		answer := wire.EnrolAnswer{Node: ident.Node("n-1"), CA: encode(ca), Certificate: encode(der)}
		answer.MAC = k.SignAnswer(request.Nonce, answer)
		w.WriteHeader(http.StatusCreated)
		_ = json.NewEncoder(w).Encode(answer)
	}))
	t.Cleanup(server.Close)
	return server.URL, k.String()
}

func TestEnrolAndServe(t *testing.T) {
	t.Parallel()
	address, key := enroller(t)
	dir := filepath.Join(t.TempDir(), "data")
	enrol := []string{"enrol", "--controller", address, "--key", key, "--data", dir, "--name", "n1", "--address", "192.0.2.1", "--port", "9443", "--tags", "eu,ssd", "--disk-mib", "77"}
	text, err := command(t, enrol...).CombinedOutput()
	if err != nil || !strings.Contains(string(text), "Enrolled as node n-1") || !strings.Contains(string(text), "berth-agent serve --data "+dir+" --listen :9443") {
		t.Fatalf("%v, %s", err, text)
	}
	fails(t, "enrolled already", enrol...)
	if text, err := command(t, append(enrol, "--force")...).CombinedOutput(); err != nil {
		t.Errorf("%v, %s", err, text)
	}
	t.Cleanup(func() { _ = egress.Uninstall("n-1") }) // without root there is nothing
	for _, signal := range []os.Signal{syscall.SIGTERM, os.Interrupt} {
		serve := command(t, "serve", "--data", dir, "--volumes", "directory", "--listen", "127.0.0.1:0", "--log-format", "json")
		log, err := serve.StderrPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := serve.Start(); err != nil {
			t.Fatal(err)
		}
		lines := bufio.NewScanner(log)
		for lines.Scan() && !strings.Contains(lines.Text(), `"msg":"the agent is ready"`) {
			if !json.Valid(lines.Bytes()) {
				t.Errorf("the log says %q", lines.Text())
			}
		}
		if err := serve.Process.Signal(signal); err != nil {
			t.Fatal(err)
		}
		rest, _ := io.ReadAll(log)
		if err := serve.Wait(); err != nil {
			t.Errorf("%s ended it with %v: %s", signal, err, rest)
		}
	}
}

// No flag is forgotten on its way to the agent: each setting of app.Config that
// people may choose is filled when every flag is.
func TestFlagsReachTheAgent(t *testing.T) {
	t.Parallel()
	flags := &serveCommand{
		Data: "d", Listen: "l", Tunnel: true, SFTPListen: "s", DockerHost: "h", Network: "n", NetworkSubnet: "u", PidsLimit: 1, NoDemo: true,
		NoFirewall: true, AllowDownloads: []netip.Prefix{{}}, Volumes: "image", KeepImages: 1, FreeSpace: 1, MetricsListen: "m",
	}
	config := reflect.ValueOf(flags.config())
	for i := range config.NumField() {
		name := config.Type().Field(i).Name
		if forTests := name == "DemoExecutable" || name == "DemoReference"; !forTests && config.Field(i).IsZero() {
			t.Errorf("no flag fills %s", name)
		}
	}
}

func TestCommandLine(t *testing.T) {
	t.Parallel()
	if text, err := command(t, "version").CombinedOutput(); err != nil || !strings.HasPrefix(string(text), "berth-agent dev") {
		t.Errorf("%v, %s", err, text)
	}
	text, err := command(t, "--help").CombinedOutput()
	if err != nil || !strings.Contains(string(text), "enrol") || strings.Contains(string(text), "demo") {
		t.Errorf("%v, %s", err, text)
	}
	dir := t.TempDir()
	fails(t, "not enrolled", "serve", "--data", dir)
	fails(t, "not an enrolment key", "enrol", "--data", dir, "--controller", "http://127.0.0.1:1", "--key", "x")
	fails(t, "--port must be", "enrol", "--data", dir, "--controller", "http://127.0.0.1:1", "--key", "x", "--port", "70000")
	fails(t, "--pids-limit must be", "serve", "--data", dir, "--pids-limit=0")
	fails(t, "--log-level", "serve", "--data", dir, "--log-level", "loud")
	fails(t, "--allow-downloads", "serve", "--data", dir, "--allow-downloads", "here")
	fails(t, "--volumes", "serve", "--data", dir, "--volumes", "tape")
	fails(t, "missing flags", "serve")
	for range 2 { // of what was never mounted
		if text, err := command(t, "unmount", "--data", dir).CombinedOutput(); err != nil {
			t.Errorf("unmount: %v, %s", err, text)
		}
	}
}

// An agent with a tunnel listens nowhere and is ready while its controller is
// away.
func TestServeWithATunnel(t *testing.T) {
	t.Parallel()
	address, key := enroller(t)
	dir := filepath.Join(t.TempDir(), "data")
	text, err := command(t, "enrol", "--controller", address, "--key", key, "--data", dir, "--name", "n1", "--address", "192.0.2.1", "--port", "9443", "--tags", "eu,ssd", "--disk-mib", "77", "--tunnel").CombinedOutput()
	if err != nil || !strings.Contains(string(text), "Now run: berth-agent serve --data "+dir+" --tunnel\n") {
		t.Fatalf("%v, %s", err, text)
	}
	serve := command(t, "serve", "--data", dir, "--volumes", "directory", "--tunnel", "--listen", "256.0.0.1:1", "--log-format", "json")
	log, err := serve.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := serve.Start(); err != nil {
		t.Fatal(err)
	}
	lines, ready := bufio.NewScanner(log), ""
	for lines.Scan() && !strings.Contains(ready, `"msg":"the agent is ready"`) {
		ready = lines.Text()
	}
	if !strings.Contains(ready, wire.PathTunnel) {
		t.Errorf("it is ready by %q", ready)
	}
	if err := serve.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	rest, _ := io.ReadAll(log)
	if err := serve.Wait(); err != nil {
		t.Errorf("it ended with %v: %s", err, rest)
	}
}

func TestMachineIsMeasured(t *testing.T) {
	t.Parallel()
	if memoryMiB() < 64 {
		t.Errorf("the machine has %d MiB of memory", memoryMiB())
	}
	there := diskMiB(t.TempDir())
	if missing := diskMiB(filepath.Join(t.TempDir(), "not", "there")); there < 1 || missing != there {
		t.Errorf("the disk has %d MiB, below it %d", there, missing)
	}
}
