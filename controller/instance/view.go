package instance

import (
	"encoding/json"
	"slices"
	"time"

	"github.com/berth-panel/berth/controller/access"
	"github.com/berth-panel/berth/controller/image"
	"github.com/berth-panel/berth/controller/job"
	"github.com/berth-panel/berth/shared/ident"
	"github.com/berth-panel/berth/shared/problem"
	"github.com/berth-panel/berth/shared/wire"
)

// InstanceView is an instance as lists show it.
type InstanceView struct {
	ID            string               `json:"id"`
	Name          string               `json:"name"`
	Status        Status               `json:"status" doc:"suspended, installing, failed, deleting, else what the container does: unknown, starting, running, stopping, stopped, crashed"`
	OwnerID       string               `json:"owner_id"`
	NodeID        string               `json:"node_id"`
	ImageID       string               `json:"image_id"`
	Reference     string               `json:"reference" doc:"The container image that it runs"`
	Memory        int64                `json:"memory" doc:"MiB"`
	CPU           float64              `json:"cpu" doc:"Cores"`
	Disk          int64                `json:"disk" doc:"MiB"`
	Ports         []InstancePortView   `json:"ports"`
	Power         wire.Want            `json:"power" doc:"What was ordered last: running or stopped"`
	Actual        wire.Actual          `json:"actual" doc:"What the container does"`
	Phase         Phase                `json:"phase"`
	Suspended     bool                 `json:"suspended"`
	SuspendReason string               `json:"suspend_reason,omitempty"`
	Failure       *InstanceFailureView `json:"failure,omitempty" doc:"Why the last order was not carried out"`
	ContainerID   string               `json:"container_id,omitempty"`
	Drift         string               `json:"drift,omitempty" doc:"What was done to its container by hand and is left so, or can't be put right"`
	DriftPolicy   wire.Drift           `json:"drift_policy" enum:"repair,report" doc:"What its node does about a container that was changed, stopped or removed by hand"`
	Generation    int64                `json:"generation" doc:"Rises with each change"`
	Rights        []access.Right       `json:"rights" doc:"What the caller may do with it"`
	CreatedAt     time.Time            `json:"created_at"`
	UpdatedAt     time.Time            `json:"updated_at"`
}

// InstancePortView is one published port, on tcp and udp.
type InstancePortView struct {
	IP        string `json:"ip"`
	Host      uint16 `json:"host" doc:"On the node"`
	Container uint16 `json:"container" doc:"In the container"`
	Primary   bool   `json:"primary,omitempty"`
}

// InstanceFailureView is a problem of the instance.
type InstanceFailureView struct {
	Code    problem.Code `json:"code"`
	Message string       `json:"message"`
}

// InstanceDetailView is one instance with all that can be set, and what its
// container last did.
type InstanceDetailView struct {
	InstanceView
	Startup   string            `json:"startup,omitempty" doc:"The name of the image's start command that it runs; the first when absent"`
	Pull      wire.PullPolicy   `json:"pull,omitempty" enum:"missing,always,never" doc:"When its reference is asked for; as its image says when absent"`
	Digest    string            `json:"digest,omitempty" doc:"What its reference is pinned to: sha256:…"`
	RunsOn    string            `json:"runs_digest,omitempty" doc:"The digest of what its container is made from now, as the registry calls it"`
	Variables map[string]string `json:"variables" doc:"For who may edit it, without secrets; what is hidden only for who may write all instances"`
	Secrets   []string          `json:"secrets" doc:"Names of the secret variables that have a value; a new one is set by giving it"`
	Env       []string          `json:"env" doc:"What the container gets, for who may edit it; ******** stands for what is not shown"`
	Outdated  bool              `json:"outdated,omitempty" doc:"Its image has changed since; POST /instances/{id}/refresh takes the newer definition"`
	Volume    string            `json:"volume" doc:"Where the data is mounted in the container"`
	Host      string            `json:"host,omitempty" doc:"Where people reach its ports: the name or address of its node"`
	ExitCode  *int              `json:"exit_code,omitempty"`
	OOM       bool              `json:"oom,omitempty" doc:"It ended for want of memory"`
	StartedAt *time.Time        `json:"started_at,omitempty"`
	RetryAt   *time.Time        `json:"retry_at,omitempty" doc:"When it is started again after a crash"`
	ReadyAt   *time.Time        `json:"ready_at,omitempty" doc:"When this run was ready: by a line of its console or its health check, else when it started"`
	Overdue   bool              `json:"overdue,omitempty" doc:"It is starting for longer than its image allows"`
	Health    wire.Health       `json:"health,omitempty" enum:"starting,healthy,unhealthy" doc:"What the container image's own check says"`
	Crashes   int               `json:"crashes,omitempty" doc:"In the record now; a quiet time or an order clears it"`
	GaveUp    bool              `json:"gave_up,omitempty" doc:"It crashed too often and is left alone until it is started"`
	Unheld    []string          `json:"unheld,omitempty" doc:"Limits that its node can't hold, a sentence each"`

	DiskState *wire.Disk `json:"disk_state,omitempty" doc:"How its node holds the disk limit; none until there is a volume. Whether the limit is hard, what it is now and what waits for the next stop, whether it is full, and whether the volume could be converted. The bytes used are in its stats"`

	Network     InstanceNetworkBody `json:"network" doc:"What it may reach beside the internet"`
	IO          InstanceIOBody      `json:"io" doc:"How fast it may use its disk"`
	CrashPolicy image.CrashPolicy   `json:"crash_policy" doc:"Of the instance alone; what it leaves out is the image's"`
}

