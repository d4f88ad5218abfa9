package volume

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/berth-panel/berth/agent/files"
	"github.com/berth-panel/berth/shared/problem"
	"github.com/berth-panel/berth/shared/wire"
)

// TestErrorsOfAFilesystemAreRepaired breaks a mounted ext4 by the kernel's own
// switch for that.
func TestErrorsOfAFilesystemAreRepaired(t *testing.T) {
	t.Parallel()
	s := open(t, wire.VolumeImage)
	create(t, s, one, 32*mib)
	put(t, s, one, "f", "content")
	must(t, syncAll(s.Path(one)))
	m, there, err := mountAt(filepath.Join(s.dir, string(one), mountPoint))
	if err != nil || !there {
		t.Fatalf("not mounted: %v", err)
	}
	trigger := filepath.Join("/sys/fs/ext4", filepath.Base(m.source), "trigger_fs_error")
	if err := os.WriteFile(trigger, []byte("1"), 0o200); err != nil {
		t.Skipf("this kernel breaks nothing on order: %v", err)
	}
	if err := s.Put(one, "g", 0, 0, text("x")); err == nil {
		t.Error("a stopped filesystem was written to")
	}
	if d := settle(t, s, one, Order{LimitBytes: 32 * mib, Live: true}); d.Message == "" {
		t.Errorf("while it runs it is %+v", d)
	}
	root, err := s.Files(one)
	must(t, err)
	// Somebody still reads: it can't be repaired, and a start must not go on as if.
	want(t, s.Settle(context.Background(), one, Order{LimitBytes: 32 * mib}), problem.ResourceBusy)
	must(t, root.Close())
	if d := settle(t, s, one, Order{LimitBytes: 32 * mib}); d.Message != "" {
		t.Errorf("repaired it is %+v", d)
	}
	holds(t, s, one, "f", "content")
	put(t, s, one, "g", "x")
}

// TestAnImageThatIsGoneIsNeverMadeAnew: an empty disk in the place of a full one
// would be taken for the real one.
func TestAnImageThatIsGoneIsNeverMadeAnew(t *testing.T) {
	t.Parallel()
	s := open(t, wire.VolumeImage)
	create(t, s, one, 16*mib)
	p, err := s.find(one, string(one))
	must(t, err)
	must(t, s.Close())
	must(t, unmountBeneath(s.dir))
	must(t, os.Remove(imageDriver{s}.image(p)))
	s = openIn(t, wire.VolumeImage, s.dir)
	_, err = s.Make(context.Background(), one, 16*mib)
	want(t, err, problem.NotFound)
	want(t, s.Settle(context.Background(), one, Order{LimitBytes: 16 * mib}), problem.NotFound)
	must(t, s.Remove(one))
	nothingLeft(t, s)
}

// TestMakingIsKilledAtEachStage leaves what a killed agent leaves, and makes again.
func TestMakingIsKilledAtEachStage(t *testing.T) {
	t.Parallel()
	for _, driver := range []wire.VolumeDriver{wire.VolumeImage, wire.VolumePoolImage} {
		t.Run(string(driver), func(t *testing.T) {
			t.Parallel()
			s := open(t, driver)
			p := home(one, s.fresh(16*mib))
			must(t, s.root.Mkdir(p.at, 0o700))
			must(t, imageDriver{s}.create(context.Background(), p)) // and killed before its record
			s = restart(t, s)
			if there, err := s.Has(one); there || err != nil {
				t.Fatalf("half a volume counts: %v", err)
			}
			create(t, s, one, 16*mib)
			put(t, s, one, "f", "content")
			holds(t, s, one, "f", "content")
			must(t, s.Remove(one))
			s = restart(t, s) // which drops what the pool was left with
			nothingLeft(t, s)
		})
	}
}

