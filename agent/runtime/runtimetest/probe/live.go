package main

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// idle waits until somebody asks for the end.
func idle([]string) error {
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP, syscall.SIGQUIT, syscall.SIGUSR1)
	stopped := make(chan struct{})
	go waitForStop(os.Stdin, stopped)
	fmt.Println("probe: ready")
	select {
	case <-stopped:
		os.Exit(0)
	case s := <-signals:
		if n, ok := s.(syscall.Signal); ok && n != syscall.SIGTERM {
			os.Exit(40 + int(n))
		}
		os.Exit(0)
	}
	return nil
}

// waitForStop closes stopped when a line "stop" arrives. An input that ends
// without one is no reason to stop.
func waitForStop(in io.Reader, stopped chan<- struct{}) {
	scanner := bufio.NewScanner(in)
	for scanner.Scan() {
		if strings.TrimSpace(scanner.Text()) == "stop" {
			close(stopped)
			return
		}
		fmt.Printf("probe: heard %q\n", scanner.Text())
	}
}

func stubborn([]string) error {
	signal.Ignore(syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP, syscall.SIGQUIT, syscall.SIGUSR1)
	fmt.Println("probe: ready")
	_, _ = io.Copy(io.Discard, os.Stdin)
	select {}
}

// serve echoes tcp and udp on a port and idles.
func serve(args []string) error {
	tcp, err := net.Listen("tcp", ":"+args[0])
	if err != nil {
		return err
	}
	udp, err := net.ListenPacket("udp", ":"+args[0])
	if err != nil {
		return err
	}
	go acceptAll(tcp)
	go echoPackets(udp)
	return idle(nil)
}

func acceptAll(l net.Listener) {
	for {
		conn, err := l.Accept()
		if err != nil {
			return
		}
		go answer(conn)
	}
}

// answer gives an HTTP request a page and echoes anything else.
func answer(conn net.Conn) {
	defer func() { _ = conn.Close() }()
	r := bufio.NewReader(conn)
	if start, _ := r.Peek(4); string(start) == "GET " {
		for line := ""; line != "\r\n"; {
			var err error
			if line, err = r.ReadString('\n'); err != nil {
				return
			}
		}
		page := "berth probe\n"
		_, _ = fmt.Fprintf(conn, "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%s", len(page), page)
		return
	}
	_, _ = io.Copy(conn, r)
}

func echoPackets(c net.PacketConn) {
	buf := make([]byte, 64<<10)
	for {
		n, from, err := c.ReadFrom(buf)
		if err != nil {
			return
		}
		_, _ = c.WriteTo(buf[:n], from)
	}
}

func echo([]string) error {
	_, err := io.Copy(os.Stdout, os.Stdin)
	return err
}

func lines(args []string) error {
	n, err := strconv.Atoi(args[0])
	if err != nil {
		return err
	}
	out := bufio.NewWriter(os.Stdout)
	for i := 1; i <= n; i++ {
		_, _ = fmt.Fprintf(out, "line %d\n", i)
	}
	return out.Flush()
}

func exit(args []string) error {
	code, err := strconv.Atoi(args[0])
	if err != nil {
		return err
	}
	os.Exit(code)
	return nil
}

func wait(args []string) error {
	d, err := time.ParseDuration(args[0] + "ms")
	if err != nil {
		return err
	}
	time.Sleep(d)
	return nil
}
