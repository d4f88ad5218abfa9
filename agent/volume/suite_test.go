package volume

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/google/uuid"
	"go.uber.org/goleak"

	"github.com/berth-panel/berth/agent/files"
	"github.com/berth-panel/berth/shared/ident"
	"github.com/berth-panel/berth/shared/problem"
	"github.com/berth-panel/berth/shared/wire"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	mib = int64(1 << 20)
	two = ident.Instance("00000002")
	// least is what tests keep in reserve, so that they run on full machines too.
	least = 64 * mib
)

// open opens a store of that kind in a directory of its own; all that it mounts
// goes away with the test, whatever becomes of it.
func open(t testing.TB, driver wire.VolumeDriver) *Store {
	t.Helper()
	return openIn(t, driver, nodeDir(t))
}

func nodeDir(t testing.TB) string {
	t.Helper()
	dir := filepath.Join(quickDir(t), "volumes")
	t.Cleanup(func() {
		// A device that lingers is in a namespace that somebody else has made
		// meanwhile, and goes with that.
		if err := Unmount(dir); errors.Is(err, syscall.EBUSY) {
			t.Log(err)
		} else if err != nil {
			t.Errorf("the volumes can't be taken away: %v", err)
		}
	})
	return dir
}

// quickDir is a directory in memory, where that has room: a loaded disk takes
// seconds for each of the many syncs.
func quickDir(t testing.TB) string {
	t.Helper()
	const memory, enough = "/dev/shm", 8 << 30
	if _, free, err := space(memory); err != nil || free < enough {
		return t.TempDir()
	}
	dir, err := os.MkdirTemp(memory, "berth-volumes-")
	must(t, err)
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err) // Fatal would swallow a panic of the test
		}
	})
	return dir
}

func openIn(t testing.TB, driver wire.VolumeDriver, dir string) *Store {
	t.Helper()
	needs(t, driver)
	s, err := OpenWith(Options{Dir: dir, Driver: string(driver), Reserve: least, Now: time.Now})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	if s.chosen != driver {
		t.Fatalf("the driver is %s: %s", s.chosen, s.why)
	}
	return s
}

// needs skips where a driver can't be had, and says why.
func needs(t testing.TB, driver wire.VolumeDriver) {
	t.Helper()
	switch {
	case driver == wire.VolumeDirectory:
	case os.Geteuid() != 0:
		t.Skip("mounting needs root")
	case driver == wire.VolumeProject:
		s, err := Open(filepath.Join(t.TempDir(), "try"))
		must(t, err)
		defer func() { _ = s.Close() }()
		if err := s.tryProject(); err != nil {
			t.Skip(err)
		}
	default:
		if _, err := os.Stat("/dev/loop-control"); err != nil {
			t.Skipf("no loop devices here: %v", err)
		}
	}
}

// restart ends the agent at once, and starts it again.
func restart(t testing.TB, s *Store) *Store {
	t.Helper()
	must(t, s.Close())
	return openIn(t, s.chosen, s.dir)
}

