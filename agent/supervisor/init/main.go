// Command init is the first process of an instance's container: it runs the
// instance's program, passes signals on to it, and buries what it leaves behind.
// When the program ends by itself, it asks the agent whether to begin it again, in
// the same container; see package supervisor for what the two say to each other.
//
// It is in each container, within the instance's own limits: it imports as little
// as it can.
package main

import (
	"errors"
	"os"
	"os/signal"
	"runtime"
	"syscall"
	"time"
	"unsafe"

	"github.com/berth-panel/berth/agent/supervisor/talk"
)

// buriedWithin is how long what the program left behind may take to be gone.
const buriedWithin = time.Second

// The codes of a program that can't be begun, as shells give them.
const (
	codeNotFound   = 127
	codeNoProgram  = 126
	codeOfSignals  = 128 // and the signal's number on top
	codeOwnFailure = 125
)

func main() {
	runtime.GOMAXPROCS(1) // fewer threads, which count among the instance's processes
	if len(os.Args) < 2 {
		complain("", syscall.EINVAL)
		os.Exit(codeOwnFailure)
	}
	if os.Args[1] == talk.Try {
		return // it can be run from where it lies: that is all that is asked
	}
	hideFromRuntime()
	streams := lookAtStreams()
	signals := make(chan os.Signal, 64)
	signal.Notify(signals)
	for {
		takeTerminal() // who isn't before it may not set it
		streams.restore()
		ended := live(os.Args[1:], signals)
		if !ended.byItself || !begins(ended.code, signals) {
			os.Exit(ended.code)
		}
		streams.drain()
		runtime.GC() // what a life leaves here would pile up to megabytes of the instance's own
	}
}

// begins says whether the program begins again. Whoever wants the container to end
// meanwhile needn't wait for the answer.
func begins(code int, signals <-chan os.Signal) bool {
	answer := make(chan bool, 1)
	go func() { answer <- again(code) }()
	for {
		select {
		case is := <-answer:
			return is
		case s := <-signals:
			if n := passed(s); n != 0 && asks(n) {
				return false
			}
		}
	}
}

// passed gives the number of a signal that is for the program; 0 for those that come
// by the runtime, by each child, and by a terminal for who isn't before it.
func passed(s os.Signal) syscall.Signal {
	n, is := s.(syscall.Signal)
	switch {
	case !is, n == syscall.SIGURG, n == syscall.SIGCHLD, n == syscall.SIGTTIN, n == syscall.SIGTTOU, n == syscall.SIGPIPE:
		return 0
	}
	return n
}

// asks says whether a signal may have a program end.
func asks(n syscall.Signal) bool { return n != syscall.SIGWINCH && n != syscall.SIGCONT }

// end is how a life of the program ended.
type end struct {
	code     int
	byItself bool // nobody has sent it a signal, nor was it short of memory
}

// live runs the program once.
func live(args []string, signals <-chan os.Signal) end {
	killed, counts := outOfMemory()
	pid, code := begin(args)
	if pid == 0 {
		return end{code: code, byItself: true}
	}
	byItself := true
	for s := range signals {
		if n := passed(s); n != 0 {
			byItself = byItself && !asks(n)
			_ = syscall.Kill(pid, n) // who is gone needs none
		}
		// With any signal: of those that come at once, some are told as one.
		code, over := reap(pid)
		if !over {
			continue
		}
		after, counted := outOfMemory()
		if counts && counted {
			byItself = byItself && after == killed
		} else if code == codeOfSignals+int(syscall.SIGKILL) {
			byItself = false // by the kernel, as far as anybody knows
		}
		return end{code: code, byItself: byItself}
	}
	return end{code: codeOwnFailure} // never: nobody closes the channel
}

// begin starts the program: its id, or 0 and the code to end with.
func begin(args []string) (pid, code int) {
	why := error(syscall.ENOENT)
	for _, path := range candidates(args[0]) {
		pid, err := syscall.ForkExec(path, args, attributes())
		if errors.Is(err, syscall.ENOEXEC) { // a script that doesn't say whose; as execvp does
			var failed error
			if pid, failed = syscall.ForkExec("/bin/sh", append([]string{"/bin/sh", path}, args[1:]...), attributes()); failed == nil {
				err = nil
			}
		}
		if err == nil {
			return pid, 0
		}
		if !errors.Is(err, syscall.ENOENT) && !errors.Is(err, syscall.ENOTDIR) {
			why = err
		}
	}
	complain(args[0], why)
	if errors.Is(why, syscall.ENOENT) {
		return 0, codeNotFound
	}
	return 0, codeNoProgram
}

// attributes put the program in a group of its own, before the terminal if there is
// one.
func attributes() *syscall.ProcAttr {
	return &syscall.ProcAttr{
		Env: environment(), Files: []uintptr{0, 1, 2},
		Sys: &syscall.SysProcAttr{Setpgid: true, Foreground: isTerminal(), Ctty: 0},
	}
}

// candidates are the paths at which a command may be.
func candidates(command string) []string {
	for i := range len(command) {
		if command[i] == '/' {
			return []string{command}
		}
	}
	search, found := syscall.Getenv("PATH")
	if !found {
		search = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
	}
	var out []string
	for begin, i := 0, 0; i <= len(search); i++ {
		if i < len(search) && search[i] != ':' {
			continue
		}
		dir := search[begin:i]
		if begin = i + 1; dir == "" {
			dir = "."
		}
		out = append(out, dir+"/"+command)
	}
	return out
}

// reap buries what has ended, and gives the program's code when that is among it.
func reap(pid int) (code int, over bool) {
	for {
		var status syscall.WaitStatus
		ended, err := syscall.Wait4(-1, &status, syscall.WNOHANG, nil)
		switch {
		case errors.Is(err, syscall.EINTR):
		case err != nil || ended == 0:
			return code, over
		case ended == pid && status.Exited():
			code, over = status.ExitStatus(), true
		case ended == pid && status.Signaled():
			code, over = codeOfSignals+int(status.Signal()), true
		}
	}
}

// bury ends all that is left in the container, and says whether nothing is. What a
// process leaves is a child of the first one's by then.
func bury() bool {
	deadline := time.Now().Add(buriedWithin)
	for time.Now().Before(deadline) {
		_ = syscall.Kill(-1, syscall.SIGKILL) // an error: there is none, or none that it may end
		ended, err := syscall.Wait4(-1, nil, syscall.WNOHANG, nil)
		switch {
		case errors.Is(err, syscall.ECHILD):
			return true
		case ended == 0:
			time.Sleep(time.Millisecond)
		}
	}
	return false
}

// takeTerminal puts this process before the terminal again, so that it may hand
// that on to the program.
func takeTerminal() {
	if !isTerminal() {
		return
	}
	signal.Ignore(syscall.SIGTTOU)
	defer signal.Reset(syscall.SIGTTOU)
	group := int32(syscall.Getpgrp())
	_, _, _ = syscall.Syscall(syscall.SYS_IOCTL, 0, syscall.TIOCSPGRP, uintptr(unsafe.Pointer(&group)))
}

func isTerminal() bool {
	var group int32
	_, _, failed := syscall.Syscall(syscall.SYS_IOCTL, 0, syscall.TIOCGPGRP, uintptr(unsafe.Pointer(&group)))
	return failed == 0
}

// complain says why the program could not be begun: the agent reads it.
func complain(command string, why error) {
	_, _ = os.Stderr.WriteString("[FATAL berth-init] exec " + command + " failed: " + why.Error() + "\n")
}
