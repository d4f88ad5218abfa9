package wire

import (
	"time"

	"github.com/berth-panel/berth/shared/ident"
	"github.com/berth-panel/berth/shared/problem"
)

// Spec is all that an agent needs to know of one instance: what should be. The
// controller raises Generation with every change; an agent ignores a spec whose
// generation is lower than the one that it holds.
type Spec struct {
	Instance   ident.Instance `json:"instance"`
	Generation int64          `json:"generation"`
	// Revision is drawn anew with each generation. Two specs of the same number differ
	// in it: a controller whose database was put back from a copy counts on from an
	// older one. "" in those that were made before there was any.
	Revision string `json:"revision,omitempty"`

	Image   ImageSpec `json:"image"`
	Env     []string  `json:"env"` // "NAME=value", complete and in order
	Limits  Limits    `json:"limits"`
	Ports   []Port    `json:"ports"`
	Volume  string    `json:"volume"` // where the volume is mounted in the container
	TTY     bool      `json:"tty"`
	Stop    Stop      `json:"stop"`
	Install Install   `json:"install"`
	Patches []Patch   `json:"patches,omitempty"` // of files, before each start

	Power     Power `json:"power"`
	Suspended bool  `json:"suspended"` // wins over Power: stopped, and stays so
	// Hold ends what is under way and leaves everything as it then is: a cancelled
	// deployment. The answer is a converged state.
	Hold bool `json:"hold,omitempty"`
	// Copied says that the volume has come from another node (see move.go): it is
	// taken over as it is, and nothing is installed.
	Copied bool `json:"copied,omitempty"`
	// Drift is what the agent does about a container that was changed, stopped or
	// removed by hand; "" is DriftRepair.
	Drift Drift `json:"drift,omitempty"`

	Ready   Ready   `json:"ready,omitzero"`
	Crash   Crash   `json:"crash,omitzero"`
	Network Network `json:"network,omitzero"`
	// Installed says that the volume was ready once: that it is gone is a failure,
	// never a reason to begin with an empty one.
	Installed bool `json:"installed,omitempty"`
	// Wipe counts the orders to throw the volume away and install anew. An agent
	// carries out each number once; while the volume is as the last one left it,
	// Installed means nothing for it.
	Wipe int64 `json:"wipe,omitempty"`
	// Reinstall counts the orders to install again over what the volume holds; an
	// agent carries out each number once, too.
	Reinstall int64 `json:"reinstall,omitempty"`
	// Convert asks that a plain directory becomes what the node's driver makes, at
	// the next start; see volume.go.
	Convert bool `json:"convert,omitempty"`
	// Moving says that the volume is on its way between nodes: the instance stays
	// down and no writer but the move touches it.
	Moving bool `json:"moving,omitempty"`
}

// Ready says when a start has succeeded. Without lines and without a health check
// in the image, that is at once.
type Ready struct {
	// Lines of the console that say so, any of them: text that the line holds, or
	// "regex:" and an expression of Go's (RE2). At most 16 of 512 bytes each.
	Lines []string `json:"lines,omitempty"`
	// WithinSeconds is after how long a start that is not ready is said to be
	// overdue (State.Overdue): 0 is 300. Nothing is stopped for it.
	WithinSeconds int `json:"within_seconds,omitempty"`
}

// Crash is what an agent does about a container that ended by itself. The zero
// value is: restart after errors, five crashes within ten minutes are too many,
// waits of 0 s, 1 s, 2 s … up to 5 min, and a run of ten minutes clears the record.
type Crash struct {
	Restart       Restart `json:"restart,omitempty"`        // "" is on-failure
	CleanCodes    []int   `json:"clean_codes,omitempty"`    // that count as no error, beside 0
	Limit         int     `json:"limit,omitempty"`          // so many within the window are too many; 0 is 5; -1 never
	WindowSeconds int     `json:"window_seconds,omitempty"` // 0 is 600
	QuietSeconds  int     `json:"quiet_seconds,omitempty"`  // a run of that length clears the record; 0 is 600
}

