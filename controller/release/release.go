package release

import (
	"compress/gzip"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strings"
	"sync"

	"github.com/berth-panel/berth/shared/problem"
)

//go:embed agents
var embedded embed.FS

// Architectures are those that there are agents for, by Go's names.
func Architectures() []string { return []string{"amd64", "arm64"} }

// releaseFile says which release the programs are.
const releaseFile = "release"

// Program is the agent for one architecture.
type Program struct {
	Arch   string
	SHA256 string // of the program, hex
	Size   int64  // bytes of the program
	packed fs.FS  // has it by name, in gzip
}

// Open gives the program's bytes, uncompressed as they are read: the copy of the
// binary that they are in is enough.
func (p Program) Open() (io.ReadCloser, error) {
	file, err := p.packed.Open("berth-agent-linux-" + p.Arch + ".gz")
	if err != nil {
		return nil, err
	}
	body, err := gzip.NewReader(file)
	if err != nil {
		return nil, errors.Join(err, file.Close())
	}
	return opened{body, file}, nil
}

// opened is a program that is being read.
type opened struct {
	io.Reader
	io.Closer
}

// Programs are the agents that this controller hands out. They are safe for
// concurrent use.
type Programs struct {
	load func() (set, error)
}

type set struct {
	release string
	byArch  map[string]Program
}

// Embedded are the programs that were built in.
func Embedded() *Programs {
	files, err := fs.Sub(embedded, "agents")
	if err != nil {
		return &Programs{load: func() (set, error) { return set{}, err }}
	}
	return Read(files)
}

// Read takes the programs of a folder as make build leaves them:
// berth-agent-linux-ARCH.gz, and the release's name in the file "release".
func Read(files fs.FS) *Programs {
	return &Programs{load: sync.OnceValues(func() (set, error) { return read(files) })}
}

func read(files fs.FS) (set, error) {
	name, err := fs.ReadFile(files, releaseFile)
	if errors.Is(err, fs.ErrNotExist) {
		return set{}, errNone()
	}
	if err != nil {
		return set{}, fmt.Errorf("read the agents' release: %w", err)
	}
	s := set{release: strings.TrimSpace(string(name)), byArch: map[string]Program{}}
	for _, arch := range Architectures() {
		p, err := readProgram(files, arch)
		if errors.Is(err, fs.ErrNotExist) {
			return set{}, errNone()
		}
		if err != nil {
			return set{}, fmt.Errorf("read the agent for %s: %w", arch, err)
		}
		s.byArch[arch] = p
	}
	return s, nil
}

func readProgram(files fs.FS, arch string) (Program, error) {
	p := Program{Arch: arch, packed: files}
	body, err := p.Open()
	if err != nil {
		return p, err
	}
	hash := sha256.New()
	p.Size, err = io.Copy(hash, body)
	p.SHA256 = hex.EncodeToString(hash.Sum(nil))
	return p, errors.Join(err, body.Close())
}

func errNone() error {
	return problem.New(problem.NotFound, "this controller was built without the agents' programs: build it with make build, or install agents by hand")
}

// Release is the name of the release that the programs are.
func (p *Programs) Release() (string, error) {
	s, err := p.load()
	return s.release, err
}

// For gives the program for an architecture, by Go's name of it.
func (p *Programs) For(arch string) (Program, error) {
	s, err := p.load()
	if err != nil {
		return Program{}, err
	}
	found, ok := s.byArch[arch]
	if !ok {
		return found, problem.New(problem.Conflict, "there is no agent for machines of the kind %q; there are %s", arch, strings.Join(Architectures(), " and "))
	}
	return found, nil
}
