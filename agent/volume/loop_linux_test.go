package volume

import (
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/berth-panel/berth/shared/wire"
)

// A filesystem is checked once nobody else has its device, and the check wants it
// for itself. Programs are started all the time: by other volumes, for a start.
func TestLookingHoldsNothing(t *testing.T) {
	t.Parallel()
	needs(t, wire.VolumeImage)
	image := filepath.Join(t.TempDir(), "image")
	must(t, os.WriteFile(image, make([]byte, 1<<20), 0o600))
	l, err := attach(image)
	must(t, err)
	defer l.close()
	var starting sync.WaitGroup
	over := make(chan struct{})
	for range 2 {
		starting.Go(func() {
			for {
				select {
				case <-over:
					return
				default:
					_ = exec.Command("true").Run() //nolint:noctx // ends at once
				}
			}
		})
	}
	defer starting.Wait()
	defer close(over)
	for range 30000 {
		if !l.exclusive() {
			t.Fatal("somebody has it")
		}
		fd, err := unix.Open(l.path, unix.O_RDONLY|unix.O_EXCL|unix.O_CLOEXEC, 0)
		if err != nil {
			t.Fatalf("what was free a moment ago: %v", err)
		}
		_ = unix.Close(fd)
	}
}
