package runtime

import (
	"context"
	"io"
	"time"

	"github.com/berth-panel/berth/shared/ident"
)

// Engine is a container engine as the agent needs it. Every method is safe for
// concurrent use, obeys its context, and reports failures as *Failure (see
// Reason) or the context's error. Only containers and networks that carry this
// node's labels are ever listed, changed or removed. Images that were pulled
// carry none: whose they are is for the caller of RemoveImage to know.
type Engine interface {
	// Info asks the engine for its version and the machine's size. A Failure
	// with reason Unreachable means that the engine is away.
	Info(ctx context.Context) (Info, error)

	// Image looks a reference up among the images on this machine: it asks no
	// registry. A miss is a Failure with reason ImageMissing.
	Image(ctx context.Context, reference string) (Image, error)
	// Pull fetches a reference from its registry, which is shown the login if there
	// is one; no other host is. A reference with a digest gets exactly that image.
	// Of an image for several platforms it takes the engine's. progress is called
	// from the pulling goroutine, at most a few times a second, and may be nil.
	Pull(ctx context.Context, reference string, login Login, progress func(PullProgress)) error
	// TryLogin shows a login to the registry of that host and keeps nothing: nil
	// when it is taken, or when the registry asks for none. A Failure with reason
	// ImageDenied says that it is refused.
	TryLogin(ctx context.Context, host string, login Login) error
	// Load makes an image out of a plain tar of its root filesystem. Loading the
	// same again changes nothing; a reference that names an image which no Berth
	// loaded is a Failure with reason Conflict.
	Load(ctx context.Context, reference string, rootfs io.Reader, config ImageConfig) error

	// Images gives every image on this machine, whoever brought it.
	Images(ctx context.Context) ([]StoredImage, error)
	// RemoveImage takes an image away, with all its tags; one that is gone is no
	// error. One that any container on the engine uses, running or not, or that
	// another image is made of, is a Failure with reason Conflict, and stays.
	RemoveImage(ctx context.Context, id string) error

	// EnsureNetwork makes Berth's own bridge when it is missing: containers on
	// it can't reach each other. An existing one with another subnet, or of
	// somebody else's making, is a Failure with reason Conflict. Nodes that share
	// an engine share the network.
	EnsureNetwork(ctx context.Context, spec NetworkSpec) error

	// Create makes a container and does not start it. A container of that name
	// already there is a Failure with reason Conflict, a spec that is not Valid
	// or that the engine refuses one with reason InvalidSpec.
	Create(ctx context.Context, spec ContainerSpec) (ContainerID, error)
	// Start starts a container; one that runs already is left alone. When it
	// fails the container stays as it was, with Container.Error set where the
	// engine itself refused, and may be started again later.
	Start(ctx context.Context, id ContainerID) error
	// Stop asks the container to end in the way that how says, waits at most
	// how.Grace, then kills. It returns once the container is down; one that is
	// down already is left alone. Cancelling ctx leaves the container be. Stop,
	// Kill and Start of a container that is gone are Failures with reason Missing.
	Stop(ctx context.Context, id ContainerID, how StopSpec) error
	// Kill ends the container at once (SIGKILL) and returns once it is down.
	Kill(ctx context.Context, id ContainerID) error
	// Remove kills and removes the container; one that is gone is no error. One
	// that is there and is not this node's is a Failure with reason Missing.
	Remove(ctx context.Context, id ContainerID) error
	// Inspect looks at one container. A miss is a Failure with reason Missing.
	Inspect(ctx context.Context, id ContainerID) (Container, error)
	// List gives every container that carries this node's label, in any state.
	List(ctx context.Context) ([]Container, error)
	// Glance is a List that costs the engine one call: of each container only ID,
	// Name, Instance, Role, Generation, SpecHash, ImageID, Status, Network and MAC are
	// filled in, as Inspect would say them.
	Glance(ctx context.Context) ([]Container, error)
	// Stats is what a running container has used so far: one sample. A container
	// that doesn't run is a Failure with reason Conflict, one that is gone or not
	// this node's one with reason Missing.
	Stats(ctx context.Context, id ContainerID) (Usage, error)
	// Repair gives a container back what can be given back in place, whether it
	// runs or not: its name, its limits and its one network as spec has them, no
	// restarts by the engine, and it is not paused. What is so already is left
	// alone, and nothing is interrupted that runs. A name that another container
	// has is a Failure with reason Conflict, a container that is gone one with
	// reason Missing; after any other the rest may be as it was.
	Repair(ctx context.Context, id ContainerID, spec ContainerSpec) error
	// ReadFile gives one regular file (links inside the container's root are
	// followed there), at most limit bytes of it. The container needs not run.
	ReadFile(ctx context.Context, id ContainerID, path string, limit int64) ([]byte, error)

	// Attach opens the container's streams: what it prints from now on, and its
	// stdin. One that does not run may be attached to: then nothing of its next run
	// is missed. One that is gone is a Failure with reason Missing. ctx bounds the
	// opening only.
	Attach(ctx context.Context, id ContainerID) (Attachment, error)
	// Log calls handle for each part of what the container printed up to now, over
	// all its runs and as far as the engine still has it, in its order. It ends with
	// handle's error.
	Log(ctx context.Context, id ContainerID, which LogRange, handle func(LogPart) error) error
	// Resize gives the container's terminal a size in characters. Without a terminal
	// it is nothing; one that does not run is a Failure with reason Conflict.
	Resize(ctx context.Context, id ContainerID, rows, columns uint16) error

	// Watch calls handle for each change of this node's containers, from one
	// goroutine, until ctx ends or the engine breaks off; it returns why. ready
	// is called once the stream stands: what changed before must be listed, what
	// changes after is handled. An engine that breaks off, or changes that come
	// faster than handle takes them for long, end it with reason Unreachable.
	Watch(ctx context.Context, ready func(), handle func(Change)) error

	// Close frees the client; the containers stay as they are.
	Close() error
}

