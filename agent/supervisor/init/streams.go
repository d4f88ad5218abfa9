package main

import (
	"errors"
	"os"
	"strings"
	"syscall"
	"unsafe"
)

// stream is one of the three that the program has from its container, as it was at
// first: a life leaves it non-blocking, or a terminal that shows nothing.
type stream struct {
	flags    uintptr
	terminal syscall.Termios
	is       bool // a terminal
}

type streams [3]stream

func lookAtStreams() (s streams) {
	for fd := range s {
		s[fd] = look(fd)
	}
	return s
}

func look(fd int) (s stream) {
	s.flags, _, _ = syscall.Syscall(syscall.SYS_FCNTL, uintptr(fd), syscall.F_GETFL, 0)
	_, _, failed := syscall.Syscall(syscall.SYS_IOCTL, uintptr(fd), syscall.TCGETS, uintptr(unsafe.Pointer(&s.terminal)))
	s.is = failed == 0
	return s
}

// drain throws away what was typed to a life that did not read it: the next one
// didn't ask for it.
func (s *streams) drain() {
	const tcflsh, input = 0x540B, 0
	if s[0].is {
		_, _, _ = syscall.Syscall(syscall.SYS_IOCTL, 0, tcflsh, input)
		return
	}
	var what syscall.Stat_t
	if syscall.Fstat(0, &what) != nil || what.Mode&syscall.S_IFMT != syscall.S_IFIFO || syscall.SetNonblock(0, true) != nil {
		return
	}
	for rest := make([]byte, 4096); ; { // restore makes it block again
		if n, err := syscall.Read(0, rest); n <= 0 && !errors.Is(err, syscall.EINTR) {
			return
		}
	}
}

// restore makes them as they were. What can't be is left: the program may do without.
func (s *streams) restore() {
	for fd := range s {
		s[fd].restore(fd)
	}
}

func (s *stream) restore(fd int) {
	_, _, _ = syscall.Syscall(syscall.SYS_FCNTL, uintptr(fd), syscall.F_SETFL, s.flags)
	if s.is {
		_, _, _ = syscall.Syscall(syscall.SYS_IOCTL, uintptr(fd), syscall.TCSETS, uintptr(unsafe.Pointer(&s.terminal)))
	}
}

// ofRuntime are the variables that a Go program's runtime obeys before its main does
// anything. Those of a container are for its program.
var ofRuntime = []string{"GODEBUG", "GOGC", "GOMAXPROCS", "GOMEMLIMIT", "GOTRACEBACK"}

// hidden is put before them.
const hidden = "BERTH_INIT_"

// hideFromRuntime begins this program anew where it was begun with such variables.
func hideFromRuntime() {
	var found bool
	all := os.Environ()
	for i, v := range all {
		for _, name := range ofRuntime {
			if strings.HasPrefix(v, name+"=") {
				all[i], found = hidden+v, true
			}
		}
	}
	if found {
		_ = syscall.Exec("/proc/self/exe", os.Args, all) // if it can't be, it is as before
	}
}

// environment is the program's.
func environment() []string {
	all := os.Environ()
	for i, v := range all {
		all[i] = strings.TrimPrefix(v, hidden)
	}
	return all
}
