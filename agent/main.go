// Command berth-agent runs on a node: it hosts the instances that its controller
// asks for.
package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"os/signal"
	"path/filepath"
	"runtime/debug"
	"strconv"
	"syscall"
	"time"

	"github.com/alecthomas/kong"

	"github.com/berth-panel/berth/agent/app"
	"github.com/berth-panel/berth/agent/demo"
	"github.com/berth-panel/berth/agent/enrol"
	"github.com/berth-panel/berth/agent/tidy"
	"github.com/berth-panel/berth/agent/update"
	"github.com/berth-panel/berth/shared/build"
	"github.com/berth-panel/berth/shared/wire"
)

type commands struct {
	Enrol   enrolCommand   `cmd:"" help:"Let this machine join a controller."`
	Serve   serveCommand   `cmd:"" help:"Run the agent."`
	Unmount unmountCommand `cmd:"" help:"Take the mounts of a data directory away, before it is deleted."`
	Version versionCommand `cmd:"" help:"Say which release this is."`
	Demo    demoCommand    `cmd:"" hidden:"" help:"Be the demo image's server."`
}

func main() {
	// A small live heap should not grow to twice its size before it is collected:
	// the memory of a node belongs to the instances. GOGC still has the last word.
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(50)
	}
	releases := openReleases()
	var c commands
	parsed := kong.Parse(&c, kong.Name("berth-agent"), kong.Description("The part of Berth that runs on each node."), kong.UsageOnError(),
		kong.DefaultEnvars("BERTH_AGENT")) // the service keeps its settings in a file of those
	parsed.Bind(releases)
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	parsed.BindTo(ctx, (*context.Context)(nil))
	if err := parsed.Run(); err != nil {
		stop()
		fmt.Fprintln(os.Stderr, "berth-agent:", err)
		os.Exit(1)
	}
}

// openReleases looks after an update before anything else is done, the reading
// of the command line included: a new release may fail by that already, and
// must be taken back then. The directory comes from the service's unit.
func openReleases() *update.Updater {
	o := update.Options{Log: slog.New(slog.NewTextHandler(os.Stderr, nil)), Now: time.Now, Args: os.Args}
	if len(os.Args) > 1 && os.Args[1] == "serve" {
		o.Dir = os.Getenv("BERTH_AGENT_RELEASES")
	}
	return update.Open(o)
}

type enrolCommand struct {
	Controller string   `required:"" help:"The controller's URL, such as http://panel.example:8080."`
	Key        string   `required:"" env:"BERTH_ENROLMENT_KEY" help:"The enrolment key that the controller shows."`
	Data       string   `required:"" type:"path" help:"Data directory of the agent; made when it is missing."`
	Force      bool     `help:"Replace the identity that is there."`
	Name       string   `help:"Name of the node, with a join key. Default: the host's name."`
	Address    string   `help:"Address at which the controller reaches the agent, with a join key. Default: where the request comes from."`
	Port       int      `help:"Port of the agent, with a join key. Default: 8443."`
	Tags       []string `help:"Tags of the node, with a join key."`
	Tunnel     bool     `help:"The controller can't dial this machine: the agent will open a tunnel to it."`
	MemoryMiB  int64    `name:"memory-mib" help:"Memory that instances may use, with a join key. Default: the machine's."`
	DiskMiB    int64    `name:"disk-mib" help:"Disk that instances may use, with a join key. Default: the size of the data directory's filesystem."`
}

// Run is kong's entry.
func (c *enrolCommand) Run(ctx context.Context) error {
	listen := "" // a node's own key leaves the port to what the controller was told
	if c.Tunnel {
		listen = " --tunnel"
	} else if c.Port != 0 {
		listen = " --listen " + net.JoinHostPort("", strconv.Itoa(c.Port))
	}
	if c.Port == 0 {
		c.Port = 8443
	}
	if c.Port < 1 || c.Port > 65535 {
		return fmt.Errorf("--port must be 1 to 65535")
	}
	if c.Name == "" {
		c.Name, _ = os.Hostname() // "" lets the controller choose
	}
	if c.MemoryMiB == 0 {
		c.MemoryMiB = memoryMiB()
	}
	if c.DiskMiB == 0 {
		c.DiskMiB = diskMiB(c.Data)
	}
	identity, err := enrol.Enrol(ctx, enrol.Options{
		Controller: c.Controller, Key: c.Key, Dir: c.Data, Force: c.Force, Now: time.Now,
		Agent: wire.EnrolAgent{Name: c.Name, Address: c.Address, Port: c.Port, Tags: c.Tags, MemoryMiB: c.MemoryMiB, DiskMiB: c.DiskMiB, Tunnel: c.Tunnel},
	})
	if err != nil {
		return err
	}
	where := ", at the address and port that the controller knows it by"
	if c.Tunnel {
		where = ""
	}
	fmt.Printf("Enrolled as node %s of %s.\nNow run%s: berth-agent serve --data %s%s\n",
		identity.Node, identity.Controller, where, c.Data, listen)
	return nil
}

