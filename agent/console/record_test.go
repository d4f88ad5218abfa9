package console

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/berth-panel/berth/shared/wire"
)

func entries(from, n int, text string) []entry {
	var list []entry
	for i := range n {
		list = append(list, entry{
			at: time.Unix(0, int64(from+i)).UTC(), source: codes()[(from+i)%len(codes())], text: fmt.Sprintf("%d %s", from+i, text), part: (from+i)%3 == 0,
		})
	}
	return list
}

// lines reads all of a record.
func lines(t testing.TB, r *record) []wire.ConsoleLineFrame {
	t.Helper()
	var all []wire.ConsoleLineFrame
	for seq := r.first(); seq < r.next; {
		segment, behind, ok := r.holder(seq)
		if !ok {
			t.Fatalf("nobody holds %d", seq)
		}
		at, err := seek(r.dir, segment, seq)
		if err != nil {
			t.Fatal(err)
		}
		some, _, err := readLines(r.dir, at, behind-1, segmentSize)
		if err != nil {
			t.Fatal(err)
		}
		if int64(len(some)) != behind-seq {
			t.Fatalf("%d lines from %d on, want %d", len(some), seq, behind-seq)
		}
		all = append(all, some...)
		seq = behind
	}
	return all
}

func mustOpen(t testing.TB, dir, boot string) *record {
	t.Helper()
	r, err := openRecord(dir, boot)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.letGo)
	return r
}

func mustAppend(t testing.TB, r *record, list []entry) {
	t.Helper()
	if err := r.append(list); err != nil {
		t.Fatal(err)
	}
}

func TestRecordGoesOn(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "r")
	first := mustOpen(t, dir, "boot")
	mustAppend(t, first, entries(1, 10, "a"))
	again := mustOpen(t, dir, "boot") // the other was killed
	mustAppend(t, again, entries(11, 5, "b"))
	if again.about.Record != first.about.Record {
		t.Error("it has another name")
	}
	all := lines(t, again)
	if len(all) != 15 {
		t.Fatalf("%d lines", len(all))
	}
	for i, e := range append(entries(1, 10, "a"), entries(11, 5, "b")...) {
		if l := all[i]; l.Seq != int64(i+1) || l.Text != e.text || l.Source != e.source || l.Part != e.part || !l.At.Equal(e.at) {
			t.Fatalf("line %d is %+v, want %+v", i+1, l, e)
		}
	}
}

// A torn end, at every byte, costs the last line and nothing else.
func TestTornAnywhere(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "r")
	r := mustOpen(t, dir, "boot")
	mustAppend(t, r, entries(1, 3, "kept"))
	whole := r.segments[0].size
	mustAppend(t, r, entries(4, 1, "torn"))
	path := filepath.Join(dir, segmentName(1))
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for size := range text {
		if err := os.WriteFile(path, text[:size], 0o600); err != nil {
			t.Fatal(err)
		}
		again := mustOpen(t, dir, "boot")
		if int64(size) >= whole && again.next != 4 || again.next > 4 {
			t.Fatalf("with %d of %d bytes the next line is %d", size, len(text), again.next)
		}
		next := again.next
		mustAppend(t, again, entries(int(next), 2, "more"))
		if all := lines(t, mustOpen(t, dir, "boot")); int64(len(all)) != next+1 {
			t.Fatalf("with %d of %d bytes: %d lines", size, len(text), len(all))
		}
		again.letGo()
	}
	for _, at := range []int{0, 8, 12, 20, 21, 40} { // and what is there may be wrong
		broken := bytes.Clone(text)
		broken[at] ^= 0x55
		if err := os.WriteFile(path, broken, 0o600); err != nil {
			t.Fatal(err)
		}
		again := mustOpen(t, dir, "boot")
		mustAppend(t, again, entries(1, 1, "more"))
		lines(t, again)
	}
}

