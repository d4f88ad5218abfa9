package demo

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"
)

const defaultPort = 8080

// Options are what the demo server works with.
type Options struct {
	Port     string // "" is 8080
	Greeting string // the page's heading; "" shows Host
	Host     string
	Volume   string // where the counter is kept; "" is /app/data
	Cgroups  string // "" is /sys/fs/cgroup
	In       io.Reader
	Out      io.Writer
	Now      func() time.Time
}

// server is the running demo.
type server struct {
	Options
	began time.Time
	out   sync.Mutex
	hits  counter
}

// Serve runs the demo until ctx ends or the console says stop; both are a good
// end and answer nil.
func Serve(ctx context.Context, o Options) error {
	if o.Volume == "" {
		o.Volume = dataDir
	}
	if o.Cgroups == "" {
		o.Cgroups = "/sys/fs/cgroup"
	}
	if o.Port == "" {
		o.Port = strconv.Itoa(defaultPort)
	}
	if _, err := strconv.ParseUint(o.Port, 10, 16); err != nil {
		return fmt.Errorf("PRIMARY_PORT is %q, not a port", o.Port)
	}
	s := &server{Options: o, began: o.Now(), hits: counter{dir: o.Volume}}
	var listen net.ListenConfig
	tcp, err := listen.Listen(ctx, "tcp", ":"+o.Port)
	if err != nil {
		return fmt.Errorf("listen on tcp: %w", err)
	}
	_, port, _ := net.SplitHostPort(tcp.Addr().String())
	udp, err := listen.ListenPacket(ctx, "udp", ":"+port)
	if err != nil {
		_ = tcp.Close()
		return fmt.Errorf("listen on udp: %w", err)
	}
	return s.run(ctx, tcp, udp, port)
}

func (s *server) run(ctx context.Context, tcp net.Listener, udp net.PacketConn, port string) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	web := &http.Server{Handler: s, ReadHeaderTimeout: 5 * time.Second, IdleTimeout: 30 * time.Second, MaxHeaderBytes: 16 << 10}
	var parts sync.WaitGroup
	parts.Go(func() { _ = web.Serve(tcp); stop() })
	parts.Go(func() { echo(udp); stop() })
	go s.console(stop) // ends with the process: a read of stdin can't be interrupted
	// "ready on port" is the catalogue's ready line of this image (controller/image).
	s.say("Berth demo, ready on port %s (tcp and udp). Type help.", port)
	<-ctx.Done()
	s.say("Bye.")
	_ = web.Close()
	_ = udp.Close()
	parts.Wait()
	return nil
}

// echo answers every datagram with itself.
func echo(conn net.PacketConn) {
	buffer := make([]byte, 64<<10)
	for {
		n, from, err := conn.ReadFrom(buffer)
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err == nil {
			_, _ = conn.WriteTo(buffer[:n], from)
		}
	}
}

// console answers lines. The end of the input ends the console, not the demo.
func (s *server) console(stop func()) {
	if s.In == nil {
		return
	}
	lines := bufio.NewScanner(s.In)
	for lines.Scan() {
		switch line := strings.TrimSpace(lines.Text()); line {
		case "":
		case "help":
			s.say("help: this list\nstatus: what this instance was given\nstop: end the demo\nAnything else is echoed.")
		case "status":
			s.say("%s", s.look().text())
		case "stop":
			stop()
			return
		default:
			s.say("You said: %s", line)
		}
	}
}

func (s *server) say(format string, args ...any) {
	s.out.Lock()
	defer s.out.Unlock()
	_, _ = fmt.Fprintf(s.Out, format+"\n", args...)
}
