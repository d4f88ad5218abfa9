package transfer

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/berth-panel/berth/shared/problem"
	"github.com/berth-panel/berth/shared/wire"
)

func content(seed uint64, size int) []byte {
	b := make([]byte, size)
	c := rand.NewChaCha8([32]byte{byte(seed), byte(seed >> 8)})
	_, _ = c.Read(b)
	return b
}

func (n *node) upload(id string, u wire.FileUpload) wire.FileUploadState {
	n.t.Helper()
	var state wire.FileUploadState
	n.json("PUT", "uploads/"+id, u).good(n.t, &state)
	return state
}

func (n *node) offset(id string) int64 {
	n.t.Helper()
	var state wire.FileUploadState
	n.json("GET", "uploads/"+id, nil).good(n.t, &state)
	return state.Offset
}

func (n *node) patch(id string, offset int64, body io.Reader, header ...string) reply {
	n.t.Helper()
	return n.do("PATCH", fmt.Sprintf("uploads/%s?offset=%d", id, offset), body, header...)
}

func sumOf(b []byte) string {
	sum := sha256.Sum256(b)
	return "sha256 " + hex.EncodeToString(sum[:])
}

// breakOff sends a part whose end never comes, and waits for what is said of it.
func (n *node) breakOff(id string, offset int64, piece []byte) {
	n.t.Helper()
	conn, err := net.Dial("tcp", n.door.Listener.Addr().String())
	must(n.t, err)
	defer func() { _ = conn.Close() }()
	_, err = fmt.Fprintf(conn, "PATCH /%s/uploads/%s?offset=%d HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%s", one, id, offset, len(piece)+1, piece)
	must(n.t, err)
	must(n.t, conn.(*net.TCPConn).CloseWrite())
	answer, err := io.ReadAll(conn)
	if err != nil || !bytes.Contains(answer, []byte(problem.BadRequest)) {
		n.t.Fatalf("a part that broke off: %s, %v", answer, err)
	}
}

func TestWhatIsUploadedIsWhatIsDownloaded(t *testing.T) {
	t.Parallel()
	n := setup(t)
	random := rand.New(rand.NewPCG(3, 4))
	for round := range 5 {
		whole := content(uint64(round), random.IntN(1<<20))
		id, path := uuid.NewString(), wire.Path(fmt.Sprint("up/", round))
		want := wire.FileUpload{Path: path, Size: int64(len(whole)), Mode: 0o600}
		n.upload(id, want)
		for steps := 0; ; steps++ {
			offset := n.offset(id)
			if offset == int64(len(whole)) {
				break
			}
			rest := whole[offset:]
			piece := rest[:1+random.IntN(len(rest))]
			switch random.IntN(6) {
			case 0: // breaks off: some of it counts
				piece = piece[:min(len(piece), len(rest)-1)]
				n.breakOff(id, offset, piece)
				if now := n.offset(id); now != offset+int64(len(piece)) {
					t.Fatalf("of a part of %d bytes that broke off, %d are kept", len(piece), now-offset)
				}
			case 1: // a wrong sum: nothing of it counts
				n.patch(id, offset, bytes.NewReader(piece), checksumHeader, sumOf([]byte("other"))).bad(t, problem.Validation)
				if now := n.offset(id); now != offset {
					t.Fatalf("a part with a wrong sum moved the offset from %d to %d", offset, now)
				}
			case 2:
				n.patch(id, offset, bytes.NewReader(piece), checksumHeader, sumOf(piece)).good(t, nil)
			case 3:
				n.patch(id, offset+1, bytes.NewReader(piece)).bad(t, problem.Conflict)
			case 4:
				n.reboot()
				if again := n.upload(id, want); again.Offset != offset {
					t.Fatalf("after a start the offset is %d, was %d", again.Offset, offset)
				}
			default:
				n.patch(id, offset, bytes.NewReader(piece)).good(t, nil)
			}
		}
		var entry wire.FileEntry
		n.json("POST", "uploads/"+id, nil).good(t, &entry)
		n.json("POST", "uploads/"+id, nil).good(t, &entry)
		if entry.Path != path || entry.Mode != 0o600 || entry.Size != int64(len(whole)) || n.get(path) != string(whole) {
			t.Fatalf("round %d: %+v", round, entry)
		}
	}
	n.reboot()
	for _, name := range n.parts() {
		if !strings.HasPrefix(name, partRecord) {
			t.Errorf("left: %s", name)
		}
	}
}

