package cgroup

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/berth-panel/berth/shared/wire"
)

// Throttle holds a container to the limits of reading and writing, on the disk on
// which the file at that path lies. Limits of 0 are taken away. It may be
// repeated. The error is a sentence.
func (t *Tree) Throttle(pid int, container, at string, l wire.Limits) error {
	groups, err := t.Find(pid, container)
	if err != nil {
		return err
	}
	device, err := t.disk(at)
	if err != nil {
		return err
	}
	if dir := groups.V1["blkio"]; dir != "" {
		for file, value := range map[string]int64{"read_bps": l.ReadBytes, "write_bps": l.WriteBytes, "read_iops": l.ReadOps, "write_iops": l.WriteOps} {
			if err := t.set(dir+"/blkio.throttle."+file+"_device", device+" "+strconv.FormatInt(value, 10)); err != nil {
				return err
			}
		}
		return nil
	}
	if groups.V2 == "" {
		return ErrHidden
	}
	text := func(value int64) string {
		if value == 0 {
			return "max"
		}
		return strconv.FormatInt(value, 10)
	}
	err = t.set(groups.V2+"/io.max", fmt.Sprintf("%s rbps=%s wbps=%s riops=%s wiops=%s", device, text(l.ReadBytes), text(l.WriteBytes), text(l.ReadOps), text(l.WriteOps)))
	if errors.Is(err, fs.ErrNotExist) {
		return errors.New("the kernel's io controller is not handed to containers on this machine")
	}
	return err
}

func (t *Tree) set(name, text string) error {
	file, err := os.OpenFile(t.root+name, os.O_WRONLY|os.O_TRUNC, 0)
	if err != nil {
		return fmt.Errorf("the disk's speed can't be limited: %w", err)
	}
	_, err = file.WriteString(text)
	if err = errors.Join(err, file.Close()); err != nil {
		return fmt.Errorf("the disk's speed can't be limited: %w", err)
	}
	return nil
}

// disk is the whole disk on which a path lies, as the kernel numbers it.
func (t *Tree) disk(at string) (string, error) {
	var st unix.Stat_t
	if err := unix.Stat(at, &st); err != nil {
		return "", fmt.Errorf("look at the volume: %w", err)
	}
	device := fmt.Sprintf("%d:%d", unix.Major(uint64(st.Dev)), unix.Minor(uint64(st.Dev))) //nolint:unconvert // its type differs between machines
	dir := t.root + "/sys/dev/block/" + device
	if _, err := os.Stat(dir); err != nil {
		return "", errors.New("the volume's filesystem is on no disk of its own, so its speed can't be limited")
	}
	if _, err := os.Stat(dir + "/partition"); err != nil {
		return device, nil
	}
	link, err := os.Readlink(dir)
	if err != nil {
		return "", fmt.Errorf("look at the volume's disk: %w", err)
	}
	whole, err := os.ReadFile(path.Join(t.root+"/sys/dev/block", path.Dir(link), "dev"))
	return strings.TrimSpace(string(whole)), err
}