// ContainerID is the engine's own name of a container.
type ContainerID string

// Info describes the engine and its machine.
type Info struct {
	Engine       string // "docker"
	Version      string // "20.10.24"
	OS           string // "Debian GNU/Linux 12 (bookworm)"
	Kernel       string
	Arch         string // Go's name: "amd64", "arm64"
	Cores        int
	MemoryBytes  int64
	StorageBytes int64 // size of the filesystem that holds the engine's data; 0 when unknown
	StorageFree  int64 // what of it is free, in bytes
}

// Image is what we need of an image on this machine.
type Image struct {
	ID         string // "sha256:…"
	Digest     string // "sha256:…" as its registry calls it, for the repository that was asked for; "" for one that came from none
	User       string // as the image says: "", "1000", "1000:1000", "redis"
	Entrypoint []string
	Command    []string
	WorkingDir string
	SizeBytes  int64
}

// StoredImage is an image on this machine, as Images lists it.
type StoredImage struct {
	ID   string   // "sha256:…"
	Tags []string // its tags as FullName gives them, sorted; none when it was pulled by its digest, or its tag has moved on
	Used bool     // a container on this engine is made from it, whoever made that and in any state
}

// ImageConfig is the config of an image that Load makes.
type ImageConfig struct {
	Entrypoint []string
	Env        []string
	WorkingDir string
	User       string
	Ports      []uint16 // documented as exposed
}

// PullProgress is the sum over an image's layers. Total grows while layers are
// discovered; both are 0 while the registry is being asked.
type PullProgress struct {
	DoneBytes, TotalBytes int64
	Message               string // "Downloading", "Extracting"
	// Layers are what the sum is made of, in the registry's order; what this machine
	// had already is not among them. The slice is the receiver's.
	Layers []LayerProgress
}

// LayerProgress is how far one layer is.
type LayerProgress struct {
	ID                    string // "3f4d90098f5b"
	State                 LayerState
	DoneBytes, TotalBytes int64 // of what is downloaded
}

// LayerState is what happens to a layer.
type LayerState string

// The states of a layer, in their order.
const (
	LayerWaiting     LayerState = "waiting"
	LayerDownloading LayerState = "downloading"
	LayerExtracting  LayerState = "extracting"
	LayerDone        LayerState = "done"
)

// NetworkSpec is Berth's bridge on the node.
type NetworkSpec struct {
	Name   string // "berth"
	Subnet string // CIDR; "" leaves the choice to the engine
}

// Protocol is how a port is published.
type Protocol string

// The protocols of a published port.
const (
	TCP Protocol = "tcp"
	UDP Protocol = "udp"
)

// Port publishes one port of the container.
type Port struct {
	HostIP    string // "0.0.0.0", "::", or an address of the node
	Host      uint16
	Container uint16
	Protocol  Protocol
}

