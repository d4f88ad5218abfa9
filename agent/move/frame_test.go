package move

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/berth-panel/berth/shared/problem"
	"github.com/berth-panel/berth/shared/wire"
)

// frames writes frames by hand: each is a type and its content.
func frames(t testing.TB, list ...any) []byte {
	t.Helper()
	var out bytes.Buffer
	w := newFrameWriter(&out)
	for n := 0; n < len(list); n += 2 {
		kind, _ := list[n].(rune)
		switch content := list[n+1].(type) {
		case string:
			must(t, w.write(byte(kind), []byte(content)))
		case []byte:
			must(t, w.write(byte(kind), content))
		default:
			must(t, w.json(byte(kind), content))
		}
	}
	must(t, w.flush())
	return out.Bytes()
}

func part(offset int64, text string) []byte {
	return append(binary.BigEndian.AppendUint64(nil, uint64(offset)), text...)
}

func count(n uint64) []byte { return binary.BigEndian.AppendUint64(nil, n) }

// header is of the file "f" of ten bytes.
func header(change func(h *wire.FileHeader)) wire.FileHeader {
	h := wire.FileHeader{Path: "f", Size: 10, Mode: 0o644, UID: os.Geteuid(), GID: os.Getegid(), MTime: 1e18, CTime: 2e18}
	if change != nil {
		change(&h)
	}
	return h
}

// asking is a target that wants the file "f".
func asking(t testing.TB) *side {
	t.Helper()
	s := newSide(t)
	s.announce(one)
	needs, err := s.store.Compare(t.Context(), one, wire.EntryPage{Last: true, Entries: []wire.Entry{
		{Path: ".", Kind: wire.EntryDir, Mode: 0o755, UID: os.Geteuid(), GID: os.Getegid()},
		{Path: "d", Kind: wire.EntryDir, Mode: 0o755, UID: os.Geteuid(), GID: os.Getegid()},
		{Path: "f", Kind: wire.EntryFile, Mode: 0o644, Size: 10, MTime: 1e18, CTime: 2e18},
	}})
	if err != nil || len(needs.Files) != 1 {
		t.Fatalf("%+v, %v", needs, err)
	}
	return s
}

func (s *side) receive(content []byte) (wire.Received, error) {
	return s.store.Receive(s.t.Context(), one, 0, bytes.NewReader(content), func() {})
}

func TestFramesThatAreRight(t *testing.T) {
	t.Parallel()
	s := asking(t)
	got, err := s.receive(frames(t, 'F', header(nil), 'D', part(0, "01234"), 'D', part(7, "789"), 'E', "\x00", 'Z', count(1)))
	if err != nil || got != (wire.Received{Files: 1, Bytes: 8}) {
		t.Fatalf("%+v, %v", got, err)
	}
	if text, err := os.ReadFile(filepath.Join(s.staged(one), "f")); err != nil || string(text) != "01234\x00\x00789" {
		t.Errorf("%q, %v", text, err)
	}
}

