package runtimetest

import (
	"archive/tar"
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/berth-panel/berth/agent/runtime"
	"github.com/berth-panel/berth/agent/supervisor"
)

const (
	probePackage = "github.com/berth-panel/berth/agent/runtime/runtimetest/probe"
	initPackage  = "github.com/berth-panel/berth/agent/supervisor/init"
)

// Passwd is /etc/passwd of the probe's image.
const Passwd = `root:x:0:0:root:/root:/probe
app:x:1000:1000:app:/app:/probe
web:x:33:34:web:/srv:/probe
`

const group = "root:x:0:\napp:x:1000:\nweb:x:34:\n"

// ProbeConfig is the config of the probe's image: its command is the probe, the
// arguments are steps (see package probe), none is "idle".
func ProbeConfig() runtime.ImageConfig {
	return runtime.ImageConfig{Entrypoint: []string{"/probe"}, Env: []string{"PROBE=1"}, WorkingDir: "/tmp", Ports: []uint16{8080}}
}

// rootfs is built once in a process.
var rootfs = sync.OnceValues(func() ([]byte, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	binary, err := buildStatic(ctx, probePackage)
	if err != nil {
		return nil, err
	}
	return packProbe(binary)
})

// Rootfs is the root filesystem of the probe's image as a tar. The probe is
// built by the go command, without cgo, for this machine.
func Rootfs(t testing.TB) io.Reader {
	t.Helper()
	text, err := rootfs()
	if err != nil {
		t.Fatalf("building the probe: %v", err)
	}
	return bytes.NewReader(text)
}

// LoadProbe makes the probe's image under the reference.
func LoadProbe(t testing.TB, engine runtime.Engine, reference string) {
	t.Helper()
	if err := engine.Load(t.Context(), reference, Rootfs(t), ProbeConfig()); err != nil {
		t.Fatalf("loading the probe's image: %v", err)
	}
}

// firstProcess is built once in a process.
var firstProcess = sync.OnceValues(func() ([]byte, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	return buildStatic(ctx, initPackage)
})

// Supervisor opens one in a directory, with a program that is built as the agent's is;
// it is closed at the test's end.
func Supervisor(t testing.TB, home string) *supervisor.Supervisor {
	t.Helper()
	program, err := firstProcess()
	if err != nil {
		t.Fatalf("building the first process of containers: %v", err)
	}
	s, err := supervisor.Open(supervisor.Options{Dir: home, Program: program, Log: slog.New(slog.DiscardHandler), Now: time.Now})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

// buildStatic builds a program without cgo, for this machine.
func buildStatic(ctx context.Context, path string) ([]byte, error) {
	dir, err := os.MkdirTemp("", "berth-build-*")
	if err != nil {
		return nil, err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	file := filepath.Join(dir, "program")
	build := exec.CommandContext(ctx, "go", "build", "-trimpath", "-ldflags", "-s -w", "-o", file, path)
	build.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux")
	if output, err := build.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("%w: %s", err, output)
	}
	return os.ReadFile(file)
}

func packProbe(binary []byte) ([]byte, error) {
	var out bytes.Buffer
	w := tar.NewWriter(&out)
	for _, e := range []struct {
		head tar.Header
		text []byte
	}{
		{tar.Header{Typeflag: tar.TypeDir, Name: "etc/", Mode: 0o755}, nil},
		{tar.Header{Typeflag: tar.TypeDir, Name: "tmp/", Mode: 0o1777}, nil},
		{tar.Header{Typeflag: tar.TypeDir, Name: "app/", Mode: 0o755, Uid: 1000, Gid: 1000}, nil},
		{tar.Header{Typeflag: tar.TypeReg, Name: "probe", Mode: 0o755}, binary},
		{tar.Header{Typeflag: tar.TypeReg, Name: "etc/passwd", Mode: 0o644}, []byte(Passwd)},
		{tar.Header{Typeflag: tar.TypeReg, Name: "etc/group", Mode: 0o644}, []byte(group)},
		{tar.Header{Typeflag: tar.TypeReg, Name: "etc/notes", Mode: 0o644}, []byte("not a program\n")},
		{tar.Header{Typeflag: tar.TypeReg, Name: "etc/garbage", Mode: 0o755}, []byte("\x00\x01 not a program either\n")},
		{tar.Header{Typeflag: tar.TypeSymlink, Name: "etc/users", Linkname: "passwd", Mode: 0o777}, nil},
		{tar.Header{Typeflag: tar.TypeSymlink, Name: "etc/out", Linkname: "../../../../../../etc/passwd", Mode: 0o777}, nil},
		{tar.Header{Typeflag: tar.TypeSymlink, Name: "etc/loop", Linkname: "loop", Mode: 0o777}, nil},
		{tar.Header{Typeflag: tar.TypeSymlink, Name: "etc/nowhere", Linkname: "/does/not/exist", Mode: 0o777}, nil},
	} {
		e.head.Size = int64(len(e.text))
		if err := w.WriteHeader(&e.head); err != nil {
			return nil, err
		}
		if _, err := w.Write(e.text); err != nil {
			return nil, err
		}
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	return out.Bytes(), nil
}
