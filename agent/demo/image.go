package demo

import (
	"archive/tar"
	"context"
	"crypto/sha256"
	"debug/elf"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"slices"
	"sync"

	"github.com/berth-panel/berth/agent/runtime"
	"github.com/berth-panel/berth/shared/problem"
)

// Reference is the demo image's usual name.
const Reference = "berth/demo:1"

const (
	user    = 1000 // of the demo's process, and so of its volume
	binary  = "berth-agent"
	dataDir = "/app/data"
)

// Engine is what a Maker needs of agent/runtime.
type Engine interface {
	Image(ctx context.Context, reference string) (runtime.Image, error)
	Load(ctx context.Context, reference string, rootfs io.Reader, config runtime.ImageConfig) error
}

// Maker makes the demo image. It is safe for concurrent use.
type Maker struct {
	engine     Engine
	reference  string
	executable string
	log        *slog.Logger
	turn       chan struct{} // one at a time looks and makes

	mu    sync.Mutex
	build string
}

// NewMaker makes a Maker of the image of that name (usually Reference) from the
// agent's executable, which must be statically linked: the image holds nothing
// else.
func NewMaker(engine Engine, reference, executable string, log *slog.Logger) *Maker {
	return &Maker{engine: engine, reference: reference, executable: executable, log: log, turn: make(chan struct{}, 1)}
}

// Provide makes sure that the image is on the engine and was made from this
// build; mine is false for any other reference. Failures are *runtime.Failure,
// *problem.Problem or the context's error.
func (m *Maker) Provide(ctx context.Context, reference string) (mine bool, err error) {
	if reference != m.reference {
		return false, nil
	}
	select {
	case m.turn <- struct{}{}:
		defer func() { <-m.turn }()
	case <-ctx.Done():
		return true, ctx.Err()
	}
	entrypoint, wrong := m.entrypoint()
	image, err := m.engine.Image(ctx, m.reference)
	if err == nil && (wrong != nil || slices.Equal(image.Entrypoint, entrypoint)) {
		return true, nil // one made by a proper agent is as good as ours
	}
	if err != nil && runtime.ReasonOf(err) != runtime.ImageMissing {
		return true, err
	}
	if wrong != nil {
		return true, problem.New(problem.Internal, "this node can't make the demo image: %s", wrong).Because(wrong)
	}
	if err := m.load(ctx, entrypoint); err != nil {
		return true, err
	}
	m.log.Info("the demo image was made", "image", m.reference)
	return true, nil
}

// entrypoint is the image's: its last word names the build.
func (m *Maker) entrypoint() ([]string, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.build == "" {
		if err := checkStatic(m.executable); err != nil {
			return nil, err
		}
		file, err := os.Open(m.executable)
		if err != nil {
			return nil, errors.New("its program can't be read")
		}
		defer func() { _ = file.Close() }()
		sum := sha256.New()
		if _, err := io.Copy(sum, file); err != nil {
			return nil, errors.New("its program can't be read")
		}
		m.build = hex.EncodeToString(sum.Sum(nil)[:6])
	}
	return []string{"/" + binary, "demo", "--build=" + m.build}, nil
}

// checkStatic refuses a program that needs a loader, which the image lacks.
func checkStatic(path string) error {
	program, err := elf.Open(path)
	if err != nil {
		return errors.New("its program is not a Linux executable")
	}
	defer func() { _ = program.Close() }()
	for _, p := range program.Progs {
		if p.Type == elf.PT_INTERP {
			return errors.New("its program is not statically linked (build it with CGO_ENABLED=0)")
		}
	}
	return nil
}

func (m *Maker) load(ctx context.Context, entrypoint []string) error {
	file, err := os.Open(m.executable)
	if err != nil {
		return problem.New(problem.Internal, "this node can't make the demo image: its program can't be read").Because(err)
	}
	defer func() { _ = file.Close() }()
	reader, writer := io.Pipe()
	written := make(chan struct{})
	go func() {
		defer close(written)
		writer.CloseWithError(writeRoot(writer, file))
	}()
	err = m.engine.Load(ctx, m.reference, reader, runtime.ImageConfig{
		Entrypoint: entrypoint,
		Env:        []string{"PATH=/"},
		WorkingDir: dataDir,
		User:       fmt.Sprintf("%d:%d", user, user),
		Ports:      []uint16{defaultPort},
	})
	_ = reader.Close()
	<-written
	return err
}

// writeRoot writes the image's whole filesystem as a tar.
func writeRoot(w io.Writer, program *os.File) error {
	info, err := program.Stat()
	if err != nil {
		return err
	}
	passwd := fmt.Sprintf("root:x:0:0:root:/:/sbin/nologin\ndemo:x:%d:%d:demo:%s:/sbin/nologin\n", user, user, dataDir)
	group := fmt.Sprintf("root:x:0:\ndemo:x:%d:\n", user)
	out := tar.NewWriter(w)
	for _, h := range []tar.Header{
		{Name: "tmp/", Typeflag: tar.TypeDir, Mode: 0o1777},
		{Name: "etc/", Typeflag: tar.TypeDir, Mode: 0o755},
		{Name: "app/", Typeflag: tar.TypeDir, Mode: 0o755},
		{Name: "app/data/", Typeflag: tar.TypeDir, Mode: 0o755, Uid: user, Gid: user},
	} {
		if err := out.WriteHeader(&h); err != nil {
			return err
		}
	}
	for _, f := range []struct{ name, text string }{{"etc/passwd", passwd}, {"etc/group", group}} {
		if err := out.WriteHeader(&tar.Header{Name: f.name, Typeflag: tar.TypeReg, Mode: 0o644, Size: int64(len(f.text))}); err != nil {
			return err
		}
		if _, err := io.WriteString(out, f.text); err != nil {
			return err
		}
	}
	if err := out.WriteHeader(&tar.Header{Name: binary, Typeflag: tar.TypeReg, Mode: 0o755, Size: info.Size()}); err != nil {
		return err
	}
	if _, err := io.Copy(out, program); err != nil {
		return err
	}
	return out.Close()
}