// TestConversionIsKilledAtEachStage: the old volume counts until the new one is
// whole, and then the new one.
func TestConversionIsKilledAtEachStage(t *testing.T) {
	t.Parallel()
	for _, driver := range []wire.VolumeDriver{wire.VolumeImage, wire.VolumePoolImage} {
		t.Run(string(driver), func(t *testing.T) {
			t.Parallel()
			for stage, kill := range map[string]func(*testing.T, *Store, place, place){
				"while copying": func(t *testing.T, s *Store, _, beside place) {
					must(t, os.WriteFile(filepath.Join(s.dir, beside.inside(), "half"), []byte("half"), 0o600))
				},
				"before the record": func(t *testing.T, s *Store, old, beside place) {
					must(t, s.carry(context.Background(), old, beside, 1, func(wire.Progress) {}))
				},
				"after the record": func(t *testing.T, s *Store, old, beside place) {
					must(t, s.carry(context.Background(), old, beside, 1, func(wire.Progress) {}))
					must(t, imageDriver{s}.rest(beside))
					must(t, s.commit(home(one, beside.layout)))
				},
			} {
				t.Run(stage, func(t *testing.T) {
					t.Parallel()
					s := open(t, driver)
					if _, err := s.Ensure(one); err != nil {
						t.Fatal(err)
					}
					tree(t, s)
					settle(t, s, one, Order{LimitBytes: 48 * mib})
					old, err := s.find(one, string(one))
					must(t, err)
					beside := home(one, s.fresh(48*mib))
					beside.mount = next
					must(t, imageDriver{s}.create(context.Background(), beside))
					kill(t, s, old, beside)
					for _, again := range []func(testing.TB, *Store) *Store{restart, reboot} {
						s = again(t, s)
						checkTree(t, s)
					}
					if d := settle(t, s, one, Order{LimitBytes: 48 * mib, Convert: true}); d.Driver != driver || d.Message != "" {
						t.Errorf("converted it is %+v", d)
					}
					checkTree(t, s)
					must(t, s.Remove(one))
					s = restart(t, s)
					nothingLeft(t, s)
				})
			}
		})
	}
}

// TestARecordThatMayBeWritten: when its writing fails, either of both may be on the
// disk, so that neither volume goes away before the next look.
func TestARecordThatMayBeWritten(t *testing.T) {
	t.Parallel()
	s := open(t, wire.VolumeImage)
	if _, err := s.Ensure(one); err != nil {
		t.Fatal(err)
	}
	tree(t, s)
	settle(t, s, one, Order{LimitBytes: 48 * mib})
	images := func() []string {
		t.Helper()
		list, err := filepath.Glob(filepath.Join(s.dir, string(one), imageFront+"*"))
		must(t, err)
		return list
	}
	inTheWay := filepath.Join(s.dir, string(one), about+".new")
	must(t, os.Mkdir(inTheWay, 0o700))
	if d := settle(t, s, one, Order{LimitBytes: 48 * mib, Convert: true}); d.Message == "" {
		t.Errorf("without its record it is %+v", d)
	}
	left := images()
	if len(left) != 1 {
		t.Fatalf("the new volume is gone, and the record may name it: %q", left)
	}
	checkTree(t, s)
	must(t, os.Remove(inTheWay))
	settle(t, s, one, Order{LimitBytes: 48 * mib})
	if left := images(); len(left) != 0 {
		t.Errorf("what the record doesn't name is still there: %q", left)
	}
	checkTree(t, s)
	must(t, s.Remove(one))
	nothingLeft(t, s)
}

// TestConversionThatCantBe leaves the volume as it was, and says why.
func TestConversionThatCantBe(t *testing.T) {
	t.Parallel()
	s := open(t, wire.VolumeImage)
	if _, err := s.Ensure(one); err != nil {
		t.Fatal(err)
	}
	put(t, s, one, "f", string(make([]byte, 20*mib)))
	convert := Order{LimitBytes: 16 * mib, Convert: true}
	if d := settle(t, s, one, convert); d.Driver != wire.VolumeDirectory || d.Message == "" {
		t.Errorf("with more than fits it is %+v", d)
	}
	root, err := s.Files(one)
	must(t, err)
	convert.LimitBytes = 64 * mib
	if d := settle(t, s, one, convert); d.Driver != wire.VolumeDirectory || d.Message == "" {
		t.Errorf("while its files are open it is %+v", d)
	}
	must(t, root.Close())
	ctx, cancel := context.WithCancel(context.Background())
	convert.Report = func(wire.Progress) { cancel() }
	if err := s.Settle(ctx, one, convert); !errors.Is(err, context.Canceled) {
		t.Errorf("broken off: %v", err)
	}
	holds(t, s, one, "f", string(make([]byte, 20*mib)))
	s.reserve = 1 << 60
	convert.Report = nil
	if d := settle(t, s, one, convert); d.Driver != wire.VolumeDirectory || d.Message == "" {
		t.Errorf("below the reserve it is %+v", d)
	}
	s.reserve = least
	if d := settle(t, s, one, convert); d.Driver != wire.VolumeImage || d.Message != "" {
		t.Errorf("with nothing in the way it is %+v", d)
	}
	holds(t, s, one, "f", string(make([]byte, 20*mib)))
}