// Restart says after which ends an instance is started again.
type Restart string

// The policies of Restart.
const (
	RestartOnFailure Restart = "on-failure" // after an error, and for want of memory
	RestartAlways    Restart = "always"     // after every end by itself
	RestartNever     Restart = "never"
)

// Drift is a policy about what was done to a container by hand.
type Drift string

// The policies.
const (
	DriftRepair Drift = "repair" // put it right
	DriftReport Drift = "report" // leave it, and say so in State.Drift; the next order puts it right
)

// ImageSpec is what the container is made from.
type ImageSpec struct {
	Reference  string   `json:"reference"`
	Entrypoint []string `json:"entrypoint,omitempty"` // none keeps the image's
	Command    []string `json:"command,omitempty"`    // none keeps the image's
	// Pull is when the reference is asked for; see registry.go.
	Pull PullPolicy `json:"pull,omitempty"`
	// Digest pins it: "sha256:…" of what the reference meant when it was pinned.
	Digest string `json:"digest,omitempty"`
}

// Limits hold the container. All are positive.
type Limits struct {
	MemoryMiB int64 `json:"memory_mib"`
	NanoCPUs  int64 `json:"nano_cpus"` // 1e9 is one core
	DiskMiB   int64 `json:"disk_mib"`
	Pids      int64 `json:"pids"` // 0 leaves it to the agent's default
	// What the volume's disk may be read and written with, in bytes and operations
	// a second; 0 is no limit.
	ReadBytes  int64 `json:"read_bytes,omitempty"`
	WriteBytes int64 `json:"write_bytes,omitempty"`
	ReadOps    int64 `json:"read_ops,omitempty"`
	WriteOps   int64 `json:"write_ops,omitempty"`
}

// Port publishes one port on tcp and udp.
type Port struct {
	IP        string `json:"ip"` // the node's bind address
	Host      uint16 `json:"host"`
	Container uint16 `json:"container"`
	Primary   bool   `json:"primary,omitempty"` // for views; the container is told by PRIMARY_PORT
}

// Stop says how the container is asked to end.
type Stop struct {
	Command      string `json:"command,omitempty"` // a line for its stdin; wins over Signal
	Signal       string `json:"signal,omitempty"`  // "SIGINT"; none is the image's own
	GraceSeconds int    `json:"grace_seconds"`     // then it is killed
}

// Install prepares a new volume before the first start.
type Install struct {
	Downloads []Download `json:"downloads,omitempty"`
	// Replace is put, once, in place of {{NAME}} into the text files of the volume's
	// top level that were downloaded. What is no UTF-8, or larger than 4 MiB, is left.
	Replace map[string]string `json:"replace,omitempty"`
	// Script is run after the downloads; what the volume then holds belongs to the
	// image's user.
	Script *Script `json:"script,omitempty"`
	// Secrets are texts that the console and the logs of the installation don't show.
	Secrets []string `json:"secrets,omitempty"`
}

// Download is one file that is put into the volume.
type Download struct {
	URL    string `json:"url"`
	Path   string `json:"path"`             // relative to the volume's root
	SHA256 string `json:"sha256,omitempty"` // in hex, that it must have
}

// Want is what a power order asks for.
type Want string

// The wants.
const (
	WantRunning Want = "running"
	WantStopped Want = "stopped"
)

// Power is the last power order. Order counts them: an agent carries out each
// number once, so that a spec that is sent again restarts nothing.
type Power struct {
	Want    Want  `json:"want"`
	Order   int64 `json:"order"`
	Restart bool  `json:"restart,omitempty"` // with WantRunning: stop it first if it runs
	Force   bool  `json:"force,omitempty"`   // with WantStopped: kill, don't ask
}

// Removal orders that an instance, its container and its volume go away.
type Removal struct {
	Generation int64 `json:"generation"`
}

// Accepted answers a Spec or a Removal that is journalled.
type Accepted struct {
	Generation int64 `json:"generation"` // the one the agent holds now
}

// Install phases of an instance.
type Phase string

