package cli

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"strings"
	"time"

	"github.com/berth-panel/berth/controller/app"
	"github.com/berth-panel/berth/controller/identity"
	"github.com/berth-panel/berth/controller/node"
)

type serveCommand struct {
	Data       string        `help:"Directory of everything the controller keeps." default:"./data" env:"BERTH_DATA" type:"path"`
	Listen     string        `help:"HOST:PORT of the API and the panel." default:"0.0.0.0:8080" env:"BERTH_LISTEN"`
	SFTPListen string        `name:"sftp-listen" help:"HOST:PORT of the controller's own SFTP door, for instances on nodes that can't be dialled; off for none." default:":2222" env:"BERTH_SFTP_LISTEN"`
	PublicURL  string        `help:"What agents and people call, such as https://panel.example.com; made from --listen when absent." env:"BERTH_PUBLIC_URL"`
	Proxies    []string      `name:"trusted-proxy" help:"Address or network of a proxy in front of this, such as 10.0.0.0/8: it says where calls come from, and whether by https. Repeatable." sep:"," env:"BERTH_TRUSTED_PROXY"`
	HSTS       bool          `name:"hsts" help:"Tell browsers that came by https to come by nothing else for a year." env:"BERTH_HSTS"`
	Imports    []string      `name:"import-network" help:"Network beside the public internet from which images may be imported by their address, such as 10.1.0.0/16. Repeatable." sep:"," env:"BERTH_IMPORT_NETWORK"`
	HTTPS      httpsFlags    `embed:""`
	RateLimit  int           `help:"Calls that a key may make in a minute; 0 for any number." default:"100" env:"BERTH_RATE_LIMIT"`
	Placement  string        `help:"Which of the nodes with room a new instance goes to when none is named: spread, the one with the most left, or pack, the least." enum:"spread,pack" default:"spread" env:"BERTH_PLACEMENT"`
	KeepEvents time.Duration `help:"How long the log of events goes back, such as 720h; 0 for ever." default:"2160h" env:"BERTH_KEEP_EVENTS"`
	Metrics    string        `name:"metrics-listen" help:"HOST:PORT where Prometheus reads /metrics without a key: not for the internet. Default: only with an admin's key, where the API is." env:"BERTH_METRICS_LISTEN"`
	LogFormat  string        `help:"text or json." enum:"text,json" default:"text" env:"BERTH_LOG_FORMAT"`
	LogLevel   string        `help:"debug, info, warn or error." enum:"debug,info,warn,error" default:"info" env:"BERTH_LOG_LEVEL"`
}

func (s serveCommand) Run(ctx context.Context, out *output) error {
	log, err := logger(out, s.LogFormat, s.LogLevel)
	if err != nil {
		return err
	}
	proxies, err := parseProxies(s.Proxies)
	if err != nil {
		return err
	}
	imports, err := parseNetworks("--import-network", s.Imports)
	if err != nil {
		return err
	}
	ln, err := (&net.ListenConfig{}).Listen(ctx, "tcp", s.Listen)
	if err != nil {
		return fmt.Errorf("listen on %s: %w; name another HOST:PORT with --listen", s.Listen, err)
	}
	if s.PublicURL == "" {
		s.PublicURL = s.HTTPS.guessURL(ln.Addr())
	}
	a, err := app.New(ctx, app.Config{
		Data: s.Data, PublicURL: strings.TrimRight(s.PublicURL, "/"), RateLimit: s.RateLimit, KeepEvents: s.KeepEvents, SFTPListen: s.SFTPListen, Placement: node.Strategy(s.Placement), MetricsListen: s.Metrics,
		Proxies: proxies, ImportNetworks: imports, HSTS: s.HSTS, TLS: s.HTTPS.options(), HTTPListen: s.HTTPS.HTTPListen, Log: log, Now: time.Now,
		// Secrets are no flags: those are in the list of processes.
		APIKey: os.Getenv(envKey), AdminPassword: os.Getenv(envPassword),
	})
	if err != nil {
		_ = ln.Close()
		return err
	}
	if err := greet(out, a.FirstRun()); err != nil {
		return err
	}
	log.Info("the controller runs", "address", ln.Addr().String(), "url", s.PublicURL, "data", s.Data)
	defer log.Info("the controller has stopped")
	return a.Run(ctx, ln)
}

// parseProxies reads who is trusted to say where calls come from.
func parseProxies(list []string) ([]netip.Prefix, error) {
	out, err := parseNetworks("--trusted-proxy", list)
	for _, network := range out {
		if network.Bits() == 0 {
			return nil, fmt.Errorf("--trusted-proxy %s is the whole world: anybody could say that he comes from anywhere", network)
		}
	}
	return out, err
}

// parseNetworks reads a flag's addresses and networks.
func parseNetworks(flag string, list []string) ([]netip.Prefix, error) {
	out := make([]netip.Prefix, 0, len(list))
	for _, text := range list {
		text = strings.TrimSpace(text)
		if ip, err := netip.ParseAddr(text); err == nil && ip.Zone() == "" {
			ip = ip.Unmap()
			out = append(out, netip.PrefixFrom(ip, ip.BitLen()))
			continue
		}
		network, err := netip.ParsePrefix(text)
		if err != nil {
			return nil, fmt.Errorf("%s %q is neither an address nor a network such as 10.0.0.0/8", flag, text)
		}
		out = append(out, network.Masked())
	}
	return out, nil
}

// What may give the first admin's secrets.
const envKey, envPassword = "BERTH_API_KEY", "BERTH_ADMIN_PASSWORD"

// greet prints the first admin's secrets, the one time that they are known. One
// that was given is known to whoever gave it: it stays out of our output, which
// often goes to a log.
func greet(out *output, first identity.FirstRun) error {
	if !first.Created {
		return nil
	}
	if os.Getenv(envPassword) != "" {
		first.Password = "the one given in " + envPassword
	}
	if os.Getenv(envKey) != "" {
		first.Key = "the one given in " + envKey
	}
	_, err := fmt.Fprintf(out.stdout, "First start. This is shown once:\n  login     %s\n  password  %s\n  API key   %s\n", first.Username, first.Password, first.Key)
	return err
}

// guessURL is where this machine can be reached, as far as it can know; name is
// what it is called, if that is known.
func guessURL(scheme, name string, addr net.Addr) string {
	host, port, err := net.SplitHostPort(addr.String())
	if err != nil {
		return scheme + "://" + addr.String()
	}
	switch ip := net.ParseIP(host); {
	case name != "":
		host = name
	case ip != nil && ip.IsUnspecified():
		host = "127.0.0.1"
		// No packet is sent: this only asks which of our addresses routes outwards.
		if conn, err := net.Dial("udp", "192.0.2.1:9"); err == nil {
			if local, ok := conn.LocalAddr().(*net.UDPAddr); ok {
				host = local.IP.String()
			}
			_ = conn.Close()
		}
	}
	if scheme == "https" && port == "443" {
		return scheme + "://" + host
	}
	return scheme + "://" + net.JoinHostPort(host, port)
}

func logger(out *output, format, level string) (*slog.Logger, error) {
	var l slog.Level
	if err := l.UnmarshalText([]byte(level)); err != nil {
		return nil, err
	}
	options := &slog.HandlerOptions{Level: l}
	if format == "json" {
		return slog.New(slog.NewJSONHandler(out.stderr, options)), nil
	}
	return slog.New(slog.NewTextHandler(out.stderr, options)), nil
}
