package sftp

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/pkg/sftp"
	"golang.org/x/crypto/ssh"
	"golang.org/x/sys/unix"

	"github.com/berth-panel/berth/shared/problem"
)

// While a container swaps folders and files for links that lead out, each verb is
// used on them: nothing outside is read, made, changed or removed.
func TestLinksPlantedMeanwhile(t *testing.T) {
	t.Parallel()
	const canary = "CANARY"
	for verb, use := range map[string]func(c *sftp.Client, n int) (leaked bool){
		"read": func(c *sftp.Client, _ int) bool {
			f, err := c.Open("/d/precious")
			if err != nil {
				return false
			}
			defer func() { _ = f.Close() }()
			got, _ := io.ReadAll(f)
			return strings.Contains(string(got), canary)
		},
		"list": func(c *sftp.Client, _ int) bool {
			entries, _ := c.ReadDir("/d")
			for _, e := range entries {
				if e.Name() == "secret" {
					return true
				}
			}
			return false
		},
		"stat": func(c *sftp.Client, _ int) bool {
			info, err := c.Stat("/d/precious")
			return err == nil && info.Size() == int64(len(canary))
		},
		"write": func(c *sftp.Client, _ int) bool {
			if f, err := c.OpenFile("/d/precious", os.O_WRONLY|os.O_CREATE|os.O_TRUNC); err == nil {
				_, _ = f.Write([]byte("mine"))
				_ = f.Close()
			}
			return false
		},
		"create": func(c *sftp.Client, n int) bool {
			if f, err := c.Create(fmt.Sprintf("/d/new%d", n)); err == nil {
				_ = f.Close()
			}
			return false
		},
		"mkdir":        func(c *sftp.Client, n int) bool { _ = c.Mkdir(fmt.Sprintf("/d/dir%d", n)); return false },
		"remove":       func(c *sftp.Client, _ int) bool { _ = c.Remove("/d/secret"); return false },
		"rmdir":        func(c *sftp.Client, _ int) bool { _ = c.RemoveDirectory("/d/empty"); return false },
		"rename":       func(c *sftp.Client, n int) bool { _ = c.Rename("/d/secret", fmt.Sprintf("/got%d", n)); return false },
		"rename into":  func(c *sftp.Client, _ int) bool { _ = c.Rename("/bait", "/d/bait"); return false },
		"posix-rename": func(c *sftp.Client, _ int) bool { _ = c.PosixRename("/bait", "/d/precious"); return false },
		"chmod":        func(c *sftp.Client, _ int) bool { _ = c.Chmod("/d/precious", 0o777); return false },
		"chtimes":      func(c *sftp.Client, _ int) bool { _ = c.Chtimes("/d/precious", stamp, stamp); return false },
		"truncate":     func(c *sftp.Client, _ int) bool { _ = c.Truncate("/d/precious", 1); return false },
		"chown":        func(c *sftp.Client, _ int) bool { _ = c.Chown("/d/precious", 1, 1); return false },
		"readlink": func(c *sftp.Client, _ int) bool {
			target, _ := c.ReadLink("/d/inner")
			return target == canary
		},
	} {
		t.Run(verb, func(t *testing.T) {
			t.Parallel()
			b := setup(t)
			volume, outside := b.disks.path(one), t.TempDir()
			for _, name := range []string{"precious", "secret"} {
				must(t, os.WriteFile(filepath.Join(outside, name), []byte(canary), 0o600))
			}
			must(t, os.Mkdir(filepath.Join(outside, "empty"), 0o700))
			must(t, os.Symlink(canary, filepath.Join(outside, "inner")))
			before := picture(t, outside)
			must(t, os.Mkdir(filepath.Join(volume, "d"), 0o755))
			must(t, os.WriteFile(filepath.Join(volume, "d/precious"), []byte("of the volume"), 0o644))
			must(t, os.Symlink(outside, filepath.Join(volume, "l")))
			stop := swap(volume)
			c := b.client()
			for n := range 50 {
				if use(c, n) {
					t.Fatal("something of outside came in")
				}
				_ = os.WriteFile(filepath.Join(volume, "bait"), []byte("bait"), 0o600)
			}
			stop()
			if after := picture(t, outside); after != before {
				t.Errorf("outside is\n%s\nand was\n%s", after, before)
			}
		})
	}
}