func TestFramesThatNoSourceSends(t *testing.T) {
	t.Parallel()
	good := func(t *testing.T) []byte {
		return frames(t, 'F', header(nil), 'D', part(0, "0123456789"), 'E', "\x00", 'Z', count(1))
	}
	for name, c := range map[string]struct {
		content func(t *testing.T) []byte
		code    problem.Code
		kept    bool // the file is whole nevertheless
	}{
		"nothing": {func(*testing.T) []byte { return nil }, problem.BadRequest, false},
		"no end":  {func(t *testing.T) []byte { return frames(t, 'F', header(nil), 'D', part(0, "0123456789"), 'E', "\x00") }, problem.BadRequest, true},
		"wrong number": {func(t *testing.T) []byte {
			return frames(t, 'F', header(nil), 'D', part(0, "0123456789"), 'E', "\x00", 'Z', count(2))
		}, problem.BadRequest, true},
		"a bad sum": {func(t *testing.T) []byte {
			text := good(t)
			text[bytes.Index(text, []byte("0123"))] ^= 1
			return text
		}, problem.BadRequest, false},
		"a length that lies": {func(t *testing.T) []byte {
			text := good(t)
			binary.BigEndian.PutUint32(text[1:], wire.MaxFrame+1)
			return text
		}, problem.BadRequest, false},
		"data first":      {func(t *testing.T) []byte { return frames(t, 'D', part(0, "x")) }, problem.BadRequest, false},
		"end first":       {func(t *testing.T) []byte { return frames(t, 'E', "\x00") }, problem.BadRequest, false},
		"a file in it":    {func(t *testing.T) []byte { return frames(t, 'F', header(nil), 'F', header(nil)) }, problem.BadRequest, false},
		"done in it":      {func(t *testing.T) []byte { return frames(t, 'F', header(nil), 'Z', count(0)) }, problem.BadRequest, false},
		"an unknown type": {func(t *testing.T) []byte { return frames(t, 'Q', "") }, problem.BadRequest, false},
		"no header":       {func(t *testing.T) []byte { return frames(t, 'F', "{") }, problem.BadRequest, false},
		"not asked for": {func(t *testing.T) []byte {
			return frames(t, 'F', header(func(h *wire.FileHeader) { h.Path = "g" }), 'E', "\x00", 'Z', count(1))
		}, problem.BadRequest, false},
		"gone, not asked for": {func(t *testing.T) []byte { return frames(t, 'G', "g", 'Z', count(1)) }, problem.BadRequest, false},
		"dots": {func(t *testing.T) []byte {
			return frames(t, 'F', header(func(h *wire.FileHeader) { h.Path = "../../f" }))
		}, problem.BadRequest, false},
		"a size": {func(t *testing.T) []byte { return frames(t, 'F', header(func(h *wire.FileHeader) { h.Size = -1 })) }, problem.BadRequest, false},
		"a mode": {func(t *testing.T) []byte {
			return frames(t, 'F', header(func(h *wire.FileHeader) { h.Mode = 0o20644 }))
		}, problem.BadRequest, false},
		"behind its end":     {func(t *testing.T) []byte { return frames(t, 'F', header(nil), 'D', part(8, "89a")) }, problem.BadRequest, false},
		"far behind it":      {func(t *testing.T) []byte { return frames(t, 'F', header(nil), 'D', part(1<<62, "x")) }, problem.BadRequest, false},
		"before its begin":   {func(t *testing.T) []byte { return frames(t, 'F', header(nil), 'D', part(-1, "x")) }, problem.BadRequest, false},
		"backwards":          {func(t *testing.T) []byte { return frames(t, 'F', header(nil), 'D', part(5, "5"), 'D', part(4, "4")) }, problem.BadRequest, false},
		"empty data":         {func(t *testing.T) []byte { return frames(t, 'F', header(nil), 'D', part(0, "")) }, problem.BadRequest, false},
		"short data":         {func(t *testing.T) []byte { return frames(t, 'F', header(nil), 'D', "1234") }, problem.BadRequest, false},
		"a strange end":      {func(t *testing.T) []byte { return frames(t, 'F', header(nil), 'E', "\x07") }, problem.BadRequest, false},
		"more than there is": {func(t *testing.T) []byte { return frames(t, 'F', header(func(h *wire.FileHeader) { h.Offset = 5 })) }, problem.Conflict, false},
		"the source fails": {func(t *testing.T) []byte {
			return frames(t, 'F', header(nil), 'D', part(0, "01234"), 'X', problem.New(problem.Internal, "the disk is broken"))
		}, problem.Internal, false},
		"it fails and says nothing": {func(t *testing.T) []byte { return frames(t, 'X', "{}") }, problem.BadRequest, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := asking(t)
			_, err := s.receive(c.content(t))
			wantProblem(t, err, c.code)
			if exists(t, filepath.Join(s.staged(one), "f")) != c.kept {
				t.Errorf("the file is kept: %v", !c.kept)
			}
			entries, rerr := os.ReadDir(s.staged(one))
			if want := map[bool]int{false: 1, true: 2}[c.kept]; rerr != nil || len(entries) != want {
				t.Errorf("the volume holds %v, %v", entries, rerr)
			}
			if got, err := s.receive(good(t)); err != nil || got.Files != 1 {
				t.Errorf("then nothing works any more: %+v, %v", got, err)
			}
		})
	}
}