func TestRecordIsBounded(t *testing.T) {
	t.Parallel()
	for _, size := range []int{0, 100, 10_000} {
		dir := filepath.Join(t.TempDir(), "r")
		r := mustOpen(t, dir, "boot")
		text := strings.Repeat("x", size)
		written, list := 0, entries(1000, 1000, text)
		for written < wire.ConsoleRecord*3/2 && written*(size+20) < wire.ConsoleBytes*3/2 {
			mustAppend(t, r, list)
			written += 1000
		}
		var bytes int64
		names, err := os.ReadDir(dir)
		if err != nil {
			t.Fatal(err)
		}
		for _, n := range names {
			info, err := n.Info()
			if err != nil {
				t.Fatal(err)
			}
			bytes += info.Size()
		}
		if bytes > wire.ConsoleBytes+4<<10 {
			t.Errorf("lines of %d: %d bytes are kept", size, bytes)
		}
		kept := r.next - r.first()
		if least := min(int64(wire.ConsoleRecord), wire.ConsoleBytes*3/4/int64(size+30)); kept < least || kept > int64(wire.ConsoleRecord)+segmentSize/17 {
			t.Errorf("lines of %d: %d are kept, want at least %d", size, kept, least)
		}
		if all := lines(t, mustOpen(t, dir, "boot")); int64(len(all)) != kept || all[len(all)-1].Seq != int64(written) {
			t.Errorf("lines of %d: %d come back of %d", size, len(all), kept)
		}
	}
}

func TestNamesOfARecord(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "r")
	r := mustOpen(t, dir, "monday")
	mustAppend(t, r, entries(1, 2, "a"))
	name := r.about.Record
	r = mustOpen(t, dir, "tuesday") // the machine crashed
	if r.about.Record == name || r.next != 3 {
		t.Fatalf("after a crash of the machine it is %q with %d lines", r.about.Record, r.next-1)
	}
	name = r.about.Record
	if err := r.close(); err != nil {
		t.Fatal(err)
	}
	if r = mustOpen(t, dir, "wednesday"); r.about.Record != name || r.next != 3 {
		t.Fatal("after an orderly end it is another one")
	}
	if err := os.Remove(filepath.Join(dir, aboutName)); err != nil {
		t.Fatal(err)
	}
	if r = mustOpen(t, dir, "wednesday"); r.about.Record == name || r.next != 1 || len(lines(t, r)) != 0 {
		t.Fatal("without its name it should begin anew")
	}
	for _, text := range []string{"", "{", "[]", `{"record":""}`} {
		if err := os.WriteFile(filepath.Join(dir, aboutName), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if r = mustOpen(t, dir, "wednesday"); r.next != 1 || r.about.Record == "" {
			t.Fatalf("with %q it is %+v", text, r.about)
		}
	}
}

// Numbers are given while the disk takes nothing; the record of the next agent is
// another one then, unless the disk comes back.
func TestDiskFails(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "r")
	r := mustOpen(t, dir, "boot")
	mustAppend(t, r, entries(1, 2, "kept"))
	name := r.about.Record
	fail := func() {
		r.letGo()
		if err := os.Rename(dir, dir+".away"); err != nil {
			t.Fatal(err)
		}
		if err := r.append(entries(r2int(r.next), 3, "lost")); err == nil {
			t.Fatal("nothing failed")
		}
		if err := os.Rename(dir+".away", dir); err != nil {
			t.Fatal(err)
		}
	}
	fail()
	if r.next != 6 || !r.broken {
		t.Fatalf("the next line is %d, broken %v", r.next, r.broken)
	}
	mustAppend(t, r, entries(6, 2, "kept again"))
	again := mustOpen(t, dir, "boot")
	if again.about.Record != name || again.next != 8 || len(again.segments) != 2 {
		t.Fatalf("it is %+v", again)
	}
	at, err := seek(dir, 1, 4)
	if !isEOF(err) {
		t.Fatalf("a line that was never written is at %+v, %v", at, err)
	}
}

func r2int(n int64) int { return int(n) }

func FuzzReadEntry(f *testing.F) {
	for _, e := range entries(1, 6, "text") {
		f.Add(appendEntry(nil, e))
	}
	f.Add(appendEntry(appendEntry(nil, entry{}), entry{text: strings.Repeat("x", wire.ConsoleLine)}))
	f.Add([]byte(strings.Repeat("\xff", 64)))
	f.Fuzz(func(t *testing.T, p []byte) {
		for len(p) > 0 {
			e, n := readEntry(p)
			if n == 0 {
				return
			}
			if n < 0 || n > len(p) || len(e.text) > wire.ConsoleLine {
				t.Fatalf("%d of %d bytes, a text of %d", n, len(p), len(e.text))
			}
			if again, m := readEntry(appendEntry(nil, e)); m != n || again != e {
				t.Fatalf("%+v becomes %+v", e, again)
			}
			p = p[n:]
		}
	})
}
