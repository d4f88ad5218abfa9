package e2e

import (
	"bytes"
	"crypto/tls"
	endian "encoding/binary"
	"fmt"
	"io"
	"net"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// realClient reaches one of the programs as its users do. What it is answered is a
// text; so is why it was not.
type realClient struct {
	t    *testing.T
	root string // with the programs' packages
	port uint16 // of this machine
}

// reads asks until the answer holds a text.
func (c realClient) reads(ask func(realClient) string, want string) {
	c.t.Helper()
	deadline := time.Now().Add(patience)
	for {
		got := ask(c)
		if strings.Contains(got, want) {
			return
		}
		if time.Now().After(deadline) {
			c.t.Fatalf("it answers %q, want %q in it", got, want)
		}
		time.Sleep(500 * time.Millisecond)
	}
}

func (c realClient) address() string { return fmt.Sprintf("127.0.0.1:%d", c.port) }

func (c realClient) http() string {
	text, err := get(c.t, "http://"+c.address()+"/")
	if err != nil {
		return err.Error()
	}
	return text
}

// redis goes to the twenty-first database.
func (c realClient) redis() string { return redis(c.t, c.port, "SELECT", "20") }

const postgresPassword = "two words'"

// postgres asks with the package's own client for what its configuration says.
func (c realClient) postgres() string {
	psql := exec.CommandContext(c.t.Context(), "chroot", c.root, postgresBin(c.t, c.root)+"/psql", "-At", "-F", " ", "-h", "127.0.0.1", "-p", fmt.Sprint(c.port),
		"-U", "berth", "-d", "postgres", "-c", "SELECT current_setting('cluster_name'), current_setting('work_mem')")
	psql.Env = []string{"PGPASSWORD=" + postgresPassword, "PGCONNECT_TIMEOUT=10", "LC_ALL=C"}
	out, err := psql.CombinedOutput()
	if err != nil {
		return fmt.Sprintf("%v: %s", err, out)
	}
	return string(out)
}

// postgresBin is where the package keeps its programs, seen from the root.
func postgresBin(t *testing.T, root string) string {
	t.Helper()
	found, err := filepath.Glob(filepath.Join(root, "usr/lib/postgresql/*/bin"))
	if err != nil || len(found) != 1 {
		t.Fatalf("PostgreSQL is in %v, %v", found, err)
	}
	return strings.TrimPrefix(found[0], root)
}

// minetest is given a number as a player's program is, and takes its leave.
func (c realClient) minetest() string {
	conn, err := net.Dial("udp", c.address())
	if err != nil {
		return err.Error()
	}
	defer func() { _ = conn.Close() }()
	_ = conn.SetDeadline(time.Now().Add(2 * time.Second))
	protocol := []byte{0x4f, 0x45, 0x74, 0x03}
	say := func(rest ...byte) error {
		_, err := conn.Write(append(bytes.Clone(protocol), rest...))
		return err
	}
	if err := say(0, 0, 0, 1); err != nil { // from nobody yet, on the first channel
		return err.Error()
	}
	answer := make([]byte, 1024)
	n, err := conn.Read(answer)
	if err != nil || n < 14 || !bytes.HasPrefix(answer, protocol) {
		return fmt.Sprintf("%x, %v", answer[:n], err)
	}
	_ = say(answer[12], answer[13], 0, 0, 3) // who it is now leaves
	return "a peer"
}

// mumble joins and reads the message that everybody is greeted with.
func (c realClient) mumble() string {
	dialer := tls.Dialer{NetDialer: &net.Dialer{Timeout: 5 * time.Second}, Config: &tls.Config{InsecureSkipVerify: true}} //nolint:gosec // its certificate is its own
	conn, err := dialer.DialContext(c.t.Context(), "tcp", c.address())
	if err != nil {
		return err.Error()
	}
	defer func() { _ = conn.Close() }()
	_ = conn.SetDeadline(time.Now().Add(10 * time.Second))
	const version, authenticate, serverSync = 0, 2, 5
	send := func(kind uint16, text ...byte) {
		head := endian.BigEndian.AppendUint16(nil, kind)
		_, _ = conn.Write(append(endian.BigEndian.AppendUint32(head, uint32(len(text))), text...)) //nolint:gosec // a few bytes
	}
	send(version, 0x08, 0x84, 0x86, 0x04)                         // 1.3.4
	send(authenticate, 0x0a, 5, 'b', 'e', 'r', 't', 'h', 0x28, 1) // a name, and that it speaks Opus
	for {
		var head [6]byte
		if _, err := io.ReadFull(conn, head[:]); err != nil {
			return err.Error()
		}
		size := endian.BigEndian.Uint32(head[2:])
		if size > 1<<20 {
			return "no message of Mumble"
		}
		text := make([]byte, size)
		if _, err := io.ReadFull(conn, text); err != nil {
			return err.Error()
		}
		if endian.BigEndian.Uint16(head[:]) == serverSync {
			return string(text)
		}
	}
}
