package volume

import (
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/berth-panel/berth/shared/wire"
)

// mostOffered is more than there are programs that attach devices at a time.
const mostOffered = 10

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
	busy := 0
	for range 30000 {
		if !l.exclusive() {
			t.Fatal("somebody has it")
		}
		syscall.ForkLock.RLock() // it is about what exclusive leaves, not about this
		fd, err := unix.Open(l.path, unix.O_RDONLY|unix.O_EXCL|unix.O_CLOEXEC, 0)
		if err == nil {
			_ = unix.Close(fd)
		}
		syscall.ForkLock.RUnlock()
		if err != nil {
			busy++
		}
	}
	// Other programs that were offered this device by the kernel just before it was
	// attached here claim it for a moment, to find that it is taken: each once at most.
	if busy > mostOffered {
		t.Errorf("what was free a moment ago was busy %d times", busy)
	}
}
