package volume

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
)

// Unmount takes all mounts and loop devices of a directory of volumes away, for
// a machine that is no node any more: what is left are files that can be removed.
// It refuses while an agent uses the directory, and fails, saying which, for
// volumes that containers still use.
func Unmount(dir string) error {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return err
	}
	if dir, err = filepath.EvalSymlinks(dir); errors.Is(err, fs.ErrNotExist) {
		return nil
	} else if err != nil {
		return err
	}
	lock, err := lockDir(filepath.Join(dir, lockFile))
	if errors.Is(err, syscall.EWOULDBLOCK) {
		return fmt.Errorf("an agent uses %s: stop it first", dir)
	}
	if err != nil {
		return err
	}
	defer func() { _ = lock.Close() }()
	failed := unmountBeneath(dir)
	if failed == nil {
		failed = free(dir)
	}
	return errors.Join(failed, unguardAll(dir))
}

// unmountBeneath ends the mounts, the last one first: the pool outlasts its images.
func unmountBeneath(dir string) error {
	list, err := mounts()
	if err != nil {
		return err
	}
	var failed error
	for _, m := range slices.Backward(list) {
		if !strings.HasPrefix(m.at, dir+"/") {
			continue
		}
		if err := unmount(m.at, false); err != nil {
			failed = errors.Join(failed, fmt.Errorf("%s is in use (%w)", m.at, err))
		}
	}
	return failed
}

// free lets go of devices that were left attached. One that stays is mounted
// where we don't see it: in a container.
func free(dir string) error {
	var devices []string
	err := patiently(func() (err error) {
		if devices, err = loopsBeneath(dir); err != nil {
			return err
		}
		for _, device := range devices {
			if err := detach(device); err != nil {
				return fmt.Errorf("detach %s: %w", device, err)
			}
		}
		if devices, err = loopsBeneath(dir); err == nil && len(devices) > 0 {
			err = syscall.EBUSY
		}
		return err
	})
	if errors.Is(err, syscall.EBUSY) {
		return fmt.Errorf("%s still hold volumes: remove the containers that use them, then try again: %w", strings.Join(devices, ", "), err)
	}
	return err
}

// unguardAll lets the mount points be removed.
func unguardAll(dir string) error {
	guard(filepath.Join(dir, poolPoint), false)
	for _, above := range []string{dir, filepath.Join(dir, staging), filepath.Join(dir, trash)} {
		entries, err := os.ReadDir(above)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		for _, entry := range entries {
			for _, name := range []string{mountPoint, next} {
				guard(filepath.Join(above, entry.Name(), name), false)
			}
		}
	}
	return nil
}