// TestAnUploadGoesOnAfterTheAgentWasKilled copies the disk as it is in the midst
// of a part: that is what an agent finds that was killed there.
func TestAnUploadGoesOnAfterTheAgentWasKilled(t *testing.T) {
	t.Parallel()
	n := setup(t)
	whole := content(1, 2<<20)
	id := uuid.NewString()
	n.upload(id, wire.FileUpload{Path: "f", Size: int64(len(whole))})
	n.patch(id, 0, bytes.NewReader(whole[:100_000])).good(t, nil)
	read, write := io.Pipe()
	var sending sync.WaitGroup
	sending.Go(func() { n.patch(id, 100_000, read, checksumHeader, sumOf(whole[100_000:])) })
	_, err := write.Write(whole[100_000:])
	must(t, err)
	parts := n.partsDir()
	until(t, "some of the part to be written", func() bool {
		info, err := os.Stat(filepath.Join(parts, partUpload+id))
		return err == nil && info.Size() > 100_000
	})
	dir := filepath.Join(t.TempDir(), "copy")
	must(t, os.CopyFS(dir, os.DirFS(n.dir)))
	_ = write.CloseWithError(errors.New("killed"))
	sending.Wait()

	next := setupAt(t, dir)
	if got := next.offset(id); got != 100_000 {
		t.Fatalf("the offset is %d: what was not checked counts", got)
	}
	next.patch(id, 100_000, bytes.NewReader(whole[100_000:]), checksumHeader, sumOf(whole[100_000:])).good(t, nil)
	next.json("POST", "uploads/"+id, nil).good(t, nil)
	if next.get("f") != string(whole) {
		t.Error("the file is another one")
	}
}

// TestALongPartIsSafeOnItsWay: of a part that never ends, an agent that was killed
// has what came before the last twice settleEvery.
func TestALongPartIsSafeOnItsWay(t *testing.T) {
	t.Parallel()
	n := setup(t)
	id := uuid.NewString()
	n.upload(id, wire.FileUpload{Path: "f", Size: 4 * settleEvery})
	read, write := io.Pipe()
	var sending sync.WaitGroup
	sending.Go(func() { n.patch(id, 0, read) })
	piece := content(1, flushEvery)
	for sent := 0; sent <= 2*settleEvery+flushEvery; sent += len(piece) {
		_, err := write.Write(piece)
		must(t, err)
	}
	note := filepath.Join(n.partsDir(), partRecord+id)
	until(t, "the offset to be on the disk", func() bool {
		text, err := os.ReadFile(note)
		var on record
		return err == nil && json.Unmarshal(text, &on) == nil && on.Offset >= settleEvery
	})
	_ = write.CloseWithError(errors.New("killed"))
	sending.Wait()
	if offset := n.offset(id); offset < settleEvery || offset > 2*settleEvery+2*flushEvery {
		t.Errorf("the offset is %d", offset)
	}
	n.json("DELETE", "uploads/"+id, nil)
	n.noParts()
}

// partsDir is where the parts are on this machine.
func (n *node) partsDir() string {
	n.t.Helper()
	root, err := n.volumes.Parts(one)
	must(n.t, err)
	defer func() { _ = root.Close() }()
	probe := "s-probe"
	f, err := root.New(wire.Path(probe))
	must(n.t, err)
	_ = f.Close()
	defer func() { _ = root.Remove(wire.Path(probe)) }()
	found := ""
	must(n.t, filepath.WalkDir(n.dir, func(path string, d os.DirEntry, err error) error {
		if err == nil && d.Name() == probe {
			found = filepath.Dir(path)
		}
		return nil
	}))
	return found
}

func TestALaterCallEndsAPartUnderWay(t *testing.T) {
	t.Parallel()
	n := setup(t)
	id := uuid.NewString()
	n.upload(id, wire.FileUpload{Path: "f", Size: 10})
	read, write := io.Pipe()
	var sending sync.WaitGroup
	sending.Go(func() {
		r := n.patch(id, 0, read)
		if r.err == nil && r.status != problem.Conflict.Status() {
			t.Errorf("the part that was cut: %d %s", r.status, r.body)
		}
	})
	_, err := write.Write([]byte("01234"))
	must(t, err)
	root, err := n.volumes.Parts(one)
	must(t, err)
	defer func() { _ = root.Close() }()
	// What came is kept: but it must have come.
	var offset int64
	until(t, "the part to be heard of", func() bool {
		n.store.yard(one).mu.Lock()
		u := n.store.yard(one).uploads[id]
		n.store.yard(one).mu.Unlock()
		u.mu.Lock()
		defer u.mu.Unlock()
		return u.cut != nil
	})
	offset = n.offset(id)
	if offset < 0 || offset > 5 {
		t.Fatalf("the offset is %d", offset)
	}
	n.patch(id, offset, strings.NewReader("0123456789"[offset:])).good(t, nil)
	_ = write.CloseWithError(errors.New("over"))
	sending.Wait()
	n.json("POST", "uploads/"+id, nil).good(t, nil)
	if got := n.get("f"); got != "0123456789" {
		t.Errorf("the file is %q", got)
	}
}