// reboot is a restart with nothing mounted any more.
func reboot(t testing.TB, s *Store) *Store {
	t.Helper()
	must(t, s.Close())
	must(t, unmountBeneath(s.dir))
	return openIn(t, s.chosen, s.dir)
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func want(t testing.TB, err error, code problem.Code) {
	t.Helper()
	if !problem.Is(err, code) {
		t.Fatalf("the failure is %v, want %s", err, code)
	}
}

func create(t testing.TB, s *Store, id ident.Instance, limit int64) {
	t.Helper()
	if created, err := s.Make(context.Background(), id, limit); err != nil || !created {
		t.Fatalf("made: %v, %v", created, err)
	}
}

func settle(t testing.TB, s *Store, id ident.Instance, o Order) *wire.Disk {
	t.Helper()
	must(t, s.Settle(context.Background(), id, o))
	disk := s.Disk(id)
	if disk == nil {
		t.Fatal("nothing is known of the volume")
	}
	return disk
}

func put(t testing.TB, s *Store, id ident.Instance, name, content string) {
	t.Helper()
	must(t, s.Put(id, name, 0, 0, text(content)))
}

func holds(t testing.TB, s *Store, id ident.Instance, name, content string) {
	t.Helper()
	root, err := s.Files(id)
	must(t, err)
	defer func() { _ = root.Close() }()
	file, _, err := root.Open(wire.Path(name))
	must(t, err)
	defer func() { _ = file.Close() }()
	got, err := io.ReadAll(file)
	if err != nil || string(got) != content {
		t.Fatalf("%s holds %d bytes, %v; want %d", name, len(got), err, len(content))
	}
}

// stuff writes past the agent, as a container does, until the disk is full or
// most bytes are written.
func stuff(t testing.TB, dir string, most int64) (int64, error) {
	t.Helper()
	file, err := os.OpenFile(filepath.Join(dir, "stuffing"), os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	must(t, err)
	piece, written := bytes.Repeat([]byte("stuffing"), 1<<13), int64(0)
	for written < most && err == nil {
		var n int
		n, err = file.Write(piece)
		written += int64(n)
	}
	if err == nil {
		err = file.Sync()
	}
	_ = file.Close()
	return written, err
}

// TestDrivers is what each driver must be able to do.
func TestDrivers(t *testing.T) {
	t.Parallel()
	for _, driver := range []wire.VolumeDriver{wire.VolumePoolImage, wire.VolumeImage, wire.VolumeProject, wire.VolumeDirectory} {
		t.Run(string(driver), func(t *testing.T) {
			t.Parallel()
			needs(t, driver)
			for name, test := range map[string]func(*testing.T, *Store){
				"life": suiteLife, "restart": suiteRestart, "full": suiteFull, "grow": suiteGrow, "shrink": suiteShrink,
				"staging": suiteStaging, "hostile": suiteHostile, "many": suiteMany, "convert": suiteConvert,
			} {
				t.Run(name, func(t *testing.T) {
					t.Parallel()
					test(t, open(t, driver))
				})
			}
		})
	}
}

func suiteLife(t *testing.T, s *Store) {
	if s.Disk(one) != nil {
		t.Error("something is known of no volume")
	}
	must(t, s.Settle(context.Background(), one, Order{LimitBytes: 32 * mib}))
	if there, err := s.Has(one); there || err != nil {
		t.Fatalf("settling made a volume: %v", err)
	}
	before := s.Path(one)
	create(t, s, one, 32*mib)
	if s.Path(one) != before {
		t.Errorf("the volume lies at %s, and was said to come to %s", s.Path(one), before)
	}
	if created, err := s.Make(context.Background(), one, 32*mib); created || err != nil {
		t.Errorf("made again: %v, %v", created, err)
	}
	put(t, s, one, "a/b", "content")
	holds(t, s, one, "a/b", "content")
	must(t, s.Own(one, 1234, 5678))
	if got := owner(t, s.Path(one)); s.Privileged && got != "1234:5678" {
		t.Errorf("it belongs to %s", got)
	}
	disk := s.Disk(one)
	if disk == nil || *disk != (wire.Disk{Driver: s.chosen, Hard: s.chosen != wire.VolumeDirectory, LimitBytes: 32 * mib}) {
		t.Errorf("the disk is %+v", disk)
	}
	if _, limit, err := s.Usage(one); err != nil || limit != 32*mib {
		t.Errorf("the limit is %d, %v", limit, err)
	}
	parts, err := s.Parts(one)
	must(t, err)
	file, err := parts.Create("half")
	must(t, err)
	must(t, file.Close())
	data, err := s.Files(one)
	must(t, err)
	must(t, parts.Move("half", data, "whole"))
	must(t, errors.Join(parts.Close(), data.Close()))
	holds(t, s, one, "whole", "")
	for range 2 {
		must(t, s.Remove(one))
	}
	nothingLeft(t, s)
}

// nothingLeft says whether all that an instance had is gone.
func nothingLeft(t *testing.T, s *Store) {
	t.Helper()
	if _, err := os.Lstat(filepath.Join(s.dir, string(one))); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("its directory: %v", err)
	}
	if s.pooled {
		if left, err := os.ReadDir(filepath.Join(s.dir, poolImages)); err != nil || len(left) != 0 {
			t.Errorf("the pool holds %v, %v", left, err)
		}
	}
	list, err := mounts()
	must(t, err)
	for _, m := range list {
		if m.at != filepath.Join(s.dir, poolPoint) && strings.HasPrefix(m.at, s.dir+"/") {
			t.Errorf("%s is still mounted", m.at)
		}
	}
}

func suiteRestart(t *testing.T, s *Store) {
	create(t, s, one, 32*mib)
	put(t, s, one, "save", "precious")
	path := s.Path(one)
	s = restart(t, s)
	if s.Path(one) != path {
		t.Error("the volume lies elsewhere")
	}
	if _, err := os.Stat(path); err != nil {
		t.Errorf("the data is not where it was: %v", err)
	}
	s = reboot(t, s)
	if hard(s.chosen) && s.chosen != wire.VolumeProject {
		if err := os.WriteFile(filepath.Join(s.dir, string(one), mountPoint, "f"), nil, 0o600); err == nil {
			t.Error("something can be written to the bare mount point")
		}
		if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("a container would start without its volume: %v", err)
		}
	}
	if d := settle(t, s, one, Order{LimitBytes: 32 * mib}); d.LimitBytes != 32*mib || d.Message != "" {
		t.Errorf("after a reboot it is %+v", d)
	}
	if got, err := os.ReadFile(filepath.Join(path, "save")); err != nil || string(got) != "precious" {
		t.Errorf("after a reboot it holds %q, %v", got, err)
	}
	s = reboot(t, s)
	holds(t, s, one, "save", "precious") // a look alone mounts too
	must(t, s.Remove(one))
	nothingLeft(t, s)
}

