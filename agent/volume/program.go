package volume

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// program is one that makes, checks or grows filesystems, and the package that
// brings it.
type program struct{ name, from string }

var (
	programExt4    = program{"mkfs.ext4", "e2fsprogs"}
	programCheck   = program{"e2fsck", "e2fsprogs"}
	programResize  = program{"resize2fs", "e2fsprogs"}
	programXFS     = program{"mkfs.xfs", "xfsprogs"}
	programGrowXFS = program{"xfs_growfs", "xfsprogs"}
)

// longest is how long a program may take: a check of a large, damaged
// filesystem is slow, and killing it makes things worse.
const longest = 2 * time.Hour

// find gives the program's path: only where the system keeps such programs.
func (p program) find() (string, error) {
	for _, dir := range []string{"/usr/sbin", "/sbin", "/usr/bin", "/bin"} {
		path := filepath.Join(dir, p.name)
		if info, err := os.Stat(path); err == nil && info.Mode().IsRegular() && info.Mode()&0o111 != 0 {
			return path, nil
		}
	}
	return "", fmt.Errorf("%s is missing: install %s", p.name, p.from)
}

// run runs a program to its end, also when ctx ends meanwhile: half of what these
// do is worse than nothing, and all but repairs take milliseconds.
func run(ctx context.Context, p program, args ...string) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	path, err := p.find()
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), longest)
	defer cancel()
	command := exec.CommandContext(ctx, path, args...)
	command.Env = []string{"LC_ALL=C", "PATH=/usr/sbin:/sbin:/usr/bin:/bin"}
	said, err := command.CombinedOutput()
	if err != nil {
		return fmt.Errorf("%s: %w: %s", p.name, err, shortened(said))
	}
	return nil
}

// shortened is the end of what a program has said, on one line.
func shortened(said []byte) string {
	const most = 400
	text := strings.Join(strings.Fields(string(said)), " ")
	return text[max(0, len(text)-most):]
}

// repaired is what e2fsck answers when it has mended everything.
const repaired = 1

// repair checks an ext4 that nobody has mounted, and mends what can be mended
// without asking. One that was unmounted cleanly takes no time.
func repair(ctx context.Context, device string, more ...string) error {
	err := run(ctx, programCheck, append(append([]string{"-p"}, more...), device)...)
	var exit *exec.ExitError
	if errors.As(err, &exit) && exit.ExitCode() == repaired {
		return nil
	}
	return err
}

// enlarge makes an ext4 that nobody has mounted as large as its device.
func enlarge(ctx context.Context, device string) error {
	if err := repair(ctx, device, "-f"); err != nil { // it insists on that
		return err
	}
	return run(ctx, programResize, device)
}

// have says what is missing of some programs.
func have(list ...program) error {
	for _, p := range list {
		if _, err := p.find(); err != nil {
			return err
		}
	}
	return nil
}
