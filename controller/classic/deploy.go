package classic

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"github.com/berth-panel/berth/controller/access"
	"github.com/berth-panel/berth/controller/allocation"
	"github.com/berth-panel/berth/controller/httpapi"
	"github.com/berth-panel/berth/controller/image"
	"github.com/berth-panel/berth/controller/instance"
	"github.com/berth-panel/berth/controller/job"
	"github.com/berth-panel/berth/controller/node"
	"github.com/berth-panel/berth/controller/store"
	"github.com/berth-panel/berth/shared/ident"
	"github.com/berth-panel/berth/shared/problem"
)

// deployWait is how long a deploy waits for the node to take the instance on.
const deployWait = 15 * time.Second

// anyNode as a deploy's nodeId has a node chosen that is online and has room and
// the ports. Nodes' ids are UUIDs: none is called so.
const anyNode = "auto"

const textDeployFailed = "The instance could not be deployed"

// ClassicDeployed is the answer of deploy.
type ClassicDeployed struct {
	Message  string  `json:"message"`
	VolumeID string  `json:"volumeId"`
	State    string  `json:"state" enum:"INSTALLING"`
	ID       string  `json:"Id"`
	Name     string  `json:"name"`
	NodeID   string  `json:"nodeId"`
	User     string  `json:"user"`
	Image    string  `json:"image"`
	Memory   int64   `json:"memory" doc:"MiB"`
	CPU      float64 `json:"cpu" doc:"Cores"`
	Ports    string  `json:"ports"`
	Primary  string  `json:"primary"`
}

// order is a deploy's body, understood but not looked up.
type order struct {
	instance.New
	image     string // a container reference
	imageName string // of the catalogue; wins
}

func readOrder(b body) (order, error) {
	var o order
	if err := b.need("memory", "cpu", "ports", "nodeId", "name", "user"); err != nil {
		return o, err
	}
	if len(b.missing("image", "imagename")) == 2 {
		return o, badRequest("image or imagename is required")
	}
	var owner, host, ports string
	err := b.texts(textField{"image", &o.image}, textField{"imagename", &o.imageName}, textField{"nodeId", &host}, textField{"name", &o.Name},
		textField{"user", &owner}, textField{"ports", &ports})
	if err != nil {
		return o, err
	}
	o.Owner, o.Node = ident.User(owner), ident.Node(host)
	if host == anyNode {
		o.Node = "" // left open
	}
	if o.MemoryMiB, err = b.whole("memory", " of MiB"); err != nil {
		return o, err
	}
	cores, err := b.decimal("cpu", " of cores")
	if err != nil {
		return o, err
	}
	o.NanoCPUs = instance.NanoCPUs(cores)
	primary, err := b.literal("primary")
	if err != nil {
		return o, err
	}
	if o.Ports, err = allocation.ParsePorts(ports, primary); err != nil {
		return o, err
	}
	o.Variables, err = b.variables("variables")
	return o, err
}

func (s *Service) deploy(ctx context.Context, c access.Caller, r *httpapi.Request) (httpapi.Reply, error) {
	b, err := readBody(r)
	if err != nil {
		return httpapi.Reply{}, err
	}
	o, err := readOrder(b)
	if err != nil {
		return httpapi.Reply{}, err
	}
	if err := s.lookUp(ctx, c, &o); err != nil {
		return s.failed(ctx, err)
	}
	i, j, err := s.Instances.Create(ctx, c, o.New)
	if err != nil {
		return s.failed(ctx, renamed(err, map[string]string{"owner_id": "user", "node_id": "nodeId", "reference": "image"}))
	}
	if err := s.handedOver(ctx, c, i, j); err != nil {
		return s.failed(ctx, err)
	}
	return httpapi.Reply{Body: deployed(i)}, nil
}

// lookUp finds what the order names: who, where and what. A node that is named
// must be there and online.
func (s *Service) lookUp(ctx context.Context, c access.Caller, o *order) error {
	if _, err := s.Users.User(ctx, o.Owner); err != nil {
		return unknown(err, badRequest(textUserNotFound))
	}
	var host node.Node
	if o.Node != "" {
		var err error
		if host, err = s.Nodes.Get(ctx, o.Node); err != nil {
			return unknown(err, refuse(byDialect(c, http.StatusBadRequest, http.StatusNotFound), "Invalid node"))
		}
	}
	img, err := s.imageOf(ctx, *o)
	if err != nil {
		return err
	}
	o.New.Image, o.Reference = img.ID, ""
	for _, reference := range img.References {
		if reference == o.image {
			o.Reference = reference
		}
	}
	if state, presence := s.Nodes.State(host); o.Node != "" && state != node.Online {
		return problem.New(problem.NodeOffline, "node %s is offline: %s", host.Name, presence.Reason)
	}
	return nil
}