func suiteFull(t *testing.T, s *Store) {
	create(t, s, one, 16*mib)
	create(t, s, two, 16*mib)
	put(t, s, two, "f", "x")
	written, err := stuff(t, s.Path(one), 20*mib)
	if s.chosen == wire.VolumeDirectory {
		must(t, err)
		s.recount(context.Background(), one)
	} else if !files.Full(err) || written > 16*mib {
		t.Fatalf("%d bytes were written: %v", written, err)
	}
	if d := s.Disk(one); !d.Full {
		t.Errorf("a full disk is %+v", d)
	}
	if used, limit, err := s.Usage(one); err != nil || used < limit-limit/100 {
		t.Errorf("a full disk holds %d of %d, %v", used, limit, err)
	}
	want(t, s.Put(one, "g", 0, 0, text(string(make([]byte, mib)))), problem.InsufficientResources)
	want(t, s.Room(one, mib), problem.InsufficientResources)
	must(t, s.Room(two, mib))
	put(t, s, two, "g", string(make([]byte, mib)))
	if d := s.Disk(two); d.Full {
		t.Errorf("another disk is %+v", d)
	}
	must(t, os.Remove(filepath.Join(s.Path(one), "stuffing")))
	if s.chosen == wire.VolumeDirectory {
		s.entry(one).forget()
		s.recount(context.Background(), one)
	}
	put(t, s, one, "g", "x")
	if d := s.Disk(one); d.Full {
		t.Errorf("an emptied disk is %+v", d)
	}
}

func suiteGrow(t *testing.T, s *Store) {
	create(t, s, one, 16*mib)
	put(t, s, one, "f", "content")
	d := settle(t, s, one, Order{LimitBytes: 48 * mib, Live: true})
	if d.LimitBytes != 48*mib && (d.LimitBytes != 16*mib || d.WantBytes != 48*mib || d.Message == "") {
		t.Errorf("grown live it is %+v", d)
	}
	if again := settle(t, s, one, Order{LimitBytes: 48 * mib, Live: true}); *again != *d {
		t.Errorf("said again it is %+v", again)
	}
	if back := settle(t, s, one, Order{LimitBytes: d.LimitBytes, Live: true}); back.WantBytes != 0 || back.Message != "" {
		t.Errorf("taken back it is %+v", back)
	}
	root, err := s.Files(one)
	must(t, err)
	if d.LimitBytes != 48*mib && s.chosen != wire.VolumeDirectory {
		busy := settle(t, s, one, Order{LimitBytes: 48 * mib})
		if busy.LimitBytes != 16*mib || busy.WantBytes != 48*mib || busy.Message == "" {
			t.Errorf("with open files it is %+v", busy)
		}
	}
	must(t, root.Close())
	d = settle(t, s, one, Order{LimitBytes: 48 * mib})
	if d.LimitBytes != 48*mib || d.WantBytes != 0 || d.Message != "" {
		t.Errorf("grown it is %+v", d)
	}
	holds(t, s, one, "f", "content")
	put(t, s, one, "large", string(make([]byte, 30*mib)))
	s = reboot(t, s)
	if d := settle(t, s, one, Order{LimitBytes: 48 * mib}); d.LimitBytes != 48*mib || d.WantBytes != 0 {
		t.Errorf("after a reboot it is %+v", d)
	}
	holds(t, s, one, "f", "content")
}

