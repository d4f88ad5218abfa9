package main

import (
	"bufio"
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"
	"unsafe"
)

func say(args []string) error { return show(os.Stdout, args[0]) }

func cry(args []string) error { return show(os.Stderr, args[0]) }

func show(to *os.File, quoted string) error {
	text, err := strconv.Unquote(`"` + quoted + `"`)
	if err != nil {
		return err
	}
	_, err = to.WriteString(text)
	return err
}

func answerLines([]string) error {
	return eachLine(func(line string) { fmt.Printf("you said %s\n", line) })
}

// eachLine reads stdin until its end or the line "stop".
func eachLine(do func(line string)) error {
	in := bufio.NewScanner(os.Stdin)
	for in.Scan() {
		line := strings.TrimRight(in.Text(), "\r")
		if line == "stop" {
			os.Exit(0)
		}
		do(line)
	}
	return in.Err()
}

// size asks the terminal how large it is.
func size([]string) error {
	return eachLine(func(string) {
		var rowsColumns [4]uint16
		_, _, failed := syscall.Syscall(syscall.SYS_IOCTL, os.Stdout.Fd(), syscall.TIOCGWINSZ, uintptr(unsafe.Pointer(&rowsColumns)))
		if failed != 0 {
			fmt.Println("no terminal")
			return
		}
		fmt.Printf("size %d %d\n", rowsColumns[0], rowsColumns[1])
	})
}

// pace prints lines in steps of ten milliseconds, so that their rate is held
// without a call for each.
func pace(args []string) error {
	n, err := strconv.Atoi(args[0])
	if err != nil {
		return err
	}
	rate, err := strconv.Atoi(args[1])
	if err != nil {
		return err
	}
	out := bufio.NewWriterSize(os.Stdout, 64<<10)
	began := time.Now()
	for printed := 0; printed < n; {
		due := min(n, int(time.Since(began).Seconds()*float64(rate))+1)
		for ; printed < due; printed++ {
			_, _ = out.WriteString(numbered(printed + 1))
		}
		if err := out.Flush(); err != nil {
			return err
		}
		time.Sleep(10 * time.Millisecond)
	}
	return nil
}

// burst prints so many more lines whenever it is told to.
func burst(args []string) error {
	n, err := strconv.Atoi(args[0])
	if err != nil {
		return err
	}
	out, printed := bufio.NewWriterSize(os.Stdout, 64<<10), 0
	return eachLine(func(string) {
		for range n {
			printed++
			_, _ = out.WriteString(numbered(printed))
		}
		_ = out.Flush() // whoever waits for the lines finds out
	})
}

// numbered is a line of 80 bytes, with its end.
func numbered(n int) string {
	line := "line " + strconv.Itoa(n) + " "
	return line + strings.Repeat(".", 79-len(line)) + "\n"
}
