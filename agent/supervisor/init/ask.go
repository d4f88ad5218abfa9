package main

import (
	"errors"
	"os"
	"strconv"
	"syscall"
	"time"

	"github.com/berth-panel/berth/agent/supervisor/talk"
)

// again ends what the program has left behind, and asks the agent whether it, which
// ended with that code, is to begin again. Whatever goes wrong is a no: then the container
// ends, which every agent knows how to take.
func again(code int) bool {
	if os.Getpid() != 1 || !bury() { // all processes that there are
		return false
	}
	agent, err := syscall.Socket(syscall.AF_UNIX, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		return false
	}
	defer func() { _ = syscall.Close(agent) }()
	patience := syscall.NsecToTimeval(int64(talk.Patience / time.Nanosecond))
	for _, side := range []int{syscall.SO_RCVTIMEO, syscall.SO_SNDTIMEO} {
		if err := syscall.SetsockoptTimeval(agent, syscall.SOL_SOCKET, side, &patience); err != nil {
			return false
		}
	}
	if syscall.Connect(agent, &syscall.SockaddrUnix{Name: talk.Socket}) != nil {
		return false
	}
	if !say(agent, talk.Ended+strconv.Itoa(code)) || hear(agent) != talk.Again {
		return false
	}
	return say(agent, talk.Begins)
}

func say(agent int, line string) bool {
	n, err := syscall.Write(agent, []byte(line+"\n"))
	return err == nil && n == len(line)+1
}

// hear gives one line; "" when none comes.
func hear(agent int) string {
	var line []byte
	for one := make([]byte, 1); len(line) < talk.Longest; {
		n, err := syscall.Read(agent, one)
		switch {
		case errors.Is(err, syscall.EINTR):
		case err != nil || n == 0:
			return ""
		case one[0] == '\n':
			return string(line)
		default:
			line = append(line, one[0])
		}
	}
	return ""
}

// outOfMemory gives how often the kernel has ended a process of the container for
// want of memory; false where it doesn't say. The files are those of the first and
// of the second kind of control groups, as engines mount them.
func outOfMemory() (times int, known bool) {
	for _, path := range []string{"/sys/fs/cgroup/memory/memory.oom_control", "/sys/fs/cgroup/memory.events"} {
		text, err := os.ReadFile(path)
		if err != nil {
			continue
		}
		if n, found := count(string(text), "oom_kill "); found {
			return n, true
		}
	}
	return 0, false
}

// count reads the number behind a word at the beginning of a line.
func count(text, word string) (n int, found bool) {
	for len(text) > 0 {
		line := text
		text = ""
		for i := range len(line) {
			if line[i] == '\n' {
				line, text = line[:i], line[i+1:]
				break
			}
		}
		if len(line) > len(word) && line[:len(word)] == word {
			n, err := strconv.Atoi(line[len(word):])
			return n, err == nil
		}
	}
	return 0, false
}