// The phases. installing → ready or failed; failed → installing by a new generation.
const (
	PhaseInstalling Phase = "installing"
	PhaseReady      Phase = "ready"
	PhaseFailed     Phase = "failed"
)

// Actual is what a container does.
type Actual string

// The actual states.
const (
	ActualUnknown  Actual = "unknown" // nobody has looked yet
	ActualStarting Actual = "starting"
	ActualRunning  Actual = "running"
	ActualStopping Actual = "stopping"
	ActualStopped  Actual = "stopped"
	ActualCrashed  Actual = "crashed" // ended by itself with an error; see ExitCode, OOM, RetryAt
)

// State is what an agent says of one instance.
type State struct {
	Phase     Phase            `json:"phase"`
	Actual    Actual           `json:"actual"`
	Converged bool             `json:"converged"` // what Generation asked is done, or has failed for good
	Failure   *problem.Problem `json:"failure,omitempty"`
	Container string           `json:"container,omitempty"` // the engine's id
	Digest    string           `json:"digest,omitempty"`    // of the image that it is made from, "sha256:…", as its registry calls it
	ExitCode  *int             `json:"exit_code,omitempty"`
	OOM       bool             `json:"oom,omitempty"`
	StartedAt *time.Time       `json:"started_at,omitempty"`
	RetryAt   *time.Time       `json:"retry_at,omitempty"` // when a crashed one is started again
	// Drift says, as a sentence, what was done by hand and is left so.
	Drift string `json:"drift,omitempty"`

	ReadyAt *time.Time `json:"ready_at,omitempty"` // when this run was ready; none while starting
	Overdue bool       `json:"overdue,omitempty"`  // starting for longer than Ready allows
	Crashes int        `json:"crashes,omitempty"`  // in the record now
	GaveUp  bool       `json:"gave_up,omitempty"`  // after too many crashes: the next order starts it
	Health  Health     `json:"health,omitempty"`   // what the image's own check says; "" while it has none to say
	Disk    *Disk      `json:"disk,omitempty"`     // how the volume is held; none before there is one
	// Unheld says, a sentence each, which limits this node can't hold.
	Unheld []string `json:"unheld,omitempty"`
}

// Health is what a container's own check says. It makes a start ready; later it
// is shown, and nothing is done about it.
type Health string

// The healths.
const (
	HealthStarting Health = "starting"
	HealthGood     Health = "healthy"
	HealthBad      Health = "unhealthy"
)

// StepWait is the step of an order that waits for the node's container engine.
const StepWait = "wait"

// Progress is how far a long step of an instance is.
type Progress struct {
	Step    string `json:"step"`    // "wait", "pull", "install", "create", "start", "stop", "remove", "wipe", "convert", "grow"
	Percent int    `json:"percent"` // 0 to 100; -1 when nobody knows
	Message string `json:"message"` // "Downloading 12 of 40 MiB"
	// Parts are what a pull is made of, layer by layer.
	Parts []ProgressPart `json:"parts,omitempty"`
}

// ProgressPart is how far one part of a step is.
type ProgressPart struct {
	Name       string `json:"name"`  // "3f4d90098f5b"
	State      string `json:"state"` // "waiting", "downloading", "extracting", "done"
	DoneBytes  int64  `json:"done_bytes"`
	TotalBytes int64  `json:"total_bytes"`
}

// Inventory is everything that an agent holds.
type Inventory struct {
	Instances []Holding `json:"instances"`
	// Incoming are the volumes that are being copied here; see move.go.
	Incoming []ident.Instance `json:"incoming,omitempty"`
}

// Holding is one instance that an agent knows.
type Holding struct {
	Instance   ident.Instance `json:"instance"`
	Generation int64          `json:"generation"`
	Revision   string         `json:"revision,omitempty"` // of the spec that it was told
	Removing   bool           `json:"removing,omitempty"`
	Ports      []Port         `json:"ports,omitempty"` // that it publishes; unknown of what has a container and no spec
	State      State          `json:"state"`
	// Telling: events about it are on their way, and say how it came to be as it is.
	Telling bool `json:"telling,omitempty"`
}
