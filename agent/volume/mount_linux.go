package volume

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// mount is a line of the kernel's list of mounts.
type mount struct {
	at      string // the mount point
	kind    string // "ext4"
	source  string // "/dev/loop3"
	options string // of the filesystem: "rw,errors=remount-ro"
}

// mounts lists what is mounted where this program lives, in the order of mounting.
func mounts() ([]mount, error) {
	text, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return nil, err
	}
	var list []mount
	for line := range bytes.Lines(text) {
		before, after, found := strings.Cut(strings.TrimSpace(string(line)), " - ")
		fields, rest := strings.Fields(before), strings.Fields(after)
		if !found || len(fields) < 6 || len(rest) < 3 {
			continue
		}
		list = append(list, mount{at: unescape(fields[4]), kind: rest[0], source: unescape(rest[1]), options: rest[2]})
	}
	return list, nil
}

// unescape reads the octal signs that stand for blanks and the like.
func unescape(s string) string {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' && i+3 < len(s) {
			if n, err := strconv.ParseUint(s[i+1:i+4], 8, 8); err == nil {
				b.WriteByte(byte(n))
				i += 3
				continue
			}
		}
		b.WriteByte(s[i])
	}
	return b.String()
}

// mountAt finds what is mounted at exactly that path; the last one counts.
func mountAt(path string) (mount, bool, error) {
	list, err := mounts()
	if err != nil {
		return mount{}, false, err
	}
	for _, m := range slices.Backward(list) {
		if m.at == path {
			return m, true, nil
		}
	}
	return mount{}, false, nil
}

// broken says whether the filesystem has gone read-only after an error.
func (m mount) broken() bool {
	options := strings.Split(m.options, ",")
	return slices.Contains(options, "ro") || slices.Contains(options, "emergency_ro") || slices.Contains(options, "shutdown")
}

// attemptMount mounts a device. Nothing in a volume is a device, and files that
// are set-uid are so for the container alone, which gets no new privileges.
func attemptMount(device, path, kind, options string) error {
	if err := unix.Mount(device, path, kind, unix.MS_NODEV|unix.MS_NOSUID|unix.MS_NOATIME, options); err != nil {
		return fmt.Errorf("mount %s: %w", device, err)
	}
	return nil
}

// unmount ends a mount; one that is in use fails with EBUSY. With lazily it goes
// out of sight at once, and ends when its last user does.
func unmount(path string, lazily bool) error {
	flags := unix.UMOUNT_NOFOLLOW
	if lazily {
		flags |= unix.MNT_DETACH
	}
	err := patiently(func() error { return unix.Unmount(path, flags) })
	if errors.Is(err, unix.EINVAL) || errors.Is(err, unix.ENOENT) { // nothing is mounted there
		return nil
	}
	return err
}

const (
	patience = 2 * time.Second
	patient  = 10 * time.Millisecond
)

// patiently tries again for a moment what something is in the way of: a program
// that is being started holds every descriptor of the agent until it runs, and a
// container every mount of the node.
func patiently(try func() error) error {
	err := try()
	for waited := time.Duration(0); waited < patience && (errors.Is(err, unix.EBUSY) || errors.Is(err, unix.EWOULDBLOCK)); waited += patient {
		time.Sleep(patient)
		err = try()
	}
	return err
}

// crossing says whether another filesystem begins at the path than its parent
// is on: cheaper than the list of mounts.
func crossing(path, parent string) bool {
	var here, above unix.Stat_t
	return unix.Lstat(path, &here) == nil && unix.Lstat(parent, &above) == nil && here.Dev != above.Dev
}

// Requests to the kernel that x/sys doesn't name.
const (
	fitrim       = 0xc0185879 // FITRIM
	ext4Resize   = 0x40086610 // EXT4_IOC_RESIZE_FS
	getProject   = 0x801c581f // FS_IOC_FSGETXATTR
	setProject   = 0x401c5820 // FS_IOC_FSSETXATTR
	inheritFlag  = 0x200      // FS_XFLAG_PROJINHERIT
	setQuota     = 0x80000802 // QCMD(Q_SETQUOTA, PRJQUOTA)
	getQuota     = 0x80000702 // QCMD(Q_GETQUOTA, PRJQUOTA)
	blockLimits  = 1          // QIF_BLIMITS
	quotaBlock   = 1024       // bytes of a quota's limit's unit
	xfsMagic     = 0x58465342
	wholeSurface = ^uint64(0)
)

