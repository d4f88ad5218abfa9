package supervisor

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/berth-panel/berth/agent/supervisor/talk"
)

const (
	// sayWithin is how long a caller may take to say what it is about.
	sayWithin = time.Second
	// beginWithin is how long it may take to say that its program begins.
	beginWithin = 5 * time.Second
)

// Call is a program's end that waits for what the agent says. It is answered once,
// by Again or Close.
type Call struct {
	Container string    // the engine's id of it
	Pid       int       // of its first process, which is the one that calls
	Code      int       // that the program ended with
	At        time.Time // when it was told
	now       func() time.Time
	conn      *net.UnixConn
	in        *bufio.Reader
}

// answer finds out who calls: the first process of a container, or it is an error.
func (d *door) answer(conn *net.UnixConn) (*Call, error) {
	pid, err := peer(conn)
	if err != nil {
		return nil, err
	}
	if first, err := isFirst(pid); err != nil || !first {
		return nil, errors.Join(fmt.Errorf("process %d is not the first of a container", pid), err)
	}
	container, err := containerOf(pid)
	if err != nil {
		return nil, err
	}
	return &Call{Container: container, Pid: pid, now: d.s.now, conn: conn, in: bufio.NewReaderSize(conn, talk.Longest)}, nil
}

// listen hears what a caller has to say.
func (c *Call) listen() error {
	c.At = c.now()
	line, err := c.hear(sayWithin)
	if err != nil {
		return err
	}
	code, is := strings.CutPrefix(line, talk.Ended)
	if c.Code, err = strconv.Atoi(code); !is || err != nil || c.Code < 0 || c.Code > 255 {
		return fmt.Errorf("%.40q is no program's end", line)
	}
	return nil
}

// Again has the program begin again; an error says that the container ends instead.
func (c *Call) Again() error {
	defer c.Close()
	if err := c.conn.SetWriteDeadline(c.now().Add(sayWithin)); err != nil {
		return fmt.Errorf("begin the program again: %w", err)
	}
	if _, err := io.WriteString(c.conn, talk.Again+"\n"); err != nil {
		return fmt.Errorf("begin the program again: %w", err)
	}
	line, err := c.hear(beginWithin)
	if err == nil && line != talk.Begins {
		err = fmt.Errorf("%.40q was said", line)
	}
	if err != nil {
		return fmt.Errorf("begin the program again: %w", err)
	}
	return nil
}

// Close hangs up: the container ends, unless its program was begun again.
func (c *Call) Close() { _ = c.conn.Close() }

func (c *Call) hear(within time.Duration) (string, error) {
	if err := c.conn.SetReadDeadline(c.now().Add(within)); err != nil {
		return "", fmt.Errorf("hear a container: %w", err)
	}
	line, err := c.in.ReadSlice('\n')
	if err != nil {
		return "", fmt.Errorf("hear a container: %w", err)
	}
	return string(line[:len(line)-1]), nil
}

// isFirst says whether a process is the first of a container.
func isFirst(pid int) (bool, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return false, err
	}
	_, ids, found := strings.Cut(string(text), "\nNSpid:")
	if !found {
		return false, nil
	}
	ids, _, _ = strings.Cut(ids, "\n")
	counted := strings.Fields(ids)
	return len(counted) > 1 && counted[len(counted)-1] == "1", nil
}

var containerID = regexp.MustCompile(`(?:^|[/-])([0-9a-f]{64})(?:\.scope)?(?:/|$)`)

// containerOf gives the container whose control group a process is in.
func containerOf(pid int) (string, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/cgroup", pid))
	if err != nil {
		return "", err
	}
	for line := range strings.Lines(string(text)) {
		if m := containerID.FindStringSubmatch(strings.TrimSpace(line)); m != nil {
			return m[1], nil
		}
	}
	return "", fmt.Errorf("process %d is in no container", pid)
}
