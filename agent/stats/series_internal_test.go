package stats

import (
	"fmt"
	"math"
	"os"
	"path/filepath"
	"testing"

	"github.com/berth-panel/berth/shared/ident"
)

func TestBucket(t *testing.T) {
	t.Parallel()
	var b bucket
	b.at = 120
	b.add(point{cpu: 1, in: 100, memory: 5, disk: unmeasured, pids: 9}, 1)
	b.add(point{cpu: 4, in: 0, memory: 9, disk: 7, pids: 2}, 3)
	b.add(point{cpu: 0, in: 0, memory: 1, disk: unmeasured, pids: 2}, 1)
	want := point{at: 120, cpu: 13.0 / 5, in: 20, memory: 9, disk: 7, pids: 9}
	if got := b.point(); got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
}

// TestSeries: an hour and a bit of samples, with an end and a beginning within.
func TestSeries(t *testing.T) {
	t.Parallel()
	var s series
	var written [2][]point
	const begin = 1_700_000_005 // in the middle of a minute and of ten seconds
	for at := uint32(begin); at < begin+3700; at++ {
		if at >= begin+1000 && at < begin+1100 {
			if at == begin+1000 {
				s.end()
			}
			continue
		}
		s.add(point{at: at, cpu: float32(at % 10), memory: at - begin, disk: unmeasured}, 1)
		if at%60 == 0 {
			for i, points := range s.take() {
				written[i] = append(written[i], points...)
			}
		}
	}
	if got := s.recent(0, begin+3699); len(got) != 600 || got[0].at != begin+3100 || got[599].at != begin+3699 {
		t.Fatalf("%d seconds, the first %v", len(got), got[:1])
	}
	if got := s.recent(begin+3690, begin+3699); len(got) != 10 {
		t.Errorf("%d seconds since the last ten", len(got))
	}
	if got := s.recent(0, begin+5000); len(got) != 0 {
		t.Errorf("%d seconds are left after a quiet hour", len(got))
	}
	tens, minutes := written[0], written[1]
	if tens[0].at != begin-5 || tens[0].cpu != 7 || tens[0].memory != 4 { // 5 6 7 8 9
		t.Errorf("the first ten seconds are %+v", tens[0])
	}
	if tens[1].at != begin+5 || tens[1].cpu != 4.5 || tens[1].memory != 14 {
		t.Errorf("the next ten seconds are %+v", tens[1])
	}
	for i, points := range written {
		for j, p := range points[1:] {
			if p.at%inFile[i].step != 0 || p.at <= points[j].at {
				t.Fatalf("level %d: %d comes after %d", i, p.at, points[j].at)
			}
		}
	}
	if n := len(minutes); n != 62 { // of 63 that were begun, the last is open
		t.Errorf("%d minutes of 3700 seconds with a hole of 100, want 62", n)
	}
}

// TestSeriesBounded: what can't be written doesn't grow, and nothing breaks when
// the clock jumps.
func TestSeriesBounded(t *testing.T) {
	t.Parallel()
	var s series
	for at := uint32(1_700_000_000); at < 1_700_010_000; at++ {
		s.add(point{at: at}, 1)
	}
	if len(s.pending[0]) != pendingMost {
		t.Errorf("%d points wait, want %d", len(s.pending[0]), pendingMost)
	}
	held := s.take()
	s.add(point{at: 1_700_020_000}, 1)
	s.add(point{at: 1_700_030_000}, 1)
	s.putBack(held)
	if n := len(s.pending[0]); n != pendingMost || s.pending[0][n-1].at != 1_700_020_000 {
		t.Errorf("%d points wait after a write that failed", n)
	}
	for _, at := range []uint32{1_700_000_000, 4_000_000_000, 5, math.MaxUint32, 1} {
		s.add(point{at: at, cpu: 1}, 1)
	}
	for _, p := range s.pending[0] {
		if p.at%10 != 0 {
			t.Errorf("a point of ten seconds begins at %d", p.at)
		}
	}
}

func TestPoint(t *testing.T) {
	t.Parallel()
	p := point{at: 1_700_000_000, cpu: 1.5, in: 1, out: 2, read: 3, write: 4, memory: 5, disk: 6, pids: 7}
	slot := p.encode(nil)
	if got, ok := decode(slot); !ok || got != p || len(slot) != slotSize {
		t.Fatalf("%+v, %v", got, ok)
	}
	for i := range slot {
		slot[i] ^= 0x40
		if _, ok := decode(slot); ok {
			t.Errorf("a change of byte %d isn't seen", i)
		}
		slot[i] ^= 0x40
	}
	for _, f := range []float32{float32(math.NaN()), float32(math.Inf(1)), -1} {
		if _, ok := decode(point{at: 1, cpu: f}.encode(nil)); ok {
			t.Errorf("a rate of %v is read", f)
		}
	}
	if _, ok := decode(make([]byte, slotSize)); ok {
		t.Error("nothing is a point")
	}
	for bytes, want := range map[int64]int64{-1: -1, 0: 0, 1023: 0, 1 << 30: 1 << 30, 1 << 60: (unmeasured - 1) << 10} {
		if got := bytesOf(kib(bytes)); got != want {
			t.Errorf("%d bytes are kept as %d", bytes, got)
		}
	}
}