func control(fd int, request uint, arg unsafe.Pointer) error {
	if _, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), uintptr(request), uintptr(arg)); errno != 0 {
		return errno
	}
	return nil
}

// within opens a directory for an ioctl.
func within(path string, f func(fd int) error) error {
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer func() { _ = unix.Close(fd) }()
	return f(fd)
}

// trim gives what a mounted filesystem has free back to what lies beneath it.
func trim(path string) error {
	return within(path, func(fd int) error {
		span := struct{ start, length, least uint64 }{length: wholeSurface}
		return control(fd, fitrim, unsafe.Pointer(&span))
	})
}

// growMounted makes a mounted ext4 that many bytes large, if its kernel lets it.
func growMounted(path string, bytes int64) error {
	return within(path, func(fd int) error {
		blocks := uint64(bytes / blockSize)
		return control(fd, ext4Resize, unsafe.Pointer(&blocks))
	})
}

// syncAll puts the filesystem that holds the path on the disk.
func syncAll(path string) error {
	return within(path, unix.Syncfs)
}

// guard makes a mount point refuse to be written: without its volume on top,
// nothing may land on the node's own disk. Filesystems without the flag are left.
func guard(path string, on bool) {
	_ = within(path, func(fd int) error {
		flags, err := unix.IoctlGetInt(fd, unix.FS_IOC_GETFLAGS)
		if err != nil {
			return err
		}
		next := flags &^ unix.STATX_ATTR_IMMUTABLE
		if on {
			next = flags | unix.STATX_ATTR_IMMUTABLE
		}
		if next == flags {
			return nil
		}
		return unix.IoctlSetPointerInt(fd, unix.FS_IOC_SETFLAGS, next)
	})
}

// reflink makes a file share its content with a new one.
func reflink(from, to *os.File) error { return unix.IoctlFileClone(int(to.Fd()), int(from.Fd())) }

// isXFS says whether a directory lies on XFS.
func isXFS(path string) bool {
	var st unix.Statfs_t
	return unix.Statfs(path, &st) == nil && int64(st.Type) == xfsMagic //nolint:unconvert // their types differ between machines
}

// lockDir takes a lock that lasts as long as the file is open.
func lockDir(path string) (*os.File, error) {
	file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|unix.O_NOFOLLOW, 0o600)
	if err != nil {
		return nil, err
	}
	if err := patiently(func() error { return unix.Flock(int(file.Fd()), unix.LOCK_EX|unix.LOCK_NB) }); err != nil {
		_ = file.Close()
		return nil, err
	}
	return file, nil
}

// fsxattr is the kernel's struct of that name.
type fsxattr struct {
	flags, extSize, extents, project, cowSize uint32
	_                                         [8]byte
}

// dqblk is the kernel's struct if_dqblk, as far as space goes.
type dqblk struct {
	hard, soft, space          uint64
	filesHard, filesSoft, used uint64
	blockTime, fileTime        uint64
	valid                      uint32
	_                          [4]byte
}

// assign puts an open file or directory into a project; what is made in a
// directory follows it.
func assign(file *os.File, project uint32, dir bool) error {
	var x fsxattr
	fd := int(file.Fd())
	if err := control(fd, getProject, unsafe.Pointer(&x)); err != nil {
		return err
	}
	x.project = project
	if dir {
		x.flags |= inheritFlag
	}
	return control(fd, setProject, unsafe.Pointer(&x))
}

// limitProject sets how many bytes a project may hold on the filesystem of path.
func limitProject(path string, project uint32, bytes int64) error {
	return within(path, func(fd int) error {
		q := dqblk{hard: uint64((bytes + quotaBlock - 1) / quotaBlock), valid: blockLimits}
		return quotactl(fd, setQuota, project, &q)
	})
}

// projectUse is how many bytes a project holds.
func projectUse(path string, project uint32) (used int64, err error) {
	err = within(path, func(fd int) error {
		var q dqblk
		err := quotactl(fd, getQuota, project, &q)
		used = int64(q.space)
		return err
	})
	return used, err
}

func quotactl(fd int, command uint32, project uint32, q *dqblk) error {
	_, _, errno := unix.Syscall6(unix.SYS_QUOTACTL_FD, uintptr(fd), uintptr(command), uintptr(project), uintptr(unsafe.Pointer(q)), 0, 0)
	if errno != 0 {
		return errno
	}
	return nil
}