// swap has d and l change places until the returned function is called.
func swap(volume string) (stop func()) {
	at := func(name string) string { return filepath.Join(volume, name) }
	quit := make(chan struct{})
	var swapper sync.WaitGroup
	swapper.Go(func() {
		for {
			select {
			case <-quit:
				return
			default:
			}
			_ = os.Rename(at("d"), at("t"))
			_ = os.Rename(at("l"), at("d"))
			runtime.Gosched()
			_ = os.Rename(at("d"), at("l"))
			_ = os.Rename(at("t"), at("d"))
			runtime.Gosched()
		}
	})
	return func() {
		close(quit)
		swapper.Wait()
	}
}

// picture is what a folder holds, with all that could be changed from outside.
func picture(t *testing.T, dir string) string {
	t.Helper()
	var out strings.Builder
	must(t, filepath.Walk(dir, func(path string, info os.FileInfo, err error) error {
		if err != nil {
			return err
		}
		content := ""
		if info.Mode().IsRegular() {
			text, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			content = string(text)
		}
		st := info.Sys().(*syscall.Stat_t)
		fmt.Fprintf(&out, "%s %v %d:%d %v %q\n", path, info.Mode(), st.Uid, st.Gid, info.ModTime().UnixNano(), content)
		return nil
	}))
	return out.String()
}

func TestOddEntries(t *testing.T) {
	t.Parallel()
	b := setup(t)
	volume := b.disks.path(one)
	must(t, syscall.Mkfifo(filepath.Join(volume, "pipe"), 0o666))
	must(t, os.WriteFile(filepath.Join(volume, "\xff\xfe"), []byte("bytes"), 0o644))
	must(t, os.Symlink("\xff/nowhere", filepath.Join(volume, "link")))
	c := b.client()
	for _, path := range []string{"/pipe", "/link", "/", "/\x00", "/a\x00b", "/" + strings.Repeat("x", 300), "/" + strings.Repeat("x/", 2500) + "y", "/pipe/x", "/link/x"} {
		if f, err := c.Open(path); err == nil {
			_ = f.Close()
			t.Errorf("%.20q can be opened", path)
		}
		if f, err := c.Create(path); err == nil {
			_ = f.Close()
			t.Errorf("%.20q can be written", path)
		}
	}
	for _, path := range []string{"/../../../etc/passwd", "../../etc/passwd", "/./.././etc/passwd"} {
		if _, err := c.Stat(path); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%q: %v", path, err)
		}
	}
	if target, err := c.ReadLink("/link"); err != nil || target != "\xff/nowhere" {
		t.Errorf("the link leads to %q, %v", target, err)
	}
	if f, err := c.Open("/\xff\xfe"); err != nil {
		t.Errorf("a name that is no UTF-8: %v", err)
	} else {
		got, _ := io.ReadAll(f)
		_ = f.Close()
		if string(got) != "bytes" {
			t.Errorf("it holds %q", got)
		}
	}
	for _, err := range []error{c.Symlink("/etc/passwd", "/evil"), c.Link("/pipe", "/hard"), c.RemoveDirectory("/"), c.Remove("/"), c.Rename("/", "/x"), c.Mkdir("/")} {
		if err == nil {
			t.Error("what must not be is done")
		}
	}
	for _, name := range []string{"/pipe", "/link", "/\xff\xfe"} {
		if err := c.Remove(name); err != nil {
			t.Errorf("%q can't be removed: %v", name, err)
		}
	}
}

