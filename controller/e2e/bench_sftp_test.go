package e2e

import (
	"fmt"
	"net"
	"net/http"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"
)

const (
	guesses     = 10_000
	guessers    = 64 // as many strangers as the door lets in, each from another address every time
	mostGuessMB = 64 // of the agent, at any time
)

// guess tries three passwords of a user, from an address of the loopback's net.
func (d sftpDoor) guess(n int64, tried *atomic.Int64) (in bool) {
	from := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 1, byte(n>>8), byte(n))}, Timeout: patience}
	conn, err := from.Dial("tcp", net.JoinHostPort(d.Host, strconv.Itoa(d.Port)))
	if err != nil {
		return false
	}
	defer func() { _ = conn.Close() }()
	word := ssh.PasswordCallback(func() (string, error) { return fmt.Sprint("guess ", tried.Add(1)), nil })
	_, _, _, err = ssh.NewClientConn(conn, "", &ssh.ClientConfig{User: fmt.Sprintf("user%d.%08x", n%100, n),
		Auth: []ssh.AuthMethod{ssh.RetryableAuthMethod(word, 3)}, HostKeyCallback: ssh.InsecureIgnoreHostKey(), Timeout: patience}) //nolint:gosec // a guesser doesn't care
	return err == nil
}

// BenchmarkSFTPGuesses measures what 10,000 guesses of passwords leave of the
// agent's memory. That a key still opens the door is tested in agent/sftp.
func BenchmarkSFTPGuesses(b *testing.B) {
	p := startPrograms(b)
	h := p.addProgramHost(1 << 20)
	var n data[struct {
		Engine struct {
			SFTP *struct {
				Port    int
				HostKey string `json:"host_key"`
			}
		}
	}]
	p.must(http.StatusOK, "GET", "/api/v1/nodes/"+string(h.id), nil, &n)
	if n.Data.Engine.SFTP == nil {
		b.Fatal("the node serves no SFTP")
	}
	before := resident(b, h.process.pid)
	door := sftpDoor{Host: "127.0.0.1", Port: n.Data.Engine.SFTP.Port, HostKey: n.Data.Engine.SFTP.HostKey}
	var tried, connections atomic.Int64
	var workers sync.WaitGroup
	began := time.Now()
	for range guessers {
		workers.Go(func() {
			for tried.Load() < guesses {
				if door.guess(connections.Add(1), &tried) {
					b.Error("a guess came in")
					return
				}
			}
		})
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		workers.Wait()
	}()
	most := before
	for running := true; running; {
		select {
		case <-done:
			running = false
		case <-time.After(100 * time.Millisecond):
		}
		most = max(most, resident(b, h.process.pid))
	}
	b.Logf("%d guesses on %d connections in %s; %.1f MB resident before", tried.Load(), connections.Load(), time.Since(began).Round(time.Second), before)
	figure(b, "agent, MB resident at the most during 10,000 guesses over SFTP", most, "at most", mostGuessMB)
	b.ReportMetric(most, "MB")
	b.ReportMetric(0, "ns/op")
}