// InstanceJobView is an instance and the job that changes it.
type InstanceJobView struct {
	Instance InstanceView `json:"instance"`
	Job      *job.JobView `json:"job,omitempty" doc:"None when there was nothing to do"`
	// Restart is for changes of settings.
	Restart RestartNeed `json:"restart,omitempty" enum:"none,live,next_start,needed" doc:"What a change needs: needed: its container is made anew, and it restarts; next_start: that waits until it is started; live: it takes effect while it runs; none: nothing of it changes. Absent for other orders"`
}

// view is what both forms of an instance show alike: all but failure and ports.
func (l Listed) view() InstanceView {
	return InstanceView{
		ID: string(l.ID), Name: l.Name, Status: l.Status(), OwnerID: string(l.Owner), NodeID: string(l.Node), ImageID: string(l.Image),
		Reference: l.Reference, Memory: l.MemoryMiB, CPU: cores(l.NanoCPUs), Disk: l.DiskMiB, Ports: []InstancePortView{}, Power: l.Power, Actual: l.Actual,
		Phase: l.Phase, Suspended: l.Suspended, SuspendReason: l.SuspendReason, ContainerID: l.Container, Drift: l.Drift, DriftPolicy: l.DriftPolicy, Generation: l.Generation,
		CreatedAt: l.CreatedAt, UpdatedAt: l.UpdatedAt,
	}
}

// View shows a listed instance.
func (l Listed) View() (InstanceView, error) {
	v := l.view()
	if len(l.Failure) > 0 {
		v.Failure = new(InstanceFailureView)
		if err := json.Unmarshal(l.Failure, v.Failure); err != nil {
			return v, err
		}
	}
	return v, json.Unmarshal(l.Ports, &v.Ports)
}

// View shows the instance as a list would.
func (i Instance) View() InstanceView {
	v := i.Listed().view()
	for _, p := range i.Spec.Ports {
		v.Ports = append(v.Ports, InstancePortView{IP: p.IP, Host: p.Host, Container: p.Container, Primary: p.Primary})
	}
	if i.Failure != nil {
		v.Failure = &InstanceFailureView{Code: i.Failure.Code, Message: i.Failure.Message}
	}
	return v
}

// For shows what the caller may do with the instance.
func (v InstanceView) For(c access.Caller) InstanceView {
	v.Rights = c.RightsOf(v.of())
	return v
}

func (v InstanceView) of() access.Of {
	return access.Of{Instance: ident.Instance(v.ID), Owner: ident.User(v.OwnerID)}
}

// For shows what the caller may do with the instance, and what it is started with
// only to whom that concerns, and without what its image says is secret, or hidden
// from customers.
func (d InstanceDetailView) For(c access.Caller, img image.Image) InstanceDetailView {
	d.InstanceView = d.InstanceView.For(c)
	d.Secrets = []string{}
	if !c.Entitled(access.EditInstance, d.of()) {
		d.Variables, d.Env = map[string]string{}, []string{}
		return d
	}
	customer := !c.Holds(access.WriteInstances)
	shown := map[string]string{}
	for name, value := range d.Variables {
		v, declared := img.Variable(name)
		switch {
		case customer && (v.Hidden || !declared):
		case v.IsSecret():
			if value != "" {
				d.Secrets = append(d.Secrets, name)
			}
		default:
			shown[name] = value
		}
	}
	slices.Sort(d.Secrets)
	d.Variables, d.Env = shown, img.MaskEnv(d.Env, customer)
	return d
}

// Detail shows everything of the instance.
func (i Instance) Detail() InstanceDetailView {
	d := InstanceDetailView{
		InstanceView: i.View(), Variables: i.Variables, Env: i.Spec.Env, Secrets: []string{},
		Startup: i.Startup, Pull: i.Pull, Digest: i.Digest, RunsOn: i.Observed.Digest, Volume: i.Spec.Volume,
		ReadyAt: i.Observed.ReadyAt, Overdue: i.Observed.Overdue, Health: i.Observed.Health, Crashes: i.Observed.Crashes, GaveUp: i.Observed.GaveUp,
		DiskState: i.Observed.Disk, Unheld: i.Observed.Unheld, Network: i.network(), IO: i.io(), CrashPolicy: i.Crash,
		ExitCode: i.Observed.ExitCode, OOM: i.Observed.OOM, StartedAt: i.Observed.StartedAt, RetryAt: i.Observed.RetryAt,
	}
	if d.Variables == nil {
		d.Variables = map[string]string{}
	}
	return d
}

func cores(nano int64) float64 { return float64(nano) / 1e9 }