// TestTheReserveIsKept: with no more than it left, nothing is made and nothing grows.
func TestTheReserveIsKept(t *testing.T) {
	t.Parallel()
	for _, driver := range []wire.VolumeDriver{wire.VolumeImage, wire.VolumePoolImage} {
		t.Run(string(driver), func(t *testing.T) {
			t.Parallel()
			s := open(t, driver)
			create(t, s, one, 16*mib)
			if v := s.Node(); v.Driver != driver || !v.Hard || v.Message != "" || v.SizeBytes < v.FreeBytes || v.FreeBytes <= 0 || v.ReserveBytes != least {
				t.Errorf("the node is %+v", v)
			}
			s.reserve = 1 << 60
			_, err := s.Make(context.Background(), two, 16*mib)
			want(t, err, problem.InsufficientResources)
			if there, err := s.Has(two); there || err != nil {
				t.Errorf("what was refused is there: %v", err)
			}
			want(t, s.StageWithin(two, 16*mib, nil), problem.InsufficientResources)
			if d := settle(t, s, one, Order{LimitBytes: 32 * mib}); d.LimitBytes != 16*mib || d.WantBytes != 32*mib || d.Message == "" {
				t.Errorf("what may not grow is %+v", d)
			}
			if v := s.Node(); v.Message == "" {
				t.Errorf("the node says nothing: %+v", v)
			}
			put(t, s, one, "f", "x") // who has a volume may use it
		})
	}
}