// imageOf finds the catalogue's image: by its name if that is given, else by
// the reference.
func (s *Service) imageOf(ctx context.Context, o order) (i image.Image, err error) {
	err = s.DB.Read(ctx, func(q store.Querier) error {
		if o.imageName != "" {
			i, err = image.ByName(ctx, q, o.imageName)
			return unknown(err, badRequest(fmt.Sprintf("imagename: the catalogue has no image named %.80q", o.imageName)))
		}
		i, err = image.ByReference(ctx, q, o.image)
		return unknown(err, badRequest(fmt.Sprintf("image: no image of the catalogue has the reference %.80q", o.image)))
	})
	return i, err
}

// unknown tells a NOT_FOUND as what is said of that field.
func unknown(err, say error) error {
	if problem.Is(err, problem.NotFound) {
		return say
	}
	return err
}

// failed answers a deploy that didn't work. What isn't the caller's doing has
// the reason in details, and goes to the log.
func (s *Service) failed(ctx context.Context, err error) (httpapi.Reply, error) {
	r, err := reply(httpapi.Reply{}, err)
	p := problem.From(err)
	if err == nil || (p.Code != problem.Internal && p.Code != problem.NodeOffline) {
		return r, err
	}
	s.Log.Error("a deployment failed", "request", httpapi.RequestID(ctx), "error", err)
	return httpapi.Reply{Status: http.StatusInternalServerError, Body: errorView{Error: textDeployFailed, Details: p.Message}}, nil
}

// handedOver waits until the node has taken the instance on. When it did not,
// or when that can't be known, the instance is deleted again and the error says
// why.
func (s *Service) handedOver(ctx context.Context, c access.Caller, i instance.Instance, j job.Job) error {
	why := s.broken(ctx, c, i.ID, j.ID)
	if why == nil {
		return nil
	}
	if _, _, err := s.Instances.Delete(ctx, c, i.ID); err != nil && !problem.Is(err, problem.NotFound) {
		return problem.New(problem.Internal, "%s; the instance %s could not be removed again, delete it", why.Message, i.ID).Because(err)
	}
	return why
}

// broken says why the node did not take the instance on, or nil: it did, or is
// still about to when the wait is over.
func (s *Service) broken(ctx context.Context, c access.Caller, id ident.Instance, work ident.Job) *problem.Problem {
	limited, cancel := context.WithTimeout(ctx, s.deployWait)
	defer cancel()
	j, err := s.Jobs.AwaitThat(limited, work, func(j job.Job) bool { return j.Handed || j.State == job.Waiting })
	switch {
	case err != nil && limited.Err() == nil:
		return problem.From(err)
	case j.Handed || j.State == job.Succeeded || j.State == job.Cancelled:
		return nil
	case j.State == job.Waiting:
		return problem.New(problem.NodeOffline, "%s", j.Message)
	case j.State != job.Failed:
		if j.Attempt > 1 || (j.Attempt == 1 && j.State == job.Queued) { // it was tried in vain
			return problem.New(problem.Internal, "%s", j.Message)
		}
		return nil
	}
	// It has failed. If the node has spoken of the instance, it had taken it on:
	// then the instance is there and says itself what is wrong with it.
	i, err := s.Instances.Get(ctx, c, id)
	switch {
	case problem.Is(err, problem.NotFound) || (err == nil && i.Seen > 0):
		return nil
	case err != nil:
		return problem.From(err)
	default:
		return j.Failure
	}
}

func deployed(i instance.Instance) ClassicDeployed {
	id := string(i.ID)
	return ClassicDeployed{
		Message: "The instance is being installed", VolumeID: id, State: string(StateInstalling), ID: id, Name: i.Name, NodeID: string(i.Node),
		User: string(i.Owner), Image: i.Reference, Memory: i.MemoryMiB, CPU: float64(i.NanoCPUs) / 1e9,
		Ports: string(appendPorts(nil, i.Spec.Ports)), Primary: string(appendPrimary(nil, i.Spec.Ports)),
	}
}