type serveCommand struct {
	Data           string         `required:"" type:"path" help:"Data directory of the agent."`
	Listen         string         `default:":8443" help:"HOST:PORT where the controller calls."`
	Tunnel         bool           `help:"Open a tunnel to the controller instead, and listen nowhere: for a machine that it can't dial."`
	SFTPListen     string         `name:"sftp-listen" default:":2022" help:"HOST:PORT of the SFTP door; off for none: the controller's is left then."`
	DockerHost     string         `help:"The Docker Engine's address. Default: DOCKER_HOST, or Docker's own socket."`
	Network        string         `default:"berth" help:"Name of the bridge network of the instances."`
	NetworkSubnet  string         `help:"Subnet of that network, such as 172.30.0.0/16. Default: Docker's choice."`
	PidsLimit      int64          `default:"512" help:"Processes that an instance may have, unless its own settings say otherwise."`
	NoDemo         bool           `help:"Don't make the demo image."`
	NoFirewall     bool           `help:"Don't limit what instances reach beside the internet."`
	AllowDownloads []netip.Prefix `help:"Private networks (CIDR) from which installs may download."`
	Volumes        string         `enum:"auto,pool-image,image,project,directory" default:"auto" help:"How disk limits are held: ${enum}. auto takes the first that works; another one must."`
	KeepImages     time.Duration  `default:"168h" help:"How long an image stays that was pulled and that nothing uses any more; at least 1h."`
	FreeSpace      int            `default:"10" help:"Percent of the engine's disk that are kept free by clearing such images earlier; 0 never does."`
	MetricsListen  string         `help:"HOST:PORT where Prometheus reads /metrics, without a key: not for the internet. Default: nowhere."`
	LogFormat      string         `enum:"text,json" default:"text" help:"text or json."`
	LogLevel       slog.Level     `default:"info" help:"debug, info, warn or error."`
}

// Run is kong's entry.
func (c *serveCommand) Run(ctx context.Context, releases *update.Updater) error {
	return releases.Run(ctx, func(ctx context.Context) error { return c.serve(ctx, releases) })
}

func (c *serveCommand) serve(ctx context.Context, releases *update.Updater) error {
	if c.PidsLimit < 1 {
		return errors.New("--pids-limit must be 1 or more")
	}
	if c.KeepImages < tidy.Recent || c.FreeSpace < 0 || c.FreeSpace > 90 {
		return errors.New("--keep-images must be 1h or more, and --free-space 0 to 90")
	}
	if c.FreeSpace == 0 {
		c.FreeSpace = -1 // never
	}
	options := &slog.HandlerOptions{Level: c.LogLevel}
	var handler slog.Handler = slog.NewTextHandler(os.Stderr, options)
	if c.LogFormat == "json" {
		handler = slog.NewJSONHandler(os.Stderr, options)
	}
	agent, err := app.New(c.config(), app.Deps{Releases: releases, Log: slog.New(handler), Now: time.Now})
	if err != nil {
		return err
	}
	return agent.Run(ctx)
}

// config is what the flags say.
func (c *serveCommand) config() app.Config {
	return app.Config{
		Data: c.Data, Listen: c.Listen, SFTPListen: c.SFTPListen, Tunnel: c.Tunnel, DockerHost: c.DockerHost, NetworkName: c.Network, NetworkSubnet: c.NetworkSubnet,
		PidsLimit: c.PidsLimit, NoDemo: c.NoDemo, NoFirewall: c.NoFirewall, AllowDownloads: c.AllowDownloads, KeepImages: c.KeepImages, FreeSpace: c.FreeSpace, MetricsListen: c.MetricsListen,
		Volumes: c.Volumes,
	}
}

type unmountCommand struct {
	Data string `required:"" type:"path" help:"Data directory of the agent, which must not run."`
}

// Run is kong's entry.
func (c *unmountCommand) Run() error {
	if err := app.UnmountVolumes(c.Data); err != nil {
		return err
	}
	return app.RemoveFirewall(c.Data)
}

type versionCommand struct{}

// Run is kong's entry.
func (versionCommand) Run() error {
	_, err := fmt.Printf("berth-agent %s, wire %d\n", build.Version, wire.Version)
	return err
}

type demoCommand struct {
	Build string `help:"Names the build that the image was made from; not used here."`
}

// Run is kong's entry.
func (demoCommand) Run(ctx context.Context) error {
	host, _ := os.Hostname() // "" shows no name
	return demo.Serve(ctx, demo.Options{
		Port: os.Getenv("PRIMARY_PORT"), Greeting: os.Getenv("GREETING"), Host: host,
		In: os.Stdin, Out: os.Stdout, Now: time.Now,
	})
}

// memoryMiB is the machine's memory; 0 when it can't be told.
func memoryMiB() int64 {
	var info syscall.Sysinfo_t
	if err := syscall.Sysinfo(&info); err != nil {
		return 0
	}
	return int64(uint64(info.Totalram) * uint64(info.Unit) >> 20)
}

// diskMiB is the size of the filesystem that will hold dir; 0 when it can't be told.
func diskMiB(dir string) int64 {
	for {
		var stat syscall.Statfs_t
		err := syscall.Statfs(dir, &stat)
		if err == nil {
			return int64(stat.Blocks * uint64(stat.Bsize) >> 20)
		}
		parent := filepath.Dir(dir)
		if !errors.Is(err, syscall.ENOENT) || parent == dir {
			return 0
		}
		dir = parent
	}
}