func testFiles(t *testing.T) (*files, string) {
	t.Helper()
	dir := t.TempDir()
	f, err := openFiles(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = f.close() })
	return f, dir
}

// TestFile: two weeks of minutes leave the last one, whole and in order.
func TestFile(t *testing.T) {
	t.Parallel()
	f, dir := testFiles(t)
	const begin, end = 1_700_000_040, 1_700_000_040 + 14*24*3600
	var batch [2][]point
	for at := uint32(begin); at < end; at += 60 {
		batch[1] = append(batch[1], point{at: at, cpu: float32(at % 7)})
		if len(batch[1]) == 13 || at+60 >= end {
			if err := f.write("a.ring", batch); err != nil {
				t.Fatal(err)
			}
			batch[1] = nil
		}
	}
	points, err := f.read("a.ring", 1)
	if err != nil || len(points) != int(minutes.slots) {
		t.Fatalf("%d points, %v", len(points), err)
	}
	sorted := ordered(points, minutes, 0, end-60)
	if len(sorted) != int(minutes.slots) || sorted[0].at != end-7*24*3600 {
		t.Fatalf("%d points from %d", len(sorted), sorted[0].at)
	}
	for i, p := range sorted {
		if p.at != sorted[0].at+uint32(i)*60 || p.cpu != float32(p.at%7) {
			t.Fatalf("point %d is %+v", i, p)
		}
	}
	if info, err := os.Stat(filepath.Join(dir, "a.ring")); err != nil || info.Size() != fileSize || fileSize > 500<<10 {
		t.Errorf("%v, %v", info, err)
	}
	if points, err := f.read("a.ring", 0); err != nil || len(points) != 0 {
		t.Errorf("the other level holds %d points, %v", len(points), err)
	}
	if points, err := f.read("none.ring", 0); err != nil || len(points) != 0 {
		t.Errorf("no file holds %d points, %v", len(points), err)
	}
}

// TestTornFile: cut anywhere, or overwritten, a file loses what was there and no
// more, and goes on.
func TestTornFile(t *testing.T) {
	t.Parallel()
	const begin = 1_700_000_000
	points := [2][]point{}
	for i := range uint32(100) {
		points[0] = append(points[0], point{at: begin + 10*i, cpu: 1})
	}
	for what, c := range map[string]struct {
		harm  func(name string) error
		least int // points that are left
	}{
		"cut at a slot's middle": {func(name string) error { return os.Truncate(name, headSize+int64(tens.slot(begin)+50)*slotSize+17) }, 50},
		"empty":                  {func(name string) error { return os.Truncate(name, 0) }, 0},
		"a head of another":      {func(name string) error { return overwrite(name, 0, "BERTHST9") }, 0},
		"a sector of rubbish": {func(name string) error {
			return overwrite(name, headSize+int64(tens.slot(begin))*slotSize, fmt.Sprintf("%0512d", 7))
		}, 87},
	} {
		f, dir := testFiles(t)
		if err := f.write("a.ring", points); err != nil {
			t.Fatal(err)
		}
		if err := c.harm(filepath.Join(dir, "a.ring")); err != nil {
			t.Fatal(err)
		}
		if got, err := f.read("a.ring", 0); err != nil || len(got) < c.least || len(got) == 100 {
			t.Errorf("%s: %d points, %v", what, len(got), err)
		}
		next := point{at: begin + 1000, cpu: 2}
		if err := f.write("a.ring", [2][]point{{next}}); err != nil {
			t.Fatalf("%s: %v", what, err)
		}
		got, err := f.read("a.ring", 0)
		if all := ordered(got, tens, 0, begin+1000); err != nil || len(all) == 0 || all[len(all)-1] != next {
			t.Errorf("%s: it doesn't go on: %v, %v", what, all, err)
		}
	}
}

func overwrite(name string, at int64, text string) error {
	file, err := os.OpenFile(name, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	defer func() { _ = file.Close() }()
	_, err = file.WriteAt([]byte(text), at)
	return err
}

func TestSweep(t *testing.T) {
	t.Parallel()
	f, dir := testFiles(t)
	outside := t.TempDir()
	put(t, outside, "stays", "x")
	for _, name := range []string{"0123abcd.ring", "deadbeef.ring", nodeName, "x.ring", "0123abcd.ring.tmp", ".ring", "dir/deep"} {
		put(t, dir, name, "")
	}
	if err := os.Symlink(outside, filepath.Join(dir, "link")); err != nil {
		t.Fatal(err)
	}
	if err := f.sweep(func(id ident.Instance) bool { return id == "0123abcd" }); err != nil {
		t.Fatal(err)
	}
	left, err := os.ReadDir(dir)
	if err != nil || len(left) != 2 || left[0].Name() != "0123abcd.ring" || left[1].Name() != nodeName {
		t.Errorf("%v are left, %v", left, err)
	}
	if _, err := os.Stat(filepath.Join(outside, "stays")); err != nil {
		t.Error("a link was followed")
	}
}