func suiteShrink(t *testing.T, s *Store) {
	create(t, s, one, 64*mib)
	put(t, s, one, "f", string(make([]byte, 24*mib)))
	s.recount(context.Background(), one)
	if d := settle(t, s, one, Order{LimitBytes: 16 * mib}); s.chosen != wire.VolumeDirectory && (d.LimitBytes != 64*mib || d.WantBytes != 16*mib || d.Message == "") {
		t.Errorf("with too much in it, it is %+v", d)
	}
	holds(t, s, one, "f", string(make([]byte, 24*mib)))
	root, err := s.Files(one)
	must(t, err)
	must(t, root.Remove("f"))
	must(t, root.Close())
	s.entry(one).forget()
	put(t, s, one, "g", "content")
	if d := settle(t, s, one, Order{LimitBytes: 32 * mib, Live: true}); s.chosen != wire.VolumeDirectory && s.chosen != wire.VolumeProject && (d.LimitBytes != 64*mib || d.WantBytes != 32*mib) {
		t.Errorf("made smaller live it is %+v", d)
	}
	if d := settle(t, s, one, Order{LimitBytes: 32 * mib}); d.LimitBytes != 32*mib || d.WantBytes != 0 || d.Message != "" {
		t.Errorf("made smaller it is %+v", d)
	}
	holds(t, s, one, "g", "content")
	if s.chosen != wire.VolumeDirectory {
		if _, err := stuff(t, s.Path(one), 40*mib); !files.Full(err) {
			t.Errorf("the smaller limit doesn't hold: %v", err)
		}
	}
	must(t, s.Remove(one))
	nothingLeft(t, s)
}

func suiteStaging(t *testing.T, s *Store) {
	for range 2 {
		must(t, s.StageWithin(one, 32*mib, []byte("note")))
	}
	s = reboot(t, s)
	if list, err := s.Staged(); err != nil || string(list[one]) != "note" {
		t.Fatalf("staged: %v, %v", list, err)
	}
	staged, err := s.OpenStaged(one)
	must(t, err)
	for _, name := range []wire.Path{"a", "b"} {
		file, err := staged.Parts.Create(name)
		must(t, err)
		_, err = file.WriteString("content of " + string(name))
		must(t, errors.Join(err, file.Close()))
		must(t, staged.Parts.Move(name, staged.Data, name))
	}
	must(t, staged.Data.Move("b", staged.Trash, wire.Path(uuid.NewString())))
	staged.Close()
	must(t, s.Sweep(func() bool { return false }))
	for range 2 {
		must(t, s.Adopt(one))
	}
	holds(t, s, one, "a", "content of a")
	if entries, err := os.ReadDir(s.Path(one)); err != nil || len(entries) != 1 {
		t.Errorf("the volume holds %v, %v", entries, err)
	}
	if d := s.Disk(one); d.Driver != s.chosen || d.LimitBytes != 32*mib {
		t.Errorf("what was taken over is %+v", d)
	}
	must(t, s.StageWithin(two, 32*mib, nil))
	must(t, s.Unstage(two))
	must(t, s.Sweep(func() bool { return false }))
	if left, err := os.ReadDir(filepath.Join(s.dir, trash)); err != nil || len(left) != 0 {
		t.Errorf("the trash holds %v, %v", left, err)
	}
	must(t, s.Remove(one))
	nothingLeft(t, s)
}

