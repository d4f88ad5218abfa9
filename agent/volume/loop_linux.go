package volume

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// loop is a loop device with an image behind it. The open descriptor keeps it
// attached; once it is mounted the mount does, and whoever ends last detaches it:
// the kernel's autoclear flag, so that a killed agent leaves no device behind
// that nothing uses.
type loop struct {
	file *os.File
	path string // "/dev/loop3"
	held bool   // it was attached before: something may be using it
}

// close gives the descriptor back.
func (l *loop) close() { _ = l.file.Close() }

// attachTries is how often another program may snatch the free device.
const attachTries = 32

// attach puts the image behind a loop device, or gives the one that it is behind
// already. A lock on the image sees to it that two callers, in two agents even,
// never attach it twice.
func attach(image string) (*loop, error) {
	backing, err := os.OpenFile(image, os.O_RDWR|unix.O_NOFOLLOW, 0)
	if err != nil {
		return nil, err
	}
	defer func() { _ = backing.Close() }()
	unlock, err := lockImage(image)
	if err != nil {
		return nil, err
	}
	defer unlock()
	if l, err := attached(backing); l != nil || err != nil {
		return l, err
	}
	control, err := os.OpenFile("/dev/loop-control", os.O_RDWR, 0)
	if err != nil {
		return nil, err
	}
	defer func() { _ = control.Close() }()
	// One at a time, of all agents of the machine: whoever is offered a device that
	// another takes first claims it for a moment all the same, and the other's check of
	// its filesystem would find it in use just then.
	if err := unix.Flock(int(control.Fd()), unix.LOCK_EX); err != nil {
		return nil, fmt.Errorf("wait for a loop device: %w", err)
	}
	for range attachTries {
		number, err := unix.IoctlRetInt(int(control.Fd()), unix.LOOP_CTL_GET_FREE)
		if err != nil {
			return nil, fmt.Errorf("find a free loop device: %w", err)
		}
		path := "/dev/loop" + strconv.Itoa(number)
		device, err := os.OpenFile(path, os.O_RDWR, 0)
		if err != nil {
			return nil, err
		}
		err = configure(device, backing)
		if err == nil {
			return &loop{file: device, path: path}, nil
		}
		_ = device.Close()
		if !errors.Is(err, unix.EBUSY) {
			return nil, fmt.Errorf("attach the image to %s: %w", path, err)
		}
	}
	return nil, errors.New("no loop device stays free")
}

// lockImage opens the image once more for that: the device keeps what it was
// given open, and a lock on that would last as long as it does.
func lockImage(image string) (unlock func(), err error) {
	file, err := os.OpenFile(image, os.O_RDONLY|unix.O_NOFOLLOW, 0)
	if err != nil {
		return nil, err
	}
	if err := unix.Flock(int(file.Fd()), unix.LOCK_EX); err != nil {
		_ = file.Close()
		return nil, fmt.Errorf("lock the image: %w", err)
	}
	return func() { _ = file.Close() }, nil
}

func configure(device, backing *os.File) error {
	config := unix.LoopConfig{Fd: uint32(backing.Fd())}
	config.Info.Flags = unix.LO_FLAGS_AUTOCLEAR | unix.LO_FLAGS_DIRECT_IO
	copy(config.Info.File_name[:len(config.Info.File_name)-1], backing.Name())
	err := unix.IoctlLoopConfigure(int(device.Fd()), &config)
	if errors.Is(err, unix.EINVAL) { // a filesystem without direct I/O
		config.Info.Flags = unix.LO_FLAGS_AUTOCLEAR
		err = unix.IoctlLoopConfigure(int(device.Fd()), &config)
	}
	return err
}

// attached finds the loop device that an open image is behind; nil is none.
func attached(backing *os.File) (*loop, error) {
	var want unix.Stat_t
	if err := unix.Fstat(int(backing.Fd()), &want); err != nil {
		return nil, err
	}
	found, err := filepath.Glob("/sys/block/loop*/loop/backing_file")
	if err != nil {
		return nil, err
	}
	for _, sign := range found {
		path := "/dev/" + filepath.Base(filepath.Dir(filepath.Dir(sign)))
		device, err := os.OpenFile(path, os.O_RDWR, 0)
		if err != nil {
			continue // it went away, or is none of ours
		}
		info, err := unix.IoctlLoopGetStatus64(int(device.Fd()))
		//nolint:unconvert // their types differ between machines
		if err == nil && info.Inode == uint64(want.Ino) && info.Device == uint64(want.Dev) {
			return &loop{file: device, path: path, held: true}, nil
		}
		_ = device.Close()
	}
	return nil, nil //nolint:nilnil // none is an answer
}

// exclusive says whether nobody has the device mounted, in whatever namespace.
func (l *loop) exclusive() bool {
	return patiently(func() error {
		// A program that is started meanwhile would hold what is opened here until it
		// runs, and the check that comes next would find the device in use.
		syscall.ForkLock.RLock()
		defer syscall.ForkLock.RUnlock()
		fd, err := unix.Open(l.path, unix.O_RDONLY|unix.O_EXCL|unix.O_CLOEXEC, 0)
		if err == nil {
			_ = unix.Close(fd)
		}
		return err
	}) == nil
}

// refresh makes the device as large as its image has become.
func (l *loop) refresh() error {
	if err := unix.IoctlSetInt(int(l.file.Fd()), unix.LOOP_SET_CAPACITY, 0); err != nil {
		return fmt.Errorf("let %s grow: %w", l.path, err)
	}
	return nil
}

// loopsBeneath lists the attached devices whose image lies beneath a directory.
func loopsBeneath(dir string) ([]string, error) {
	found, err := filepath.Glob("/sys/block/loop*/loop/backing_file")
	if err != nil {
		return nil, err
	}
	var list []string
	for _, sign := range found {
		text, err := os.ReadFile(sign)
		if err == nil && strings.HasPrefix(string(text), dir+"/") {
			list = append(list, "/dev/"+filepath.Base(filepath.Dir(filepath.Dir(sign))))
		}
	}
	return list, nil
}

// detach lets go of a device that nothing has mounted; one that is in use goes
// with its last user.
func detach(path string) error {
	device, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer func() { _ = device.Close() }()
	err = unix.IoctlSetInt(int(device.Fd()), unix.LOOP_CLR_FD, 0)
	if errors.Is(err, unix.ENXIO) { // it is free already
		return nil
	}
	return err
}