func TestUploadsAreRefused(t *testing.T) {
	t.Parallel()
	n := setup(t)
	n.plant("taken", "x")
	must(t, os.Mkdir(filepath.Join(n.data, "dir"), 0o755))
	id := uuid.NewString()
	put := func(u wire.FileUpload) reply { return n.json("PUT", "uploads/"+id, u) }
	put(wire.FileUpload{Path: "taken", Size: 1}).bad(t, problem.Conflict)
	put(wire.FileUpload{Path: "dir", Size: 1, Overwrite: true}).bad(t, problem.Conflict)
	put(wire.FileUpload{Path: "f", Size: -1}).bad(t, problem.Validation)
	put(wire.FileUpload{Path: "f", Size: 1, Mode: 0o4755}).bad(t, problem.Validation)
	put(wire.FileUpload{Path: "f", Size: 1 << 60}).bad(t, problem.InsufficientResources)
	n.json("GET", "uploads/"+id, nil).bad(t, problem.NotFound)
	n.json("POST", "uploads/"+id, nil).bad(t, problem.NotFound)
	n.patch(id, 0, strings.NewReader("x")).bad(t, problem.NotFound)
	if r := n.json("DELETE", "uploads/"+id, nil); r.status != 204 {
		t.Errorf("%d", r.status)
	}
	for _, bad := range []string{"x", "../../etc/passwd", strings.ToUpper(id), "{" + id + "}", id + "/x"} {
		if r := n.do("GET", "uploads/"+bad, nil); r.status != 404 {
			t.Errorf("upload %q: %d", bad, r.status)
		}
	}
	n.upload(id, wire.FileUpload{Path: "f", Size: 4})
	put(wire.FileUpload{Path: "g", Size: 4}).bad(t, problem.Conflict)
	n.patch(id, -1, strings.NewReader("x")).bad(t, problem.Validation)
	n.patch(id, 0, strings.NewReader("x"), checksumHeader, "md5 00").bad(t, problem.Validation)
	n.patch(id, 0, strings.NewReader("12345")).bad(t, problem.TooLarge)
	n.patch(id, 0, struct{ io.Reader }{strings.NewReader("12345")}).bad(t, problem.TooLarge)
	n.json("POST", "uploads/"+id, nil).bad(t, problem.Conflict)
	n.patch(id, n.offset(id), strings.NewReader("1234"[n.offset(id):])).good(t, nil)
	n.plant("f", "came meanwhile")
	n.json("POST", "uploads/"+id, nil).bad(t, problem.Conflict)
	n.forbid(problem.New(problem.Conflict, "it is being moved"))
	n.json("POST", "uploads/"+id, nil).bad(t, problem.Conflict)
	n.forbid(nil)
	n.json("DELETE", "uploads/"+id, nil)
	n.noParts()
}

func TestUploadsAreBoundedAndIdleOnesGo(t *testing.T) {
	t.Parallel()
	n := setup(t)
	now := time.Now()
	n.store.Now = func() time.Time { return now }
	first := ""
	for i := range uploadsAtOnce {
		id := uuid.NewString()
		n.upload(id, wire.FileUpload{Path: wire.Path(fmt.Sprint(i)), Size: 0})
		if i == 0 {
			first = id
		}
	}
	n.json("PUT", "uploads/"+uuid.NewString(), wire.FileUpload{Path: "more"}).bad(t, problem.RateLimited)
	n.json("POST", "uploads/"+first, nil).good(t, nil)
	last := uuid.NewString()
	n.upload(last, wire.FileUpload{Path: "more", Size: 1})
	now = now.Add(uploadOver)
	must(t, n.store.tidyOne(one, now))
	n.json("GET", "uploads/"+first, nil).bad(t, problem.NotFound)
	n.json("GET", "uploads/"+last, nil).good(t, nil)
	now = now.Add(uploadKept)
	must(t, n.store.tidyOne(one, now))
	n.json("GET", "uploads/"+last, nil).bad(t, problem.NotFound)
	n.noParts()
}

// FuzzUploadOffsets: whatever offsets and parts come, the file is what was
// accepted, in its order.
func FuzzUploadOffsets(f *testing.F) {
	f.Add([]byte{0, 3, 3, 4, 7, 1})
	f.Add([]byte{0, 0, 1, 200, 0, 9, 9, 9})
	f.Fuzz(func(t *testing.T, steps []byte) {
		if len(steps) > 64 {
			return
		}
		n := setup(t)
		const size = 40
		id := uuid.NewString()
		n.upload(id, wire.FileUpload{Path: "f", Size: size})
		var want []byte
		for i := 0; i+1 < len(steps); i += 2 {
			offset, length := int64(steps[i]), int(steps[i+1])%50
			piece := bytes.Repeat([]byte{byte('a' + i%26)}, length)
			r := n.patch(id, offset, bytes.NewReader(piece))
			fits := offset == int64(len(want)) && len(want)+length <= size
			if (r.status == 200) != fits {
				t.Fatalf("a part of %d bytes at %d, with %d there: %d %s %v", length, offset, len(want), r.status, r.body, r.err)
			}
			if fits {
				want = append(want, piece...)
			}
			if got := n.offset(id); got != int64(len(want)) {
				t.Fatalf("the offset is %d, want %d", got, len(want))
			}
		}
		rest := make([]byte, size-len(want))
		n.patch(id, int64(len(want)), bytes.NewReader(rest)).good(t, nil)
		n.json("POST", "uploads/"+id, nil).good(t, nil)
		if n.get("f") != string(want)+string(rest) {
			t.Fatal("the file is another one")
		}
	})
}