// suiteHostile is a container that plays the agent's own files.
func suiteHostile(t *testing.T, s *Store) {
	create(t, s, one, 32*mib)
	create(t, s, two, 32*mib)
	put(t, s, two, "save", "precious")
	record := `{"driver":"pool-image","limit_bytes":1,"image":"image-` + uuid.NewString() + `","pool":true}`
	for _, name := range []string{about, "mount/volume.json", "next/f", "data/f", imageFront + uuid.NewString()} {
		put(t, s, one, name, record)
	}
	must(t, os.Symlink(filepath.Join(s.dir, string(two)), filepath.Join(s.Path(one), "out")))
	if s.Disk(one).Driver != s.chosen {
		t.Error("the container's file was taken for the record")
	}
	settle(t, s, one, Order{LimitBytes: 32 * mib})
	holds(t, s, one, "next/f", record)
	// And in what a move throws away.
	must(t, s.StageWithin("00000003", 32*mib, nil))
	staged, err := s.OpenStaged("00000003")
	must(t, err)
	must(t, staged.Data.Mkdir("d"))
	file, err := staged.Data.Create("d/" + about)
	must(t, err)
	_, err = file.WriteString(record)
	must(t, errors.Join(err, file.Close()))
	must(t, staged.Data.Move("d", staged.Trash, wire.Path(uuid.NewString())))
	staged.Close()
	must(t, s.Sweep(func() bool { return false }))
	must(t, s.Remove(one))
	s = reboot(t, s)
	holds(t, s, two, "save", "precious")
}

// suiteMany has several callers make, fill and remove volumes at once.
func suiteMany(t *testing.T, s *Store) {
	var all sync.WaitGroup
	for n := range 6 {
		all.Go(func() {
			id := ident.Instance(fmt.Sprintf("%08x", n+1))
			for range 2 {
				if _, err := s.Make(context.Background(), id, 16*mib); err != nil {
					t.Errorf("%s: %v", id, err)
					return
				}
				var looks sync.WaitGroup
				for range 3 {
					looks.Go(func() {
						root, err := s.Files(id)
						if err != nil {
							t.Errorf("%s: %v", id, err)
							return
						}
						_ = root.Close()
						_, _, _ = s.Usage(id)
						s.Disk(id)
						s.Node()
					})
				}
				looks.Wait()
				if err := s.Put(id, "f", 0, 0, text("x")); err != nil {
					t.Errorf("%s: %v", id, err)
				}
				if err := s.Remove(id); err != nil {
					t.Errorf("%s: %v", id, err)
				}
			}
		})
	}
	all.Wait()
	nothingLeft(t, s)
}

// suiteConvert has a plain directory of before become what the driver makes.
func suiteConvert(t *testing.T, s *Store) {
	if _, err := s.Ensure(one); err != nil {
		t.Fatal(err)
	}
	tree(t, s)
	before := s.Path(one)
	d := settle(t, s, one, Order{LimitBytes: 48 * mib})
	better := s.chosen != wire.VolumeDirectory
	if d.Driver != wire.VolumeDirectory || d.Hard || d.Convert != better || d.LimitBytes != 48*mib {
		t.Errorf("a volume of before is %+v", d)
	}
	if d = settle(t, s, one, Order{LimitBytes: 48 * mib, Convert: true, Live: true}); d.Driver != wire.VolumeDirectory || (d.Message == "") == better {
		t.Errorf("while it runs it is %+v", d)
	}
	open, err := s.Files(one)
	must(t, err)
	d = settle(t, s, one, Order{LimitBytes: 48 * mib, Convert: true})
	if better && (d.Driver != wire.VolumeDirectory || !strings.Contains(d.Message, "in use")) {
		t.Errorf("with files open it is %+v", d)
	}
	var steps []wire.Progress
	freed := 0
	d = settle(t, s, one, Order{LimitBytes: 48 * mib, Convert: true, Free: func() { freed++; must(t, open.Close()) }, Report: func(p wire.Progress) { steps = append(steps, p) }})
	if d.Driver != s.chosen || d.Hard != better || d.Convert || d.Message != "" || d.LimitBytes != 48*mib {
		t.Errorf("converted it is %+v", d)
	}
	if !better {
		must(t, open.Close())
	}
	if better != (freed == 1) {
		t.Errorf("those who have files open were ended %d times", freed)
	}
	if better && (len(steps) < 2 || steps[0].Step != "convert") {
		t.Errorf("it told of %+v", steps)
	}
	checkTree(t, s)
	if _, err := os.Lstat(before); better && before != s.Path(one) && !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the old one is still there: %v", err)
	}
	if d = settle(t, s, one, Order{LimitBytes: 48 * mib, Convert: true}); d.Driver != s.chosen || d.Message != "" {
		t.Errorf("converted again it is %+v", d)
	}
	s = reboot(t, s)
	checkTree(t, s)
	must(t, s.Remove(one))
	nothingLeft(t, s)
}