func TestWholeFilesDontReplaceFolders(t *testing.T) {
	t.Parallel()
	s := asking(t)
	must(t, os.Mkdir(filepath.Join(s.staged(one), "f"), 0o755))
	if _, err := s.receive(frames(t, 'F', header(nil), 'D', part(0, "0123456789"), 'E', "\x00", 'Z', count(1))); err == nil {
		t.Error("a folder was replaced")
	}
	must(t, os.Remove(filepath.Join(s.staged(one), "f")))
	outside := filepath.Join(t.TempDir(), "precious")
	must(t, os.WriteFile(outside, []byte("precious"), 0o600))
	must(t, os.Symlink(outside, filepath.Join(s.staged(one), "f")))
	if _, err := s.receive(frames(t, 'F', header(nil), 'D', part(0, "0123456789"), 'E', "\x00", 'Z', count(1))); err != nil {
		t.Error(err)
	}
	if text, err := os.ReadFile(outside); err != nil || string(text) != "precious" {
		t.Errorf("a link was written through: %q, %v", text, err)
	}
}

func TestFramesComeBackAsTheyWere(t *testing.T) {
	t.Parallel()
	text := frames(t, 'F', "a", 'D', strings.Repeat("x", wire.MaxFrame), 'E', "", 'D', "short")
	r := newFrameReader(bytes.NewReader(text))
	for _, want := range []frame{{'F', []byte("a")}, {'D', []byte(strings.Repeat("x", wire.MaxFrame))}, {'E', nil}, {'D', []byte("short")}} {
		f, err := r.next()
		if err != nil || f.kind != want.kind || !bytes.Equal(f.content, want.content) {
			t.Fatalf("%c of %d bytes, %v", f.kind, len(f.content), err)
		}
	}
	if _, err := r.next(); !errors.Is(err, errCut) {
		t.Errorf("at the end: %v", err)
	}
	if err := newFrameWriter(io.Discard).write('D', make([]byte, wire.MaxFrame+1)); err == nil {
		t.Error("too large a frame was written")
	}
	for n := range text[:200] {
		if _, err := newFrameReader(bytes.NewReader(text[:n%6])).next(); !problem.Is(err, problem.BadRequest) {
			t.Fatalf("%d bytes of a frame: %v", n%6, err)
		}
	}
}

// FuzzFrames feeds a target with anything: it must fail in good order, and
// nothing but the file that it asked for may be there.
func FuzzFrames(f *testing.F) {
	whole := frames(f, 'F', header(nil), 'D', part(0, "0123456789"), 'E', "\x00", 'Z', count(1))
	f.Add(whole)
	f.Add(whole[:len(whole)/2])
	f.Add(frames(f, 'G', "f", 'Z', count(1)))
	f.Add(frames(f, 'X', problem.New(problem.Internal, "no")))
	f.Add(frames(f, 'F', header(func(h *wire.FileHeader) { h.Path = "../f" })))
	f.Add([]byte("F\xff\xff\xff\xff"))
	s := asking(f)
	f.Fuzz(func(t *testing.T, content []byte) {
		reader := newFrameReader(bytes.NewReader(content))
		for n := 0; ; n++ {
			fr, err := reader.next()
			if err != nil {
				break
			}
			if n > len(content) || len(fr.content) > len(content) {
				t.Fatal("more came out than went in")
			}
			var h wire.FileHeader
			_ = json.Unmarshal(fr.content, &h)
		}
		_, _ = s.store.Receive(t.Context(), one, 0, bytes.NewReader(content), func() {})
		entries, err := os.ReadDir(s.staged(one))
		must(t, err)
		for _, e := range entries {
			if e.Name() != "f" && e.Name() != "d" {
				t.Fatalf("%q is there", e.Name())
			}
		}
	})
}