func TestAsManyFilesAsThereCanBe(t *testing.T) {
	t.Parallel()
	b := setup(t)
	dir := b.disks.path(one)
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "size=8m,nr_inodes=20"); err != nil {
		t.Skipf("a filesystem of its own can't be mounted here: %v", err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(dir, unix.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	c := b.client()
	var err error
	for n := 0; err == nil; n++ {
		err = c.Mkdir(fmt.Sprint("/", n))
	}
	for what, err := range map[string]error{"a folder": err, "a file": second(c.Create("/f"))} {
		if err == nil || !strings.Contains(err.Error(), "no space: the instance's disk holds as many files as it can") {
			t.Errorf("%s: %v", what, err)
		}
	}
}

func second[T any](_ T, err error) error { return err }

func TestFullDisksAndFrozenVolumes(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.disks.limit(one, 1<<20)
	c := b.client()
	space, err := c.StatVFS("/")
	must(t, err)
	if space.TotalSpace() != 1<<20 || space.FreeSpace() > 1<<20 {
		t.Errorf("the disk is told to have %d of %d free", space.FreeSpace(), space.TotalSpace())
	}
	f, err := c.Create("/f")
	must(t, err)
	if _, err := f.ReadFrom(strings.NewReader(strings.Repeat("x", 2<<20))); err == nil || !strings.Contains(err.Error(), "no space") {
		t.Errorf("beyond the limit: %v", err)
	}
	_ = f.Close()
	must(t, os.WriteFile(filepath.Join(b.disks.path(one), "of the container"), make([]byte, 2<<20), 0o600)) // a soft limit holds nobody else
	must(t, c.Truncate("/f", 0))
	must(t, c.Remove("/of the container"))
	f, err = c.Create("/f")
	must(t, err)
	b.disks.freeze(one, problem.New(problem.Conflict, "the instance is being moved"))
	if _, err := f.Write([]byte("x")); err == nil || !strings.Contains(err.Error(), "being moved") {
		t.Errorf("an open file while it is moved: %v", err)
	}
	for what, err := range map[string]error{"mkdir": c.Mkdir("/d"), "rename": c.Rename("/f", "/g"), "remove": c.Remove("/f"), "chmod": c.Chmod("/f", 0o600)} {
		if err == nil || !strings.Contains(err.Error(), "being moved") {
			t.Errorf("%s while it is moved: %v", what, err)
		}
	}
	if _, err := c.ReadDir("/"); err != nil {
		t.Errorf("reading while it is moved: %v", err)
	}
}

func TestOpenFilesAreCountedAndClosed(t *testing.T) {
	t.Parallel()
	b := setup(t)
	must(t, os.WriteFile(filepath.Join(b.disks.path(one), "f"), nil, 0o644))
	c := b.client()
	var open []*sftp.File
	for len(open) < handlesMost {
		f, err := c.Open("/f")
		must(t, err)
		open = append(open, f)
	}
	if _, err := c.Open("/f"); err == nil {
		t.Error("one more than there may be")
	}
	if _, err := c.ReadDir("/"); err == nil {
		t.Error("a folder more than there may be")
	}
	must(t, open[0].Close())
	if _, err := c.Open("/f"); err != nil {
		t.Errorf("after one was closed: %v", err)
	}
	b.Cut(one, problem.New(problem.Conflict, "the instance goes"))
	if held := descriptors(t, b.disks.path(one)); held != 0 {
		t.Errorf("%d files are still open", held)
	}
}

// TestAnOpenFileHoldsItsVolume: a volume that is converted while a file of it is
// written would leave that behind, and nobody would be told.
func TestAnOpenFileHoldsItsVolume(t *testing.T) {
	t.Parallel()
	b := setup(t)
	c := b.client()
	f, err := c.Create("/f")
	must(t, err)
	if n := b.disks.held(); n != 1 {
		t.Errorf("an open file holds %d volumes", n)
	}
	if _, err := c.Open("/none"); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a file that isn't there: %v", err)
	}
	must(t, f.Close())
	if n := b.disks.held(); n != 0 {
		t.Errorf("%d volumes are held by nobody", n)
	}
	// While that goes on, nothing looks as if it were gone: who mirrors it would delete it.
	b.disks.close(one, problem.New(problem.ResourceBusy, "the disk is being changed"))
	_, stat := c.Stat("/f")
	_, list := c.ReadDir("/")
	_, open := c.Open("/f")
	for what, err := range map[string]error{"stat": stat, "list": list, "open": open} {
		if err == nil || errors.Is(err, os.ErrNotExist) || !strings.Contains(err.Error(), "being changed") {
			t.Errorf("%s meets %v", what, err)
		}
	}
}

// descriptors counts what this process has open in a folder.
func descriptors(t *testing.T, dir string) (n int) {
	t.Helper()
	fds, err := os.ReadDir("/proc/self/fd")
	must(t, err)
	for _, fd := range fds {
		if target, err := os.Readlink("/proc/self/fd/" + fd.Name()); err == nil && strings.HasPrefix(target, dir) {
			n++
		}
	}
	return n
}

// raw opens a session and hands its bytes over.
func (b *bundle) raw() (io.WriteCloser, io.Reader, func()) {
	b.t.Helper()
	conn, err := b.dial("anna.b."+string(one), ssh.PublicKeys(b.keys["anna"]))
	must(b.t, err)
	s, err := conn.NewSession()
	must(b.t, err)
	in, err := s.StdinPipe()
	must(b.t, err)
	out, err := s.StdoutPipe()
	must(b.t, err)
	must(b.t, s.RequestSubsystem("sftp"))
	return in, out, func() { _ = conn.Close() }
}

// Packets that are none end the session at most, never the agent.
func TestGarbagePackets(t *testing.T) {
	t.Parallel()
	b := setup(t)
	random := rand.New(rand.NewPCG(4, 2))
	packet := func(kind byte, body []byte) []byte {
		p := binary.BigEndian.AppendUint32(nil, uint32(1+len(body)))
		return append(append(p, kind), body...)
	}
	version := packet(1, []byte{0, 0, 0, 3})
	streams := map[string][]byte{
		"too long":         {0xff, 0xff, 0xff, 0xff, 1},
		"a little so":      append(binary.BigEndian.AppendUint32(nil, 256<<10+1), 1),
		"empty":            {0, 0, 0, 0},
		"an unknown type":  append(append([]byte{}, version...), packet(222, []byte{0, 0, 0, 1})...),
		"twice begun":      append(append([]byte{}, version...), version...),
		"no beginning":     packet(11, append([]byte{0, 0, 0, 1, 0, 0, 0, 1}, '/')),
		"many attributes":  append(append([]byte{}, version...), packet(9, append([]byte{0, 0, 0, 1, 0, 0, 0, 1, '/'}, 0x80, 0, 0, 0, 0xff, 0xff, 0xff, 0xff))...),
		"a long string":    append(append([]byte{}, version...), packet(17, []byte{0, 0, 0, 1, 0xff, 0xff, 0xff, 0xff})...),
		"a negative place": append(append([]byte{}, version...), packet(5, []byte{0, 0, 0, 1, 0, 0, 0, 1, '1', 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 1})...),
	}
	for n := range 30 {
		stream := append([]byte{}, version...)
		for range 20 {
			body := make([]byte, random.IntN(60))
			for i := range body {
				body[i] = byte(random.IntN(256) * random.IntN(2))
			}
			kinds := []byte{1, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 200, byte(random.IntN(256))}
			stream = append(stream, packet(kinds[random.IntN(len(kinds))], body)...)
		}
		streams[fmt.Sprint("random ", n)] = stream
	}
	for what, stream := range streams {
		in, out, hangUp := b.raw()
		_, _ = in.Write(stream)
		_ = in.Close()
		late := time.AfterFunc(patience, hangUp)
		if _, err := io.Copy(io.Discard, out); err != nil {
			t.Logf("%s: %v", what, err)
		}
		if !late.Stop() {
			t.Errorf("%s: the session hangs", what)
		}
		hangUp()
	}
	if _, err := b.client().ReadDir("/"); err != nil {
		t.Errorf("afterwards: %v", err)
	}
}

// Whoever speaks no SSH, or nothing at all, takes a place among the strangers at
// most; the others come in.
func TestGarbageClients(t *testing.T) {
	t.Parallel()
	b := setup(t)
	var open []net.Conn
	for _, says := range []string{"", "GET / HTTP/1.1\r\n\r\n", "SSH-2.0-x\r\n", "SSH-2.0-x\r\n\xff\xff\xff\xff\x00garbage", strings.Repeat("x", 100_000)} {
		conn, err := net.Dial("tcp", b.Addr().String())
		must(t, err)
		defer func() { _ = conn.Close() }()
		_, _ = conn.Write([]byte(says))
		open = append(open, conn)
	}
	if _, err := b.client().ReadDir("/"); err != nil {
		t.Errorf("beside %d of them: %v", len(open), err)
	}
}