// Mount binds a directory of the host into the container.
type Mount struct {
	Source   string // absolute path on the host
	Target   string // absolute path in the container
	ReadOnly bool   `json:",omitempty"`
}

// Role is what a container is for.
type Role string

// The roles.
const (
	RoleMain    Role = ""        // the instance itself
	RoleInstall Role = "install" // it prepares the instance's volume, and ends
)

// ContainerSpec is a container to make. What every container of Berth has is
// not in it but in each engine: an init process, no capabilities but the few
// that common entrypoints need, no new privileges, rotating logs, no restart
// policy (the agent restarts), open stdin.
type ContainerSpec struct {
	Name        string
	Instance    ident.Instance
	Role        Role
	Generation  int64
	SpecHash    string   // of all that needs a new container when it changes
	Image       string   // reference, or ID
	Entrypoint  []string // nil keeps the image's
	Command     []string // nil keeps the image's, but drops it where Entrypoint is given
	Env         []string // "NAME=value"
	User        string   // "" keeps the image's
	WorkingDir  string   // "" keeps the image's
	TTY         bool
	MemoryBytes int64 // hard limit, and no swap on top
	NanoCPUs    int64 // 1e9 is one core
	PidsLimit   int64 // 0 is the engine's default (Berth's, never "none")
	Ports       []Port
	Mounts      []Mount
	Network     string // one that EnsureNetwork made; "" is no network at all
	MAC         string // hardware address on Network, "02:be:01:23:ab:cd"; "" leaves it to the engine
	Hostname    string
}

// StopSpec says how a container is asked to end.
type StopSpec struct {
	Command string        // written to its stdin with a newline; wins over Signal
	Signal  string        // "SIGINT"; "" is the image's own, or SIGTERM
	Grace   time.Duration // then SIGKILL
}

// Status is what the engine says of a container.
type Status string

// The statuses of a container.
const (
	Created    Status = "created" // never started
	Running    Status = "running"
	Paused     Status = "paused" // by hand: Berth never pauses
	Restarting Status = "restarting"
	Exited     Status = "exited"
	Dead       Status = "dead" // half removed
)

// Container is what the engine knows of one container.
type Container struct {
	ID         ContainerID
	Name       string
	Instance   ident.Instance // from its label
	Role       Role           // from its label
	Generation int64          // from its label
	SpecHash   string         // from its label
	ImageID    string
	Status     Status
	ExitCode   int
	OOMKilled  bool
	Error      string // why it could not be started, as a sentence; "" when it could
	StartedAt  time.Time
	FinishedAt time.Time
	Pid        int // of its first process, as the engine's machine counts; 0 while it doesn't run
	// Held says of one that has ended that it is up yet, with its mounts, its network
	// and its streams, and without a process of its program's: a Start that comes soon
	// begins the program again in it; otherwise all that is gone within seconds.
	Held bool

	// What it is held by now, which somebody may have changed by hand.
	MemoryBytes int64  // 0 on a machine whose kernel can't hold it
	NanoCPUs    int64  // likewise
	PidsLimit   int64  // likewise; -1 when the limit was taken away
	Network     string // the network that it is on; several, sorted, with commas between; "" is none
	MAC         string // that it was made with; "" when that was left to the engine
	Restarts    bool   // the engine itself would start it again

	Health Health // what the image's own check says; "" where it has none
}

// Health is what a container's own check says of it.
type Health string

// The healths.
const (
	HealthStarting Health = "starting" // it was not asked often enough yet
	Healthy        Health = "healthy"
	Unhealthy      Health = "unhealthy"
)

// ChangeKind is what happened to a container.
type ChangeKind string

// The kinds of a Change.
const (
	Started   ChangeKind = "started"
	Died      ChangeKind = "died"
	OOM       ChangeKind = "oom"       // a process in it ran out of memory; the container may live on
	Signalled ChangeKind = "signalled" // somebody let the engine send it a signal, as Stop and Kill do; told before what comes of it
	Removed   ChangeKind = "removed"
	Other     ChangeKind = "other" // paused, renamed, updated, of another health, …: look at it again
)

// Change is one thing that happened to a container of this node. It says only
// that a look is due: the truth is Inspect.
type Change struct {
	Kind     ChangeKind
	ID       ContainerID
	Instance ident.Instance
	Role     Role
	At       time.Time // by the engine's clock, as Container's times
	Signal   int       // the number of it, with Signalled; 0 when unknown
}