// TestTwoAgentsNeverShareAVolume: the second one is refused, and where two find
// an image at the same time it is attached once.
func TestTwoAgentsNeverShareAVolume(t *testing.T) {
	t.Parallel()
	s := open(t, wire.VolumeImage)
	if other, err := OpenWith(Options{Dir: s.dir, Driver: Auto}); err == nil {
		_ = other.Close()
		t.Error("a second agent was let in")
	}
	create(t, s, one, 16*mib)
	must(t, unmountBeneath(s.dir))
	p, err := s.find(one, string(one))
	must(t, err)
	var found [8]*loop
	var all sync.WaitGroup
	for n := range found {
		all.Go(func() {
			var err error
			if found[n], err = attach(imageDriver{s}.image(p)); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	for _, l := range found {
		if l == nil {
			continue
		}
		if l.path != found[0].path {
			t.Errorf("it is behind %s and %s", l.path, found[0].path)
		}
		l.close()
	}
}

// soon waits for what the kernel does in its own time.
func soon(t *testing.T, what string, holds func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	for !holds() {
		if pause(ctx, 20*time.Millisecond) != nil {
			t.Fatalf("it never came to be that %s", what)
		}
	}
}

// TestRoomComesBack: what is deleted in a volume, and a volume that is removed,
// leave the disk that they lie on.
func TestRoomComesBack(t *testing.T) {
	t.Parallel()
	s := open(t, wire.VolumePoolImage)
	taken := func() int64 {
		must(t, syncAll(filepath.Join(s.dir, poolPoint)))
		info, err := os.Stat(filepath.Join(s.dir, poolFile))
		must(t, err)
		stat, ok := info.Sys().(*syscall.Stat_t)
		if !ok {
			t.Fatal("no blocks on this system")
		}
		return stat.Blocks * 512
	}
	create(t, s, one, 128*mib)
	empty := taken()
	if _, err := stuff(t, s.Path(one), 64*mib); err != nil {
		t.Fatal(err)
	}
	if full := taken(); full < empty+60*mib {
		t.Fatalf("64 MiB take %d MiB of the disk", (full-empty)/mib)
	}
	must(t, os.Remove(filepath.Join(s.Path(one), "stuffing")))
	must(t, syncAll(s.Path(one)))
	soon(t, "deleted files give their room back", func() bool {
		s.giveBack(context.Background(), true)
		return taken() < empty+16*mib
	})
	if _, err := stuff(t, s.Path(one), 64*mib); err != nil {
		t.Fatal(err)
	}
	must(t, s.Remove(one))
	soon(t, "a removed volume gives its room back", func() bool {
		s.giveBack(context.Background(), false)
		return taken() < empty+16*mib
	})
}

// TestThePoolGrows with the room that there is below it, and never shrinks.
func TestThePoolGrows(t *testing.T) {
	t.Parallel()
	needs(t, wire.VolumePoolImage)
	dir := nodeDir(t)
	_, free, err := space(filepath.Dir(dir))
	must(t, err)
	if free < 8<<30 {
		t.Skip("too little room on this disk")
	}
	s, err := OpenWith(Options{Dir: dir, Driver: string(wire.VolumePoolImage), Reserve: free - 3<<30})
	must(t, err)
	t.Cleanup(func() { _ = s.Close() })
	create(t, s, one, 16*mib)
	put(t, s, one, "f", "content")
	small, _, err := space(filepath.Join(dir, poolPoint))
	must(t, err)
	s.reserve = free - 6<<30
	must(t, s.growPool(context.Background()))
	large, _, err := space(filepath.Join(dir, poolPoint))
	must(t, err)
	if large < small+1<<30 {
		t.Errorf("it was %d MiB and is %d MiB", small/mib, large/mib)
	}
	s.reserve = free - 2<<30
	must(t, s.growPool(context.Background()))
	if now, _, err := space(filepath.Join(dir, poolPoint)); err != nil || now != large {
		t.Errorf("it was %d and is %d, %v", large, now, err)
	}
	holds(t, s, one, "f", "content")
}

// TestUnmountLeavesPlainFiles: after it the whole directory can be deleted.
func TestUnmountLeavesPlainFiles(t *testing.T) {
	t.Parallel()
	s := open(t, wire.VolumePoolImage)
	create(t, s, one, 16*mib)
	must(t, s.StageWithin(two, 16*mib, nil))
	if err := Unmount(s.dir); err == nil {
		t.Error("volumes were taken from under an agent")
	}
	must(t, s.Close())
	if err := Unmount(s.dir); err != nil && !errors.Is(err, syscall.EBUSY) {
		t.Fatal(err)
	}
	list, err := mounts()
	must(t, err)
	for _, m := range list {
		if m.at == filepath.Join(s.dir, poolPoint) || m.at == filepath.Join(s.dir, string(one), mountPoint) {
			t.Errorf("%s is still mounted", m.at)
		}
	}
	must(t, os.RemoveAll(s.dir))
	must(t, Unmount(s.dir)) // of nothing
}

// TestTheSoftLimit: a directory is counted slowly, and what the agent writes in
// between counts too.
func TestTheSoftLimit(t *testing.T) {
	t.Parallel()
	s := open(t, wire.VolumeDirectory)
	create(t, s, one, mib)
	if d := s.Disk(one); d.Hard || d.Full || d.LimitBytes != mib {
		t.Errorf("it is %+v", d)
	}
	must(t, os.WriteFile(filepath.Join(s.Path(one), "f"), make([]byte, 600<<10), 0o600)) // its container
	s.look(context.Background())
	used, _, err := s.Usage(one)
	if err != nil || used < 600<<10 || used > 620<<10 {
		t.Errorf("it holds %d, %v", used, err)
	}
	put(t, s, one, "g", string(make([]byte, 300<<10)))
	err = s.Put(one, "h", 0, 0, text(string(make([]byte, 300<<10))))
	want(t, err, problem.InsufficientResources)
	if files.Full(err) {
		t.Error("nothing is full but the limit")
	}
	must(t, os.Remove(filepath.Join(s.Path(one), "f")))
	soon(t, "a refused writer has it counted again", func() bool {
		s.look(context.Background())
		after, _, err := s.Usage(one)
		return err == nil && after < 400<<10
	})
	put(t, s, one, "h", string(make([]byte, 300<<10)))
}

// TestTheBestThatWorksIsTaken, and one that is asked for and doesn't work is not
// replaced by another in silence.
func TestTheBestThatWorksIsTaken(t *testing.T) {
	t.Parallel()
	needs(t, wire.VolumePoolImage)
	s, err := OpenWith(Options{Dir: nodeDir(t), Driver: Auto, Reserve: least})
	must(t, err)
	t.Cleanup(func() { _ = s.Close() })
	if s.chosen != wire.VolumePoolImage {
		t.Errorf("it is %s: %s", s.chosen, s.why)
	}
	if other, err := OpenWith(Options{Dir: nodeDir(t), Driver: string(wire.VolumePoolImage), Reserve: 1 << 60}); err == nil {
		_ = other.Close()
		t.Error("a pool was made with no room for it")
	}
	fallback, err := OpenWith(Options{Dir: nodeDir(t), Driver: Auto, Reserve: 1 << 60})
	must(t, err)
	t.Cleanup(func() { _ = fallback.Close() })
	if fallback.chosen != wire.VolumeImage || fallback.why == "" {
		t.Errorf("without room for a pool it is %s: %s", fallback.chosen, fallback.why)
	}
}
