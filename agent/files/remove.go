package files

import (
	"errors"
	"fmt"
	"io"
	"os"

	"golang.org/x/sys/unix"

	"github.com/berth-panel/berth/shared/wire"
)

const (
	removeDeep   = 24  // folders within each other, each with two descriptors; what lies deeper is lifted
	removeRounds = 100 // in which something is found, before a folder counts as never empty
)

// RemoveAll removes an entry with all that is in it. each is called after each
// entry that is gone; its failure ends it. Trees of any depth and size cost time
// only: what lies deep is lifted up on the way. Nothing there is no failure.
func (r *Root) RemoveAll(path wire.Path, each func() error) error {
	err := r.in("remove", path, func(dir int, name string) error {
		x := remover{top: -1, each: each}
		return x.one(dir, name, 0)
	})
	if errors.Is(err, unix.ENOENT) {
		return nil
	}
	return err
}

type remover struct {
	top    int // the folder into which deep ones are lifted
	lifted int
	each   func() error
}

// one removes an entry; depth counts the folders above it that are going too.
func (x *remover) one(dir int, name string, depth int) error {
	err := unix.Unlinkat(dir, name, 0)
	if err == nil || errors.Is(err, unix.ENOENT) {
		return x.each()
	}
	if !errors.Is(err, unix.EISDIR) && !errors.Is(err, unix.EPERM) {
		return err
	}
	if depth >= removeDeep {
		return x.lift(dir, name)
	}
	fd, opening := openat(dir, name, dirFlags, 0)
	if errors.Is(opening, unix.ENOTDIR) || errors.Is(opening, unix.ELOOP) {
		return err // a file that can't be removed
	}
	if opening != nil {
		return opening
	}
	if depth == 0 {
		x.top = fd
	}
	err = x.empty(fd, depth)
	_ = unix.Close(fd)
	if err != nil {
		return err
	}
	if err := unix.Unlinkat(dir, name, unix.AT_REMOVEDIR); err != nil && !errors.Is(err, unix.ENOENT) {
		return err
	}
	return x.each()
}

// lift brings a folder up to the first one: its turn comes in a later round.
func (x *remover) lift(dir int, name string) error {
	for {
		x.lifted++
		err := renameNew(dir, name, x.top, fmt.Sprintf(".deep-%d", x.lifted))
		if !errors.Is(err, unix.EEXIST) {
			return err
		}
	}
}

// empty removes what is in a folder, until nothing is found in it.
func (x *remover) empty(fd, depth int) error {
	for round := 0; round < removeRounds || x.top == fd && round < x.lifted+removeRounds; round++ {
		found, err := x.sweep(fd, depth)
		if err != nil {
			return err
		}
		if !found {
			return nil
		}
	}
	return unix.ENOTEMPTY
}

func (x *remover) sweep(fd, depth int) (found bool, err error) {
	again, err := openat(fd, ".", dirFlags, 0) // with a position of its own
	if err != nil {
		return false, err
	}
	dir := os.NewFile(uintptr(again), ".")
	defer func() { _ = dir.Close() }()
	for {
		names, err := dir.Readdirnames(namesAtOne)
		for _, name := range names {
			found = true
			if err := x.one(fd, name, depth+1); err != nil && !NotEmpty(err) {
				return found, err
			}
		}
		if errors.Is(err, io.EOF) || errors.Is(err, unix.ENOENT) {
			return found, nil
		}
		if err != nil {
			return found, err
		}
	}
}
