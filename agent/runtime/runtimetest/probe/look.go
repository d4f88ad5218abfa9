package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

// Who is what the verb who writes. The capability sets are the kernel's
// hexadecimal masks.
type Who struct {
	UID, GID     int
	Groups       []int
	Effective    string
	Bounding     string
	NoNewPrivs   string
	Parent       string // the name of process 1
	WorkingDir   string
	Hostname     string
	IsTerminal   bool
	MemoryLocked string
}

func who(args []string) error {
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return err
	}
	first, err := os.ReadFile("/proc/1/comm")
	if err != nil {
		return err
	}
	w := Who{
		UID: os.Getuid(), GID: os.Getgid(),
		Effective: field(status, "CapEff:"), Bounding: field(status, "CapBnd:"), NoNewPrivs: field(status, "NoNewPrivs:"),
		Parent: strings.TrimSpace(string(first)), MemoryLocked: field(status, "VmLck:"),
	}
	w.Groups, _ = os.Getgroups()
	w.WorkingDir, _ = os.Getwd()
	w.Hostname, _ = os.Hostname()
	if info, err := os.Stdin.Stat(); err == nil {
		w.IsTerminal = info.Mode()&os.ModeCharDevice != 0
	}
	text, err := json.Marshal(w)
	if err != nil {
		return err
	}
	return os.WriteFile(args[0], text, 0o644)
}

// field gives the value behind a name in /proc/self/status.
func field(status []byte, name string) string {
	for line := range strings.Lines(string(status)) {
		if value, ok := strings.CutPrefix(line, name); ok {
			return strings.TrimSpace(value)
		}
	}
	return ""
}

func env(args []string) error {
	return os.WriteFile(args[0], []byte(strings.Join(os.Environ(), "\n")), 0o644)
}

func write(args []string) error { return os.WriteFile(args[0], []byte(args[1]), 0o644) }

func read(args []string) error {
	text, err := os.ReadFile(args[0])
	if err != nil {
		return err
	}
	_, err = os.Stdout.Write(text)
	return err
}

func link(args []string) error { return os.Symlink(args[0], args[1]) }

func dial(args []string) error {
	result := "reached"
	conn, err := net.DialTimeout("tcp", args[0], 2*time.Second)
	if err != nil {
		result = err.Error()
	} else {
		_ = conn.Close()
	}
	return os.WriteFile(args[1], []byte(result), 0o644)
}

// held keeps what fill took: nothing else holds on to it.
var held [][]byte

// fill takes memory a mebibyte at a time and touches each page of it.
func fill(args []string) error {
	n, err := strconv.Atoi(args[0])
	if err != nil {
		return err
	}
	for range n {
		block := make([]byte, 1<<20)
		for i := 0; i < len(block); i += 4096 {
			block[i] = 1
		}
		held = append(held, block)
	}
	fmt.Println("probe: holds", len(held), "MiB")
	return nil
}

// stuff writes into a file until its disk is full, and goes on living.
func stuff(args []string) error {
	const piece, most = 1 << 20, 1 << 10
	file, err := os.OpenFile(args[0], os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o644)
	if err != nil {
		return err
	}
	for n := 0; n < most && err == nil; n++ {
		_, err = file.Write(bytes.Repeat([]byte{'x'}, piece))
	}
	if !errors.Is(err, syscall.ENOSPC) {
		return fmt.Errorf("the disk takes more than it should: %w", err)
	}
	fmt.Println("probe: the disk is full")
	return file.Close()
}

func hog(args []string) error {
	if err := fill(args); err != nil {
		return err
	}
	return idle(nil)
}

// burn computes for a while and writes the processor time that it got for each
// second of the clock's.
func burn(args []string) error {
	n, err := strconv.Atoi(args[0])
	if err != nil {
		return err
	}
	d, err := time.ParseDuration(args[1] + "ms")
	if err != nil {
		return err
	}
	began, before := time.Now(), processorTime()
	var group sync.WaitGroup
	for range n {
		group.Go(func() {
			x := uint64(1)
			for time.Since(began) < d {
				for range 100_000 {
					x = x*6364136223846793005 + 1442695040888963407
				}
			}
			if x == 0 {
				fmt.Println("probe: zero") // so that the loop is for something
			}
		})
	}
	group.Wait()
	cores := (processorTime() - before).Seconds() / time.Since(began).Seconds()
	return os.WriteFile(args[2], []byte(strconv.FormatFloat(cores, 'f', 4, 64)), 0o644)
}

func processorTime() time.Duration {
	var u syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// fork starts processes until it has enough or the kernel refuses one. It notes
// the count as it goes: at the limit the next thread of its own may be refused
// too, which ends a Go program.
func fork(args []string) error {
	n, err := strconv.Atoi(args[0])
	if err != nil {
		return err
	}
	got := 0
	for ; got < n; got++ {
		child := exec.Command("/proc/self/exe", "idle")
		if err := child.Start(); err != nil {
			fmt.Println("probe: refused:", err)
			break
		}
		if err := os.WriteFile(args[1], []byte(strconv.Itoa(got+1)), 0o644); err != nil {
			return err
		}
	}
	if err := os.WriteFile(args[1], []byte(strconv.Itoa(got)+"."), 0o644); err != nil {
		return err
	}
	return idle(nil)
}
