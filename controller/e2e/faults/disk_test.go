package faults

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
)

// disk is a small filesystem of its own that can be filled up.
type disk struct {
	dir  string // where it is mounted
	file string // its content
}

// newDisk makes and mounts a disk of so many MiB.
func newDisk(file, dir string, mib int) (*disk, error) {
	d := &disk{dir: dir, file: file}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	image, err := os.Create(file)
	if err != nil {
		return nil, err
	}
	if err := errors.Join(image.Truncate(int64(mib)<<20), image.Close()); err != nil {
		return nil, err
	}
	if _, err := command("mkfs.ext4", "-q", "-F", "-m", "0", file); err != nil {
		return nil, err
	}
	if _, err := command("mount", "-o", "loop", file, dir); err != nil {
		// No loop device here: memory does as well, but for what it does to holes.
		if _, err := command("mount", "-t", "tmpfs", "-o", fmt.Sprintf("mode=0755,size=%dm", mib), "tmpfs", dir); err != nil {
			return nil, err
		}
	}
	return d, nil
}

func (d *disk) ballast() string { return filepath.Join(d.dir, "ballast") }

// fill leaves no byte free.
func (d *disk) fill() error {
	file, err := os.Create(d.ballast())
	if err != nil {
		return err
	}
	defer func() { _ = file.Close() }()
	for size := 1 << 20; size > 0; size /= 2 {
		block := make([]byte, size)
		for err = nil; err == nil; {
			_, err = file.Write(block)
		}
		if !errors.Is(err, syscall.ENOSPC) {
			return err
		}
	}
	return nil
}

// free gives the room back.
func (d *disk) free() error {
	if err := os.Remove(d.ballast()); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return nil
}
