package classic

import (
	"context"
	"net/http"
	"time"

	"github.com/berth-panel/berth/controller/access"
	"github.com/berth-panel/berth/controller/httpapi"
	"github.com/berth-panel/berth/controller/instance"
	"github.com/berth-panel/berth/controller/job"
	"github.com/berth-panel/berth/shared/ident"
	"github.com/berth-panel/berth/shared/problem"
)

const (
	textInstanceNotFound = "Instance not found"
	textIDRequired       = `Parameter "id" is required`
)

// deleteWait is how long a delete waits for its end before it answers.
const deleteWait = 30 * time.Second

// ClassicMessage is an answer that only says that it is done.
type ClassicMessage struct {
	Message string `json:"message"`
}

// list answers with the instances of one owner that the caller may see; "" is all. Every commit may
// change it, and so may a node's coming and going.
func (s *Service) list(ctx context.Context, c access.Caller, owner ident.User) (httpapi.Reply, error) {
	raw, err := s.memo.get(ctx, "instances of "+string(owner)+" for "+c.View(), func() ([]byte, error) {
		return s.renderInstances(ctx, c, owner)
	})
	return httpapi.Reply{Raw: raw}, err
}

func (s *Service) listInstances(ctx context.Context, c access.Caller, _ *httpapi.Request) (httpapi.Reply, error) {
	return s.list(ctx, c, "")
}

// renderInstances reads the instances before what they refer to: see
// fragments.appendInstance.
func (s *Service) renderInstances(ctx context.Context, c access.Caller, owner ident.User) ([]byte, error) {
	items, _, err := s.Instances.List(ctx, c, instance.Filter{Owner: owner, Env: true})
	if err != nil {
		return nil, err
	}
	f, err := s.fragments(ctx, !c.Holds(access.WriteInstances))
	if err != nil {
		return nil, err
	}
	b := []byte{'['}
	for n := range items {
		before := len(b)
		if before > 1 {
			b = append(b, ',')
		}
		if !c.Entitled(access.EditInstance, items[n].Of()) {
			items[n].Env = nil // there are passwords among it
		}
		if items[n].Env, err = f.masked(items[n]); err != nil {
			return nil, err
		}
		var ok bool
		b, ok, err = f.appendInstance(b, &items[n])
		if err != nil {
			return nil, err
		}
		if !ok {
			b = b[:before]
		}
		if n == 0 {
			b = append(grow(len(items), len(b)+64), b...)
		}
	}
	return append(b, ']'), nil
}

// fragments renders all nodes and images, as customers see them or others.
func (s *Service) fragments(ctx context.Context, customer bool) (fragments, error) {
	f := fragments{nodes: map[ident.Node][]byte{}, images: map[ident.Image][]byte{}, customer: customer}
	images, err := s.Images.All(ctx)
	if err != nil {
		return f, err
	}
	for _, i := range images {
		if err := f.add(i); err != nil {
			return f, err
		}
	}
	nodes, err := s.Nodes.All(ctx)
	if err != nil {
		return f, err
	}
	for _, n := range nodes {
		f.nodes[n.ID] = s.appendNode(nil, n)
	}
	return f, nil
}

// one answers with a single instance.
func (s *Service) one(ctx context.Context, c access.Caller, i instance.Instance) (httpapi.Reply, error) {
	l, err := listed(i)
	if err != nil {
		return httpapi.Reply{}, err
	}
	if !c.Entitled(access.EditInstance, i.Of()) {
		l.Env = nil
	}
	img, err := s.Images.Get(ctx, i.Image)
	if err != nil {
		return httpapi.Reply{}, err
	}
	n, err := s.Nodes.Get(ctx, i.Node)
	if err != nil {
		return httpapi.Reply{}, err
	}
	f := fragments{nodes: map[ident.Node][]byte{n.ID: s.appendNode(nil, n)}, images: map[ident.Image][]byte{}, customer: !c.Holds(access.WriteInstances)}
	if err := f.add(img); err != nil {
		return httpapi.Reply{}, err
	}
	if l.Env, err = f.masked(l); err != nil {
		return httpapi.Reply{}, err
	}
	raw, _, err := f.appendInstance(nil, &l)
	return httpapi.Reply{Raw: raw}, err
}

func (s *Service) getUserInstance(ctx context.Context, c access.Caller, r *httpapi.Request) (httpapi.Reply, error) {
	b, err := readBody(r)
	if err != nil {
		return httpapi.Reply{}, err
	}
	if len(b.missing("userId")) > 0 {
		return httpapi.Reply{}, badRequest(`Parameter "userId" is required`)
	}
	id, err := b.text("userId")
	if err != nil {
		return httpapi.Reply{}, err
	}
	owner := ident.User(id)
	if c.User != owner && !c.Holds(access.ReadInstances) {
		return httpapi.Reply{}, miss(c, textUserNotFound)
	}
	_, err = s.Users.User(ctx, owner)
	if problem.Is(err, problem.NotFound) {
		return httpapi.Reply{}, miss(c, textUserNotFound)
	}
	if err != nil {
		return httpapi.Reply{}, err
	}
	return s.list(ctx, c, owner)
}

// find gives an instance that exists for the classic API and that the caller may see.
func (s *Service) find(ctx context.Context, c access.Caller, id string) (instance.Instance, error) {
	i, err := s.Instances.Get(ctx, c, ident.Instance(id))
	if problem.Is(err, problem.NotFound) || (err == nil && i.Phase == instance.Deleting) {
		return i, miss(c, textInstanceNotFound)
	}
	return i, err
}

// idOf reads the id of an instance out of the body.
func idOf(r *httpapi.Request) (string, error) {
	b, err := readBody(r)
	if err != nil {
		return "", err
	}
	if len(b.missing("id")) > 0 {
		return "", badRequest(textIDRequired)
	}
	return b.text("id")
}

func (s *Service) getInstance(ctx context.Context, c access.Caller, r *httpapi.Request) (httpapi.Reply, error) {
	id, err := idOf(r)
	if err != nil {
		return httpapi.Reply{}, err
	}
	i, err := s.find(ctx, c, id)
	if err != nil {
		return httpapi.Reply{}, err
	}
	return s.one(ctx, c, i)
}

func (s *Service) deleteInstance(ctx context.Context, c access.Caller, r *httpapi.Request) (httpapi.Reply, error) {
	id, err := idOf(r)
	if err != nil {
		return httpapi.Reply{}, err
	}
	j, err := s.condemn(ctx, c, id)
	if err != nil {
		return httpapi.Reply{}, err
	}
	message, err := s.awaitDelete(ctx, j)
	return httpapi.Reply{Status: byDialect(c, http.StatusCreated, http.StatusOK), Body: ClassicMessage{message}}, err
}

// condemn orders the deletion. One at a time, so that of two calls at once the
// second finds nothing, as it would a moment later.
func (s *Service) condemn(ctx context.Context, c access.Caller, id string) (job.Job, error) {
	s.deleting.Lock()
	defer s.deleting.Unlock()
	i, err := s.find(ctx, c, id)
	if err != nil {
		return job.Job{}, err
	}
	_, j, err := s.Instances.Delete(ctx, c, i.ID)
	if problem.Is(err, problem.NotFound) {
		return job.Job{}, miss(c, textInstanceNotFound)
	}
	return j, err
}

// awaitDelete waits until the node has done it, or it is clear that it won't
// soon. The order stands either way.
func (s *Service) awaitDelete(ctx context.Context, j job.Job) (string, error) {
	limited, cancel := context.WithTimeout(ctx, s.deleteWait)
	defer cancel()
	now, err := s.Jobs.AwaitThat(limited, j.ID, func(j job.Job) bool { return j.State == job.Waiting })
	switch {
	case limited.Err() != nil:
		return "The instance is being deleted", nil
	case err != nil:
		return "", err
	case now.State == job.Waiting:
		return "The instance is deleted; its node is away and removes its container and data when it is back", nil
	case now.State == job.Failed && now.Failure != nil:
		return "", &refusal{status: http.StatusInternalServerError, text: "The instance could not be removed from its node: " + now.Failure.Message}
	default:
		return "The instance has been deleted", nil
	}
}

// suspension is Suspend or Unsuspend.
type suspension func(ctx context.Context, c access.Caller, id ident.Instance) (instance.Instance, job.Job, error)

func (s *Service) suspend(ctx context.Context, c access.Caller, id ident.Instance) (instance.Instance, job.Job, error) {
	return s.Instances.Suspend(ctx, c, id, "")
}

// handleSuspension answers when the order is given; the container's end is the
// node's business and seen in the instance.
func (s *Service) handleSuspension(order suspension, done string) handler {
	return func(ctx context.Context, c access.Caller, r *httpapi.Request) (httpapi.Reply, error) {
		id, err := suspendedID(r)
		if err != nil {
			return httpapi.Reply{}, err
		}
		i, err := s.find(ctx, c, id)
		if err != nil {
			return httpapi.Reply{}, err
		}
		i, _, err = order(ctx, c, i.ID)
		if problem.Is(err, problem.NotFound) {
			return httpapi.Reply{}, miss(c, textInstanceNotFound)
		}
		if err != nil {
			return httpapi.Reply{}, err
		}
		if c.Dialect == access.V03 {
			return httpapi.Reply{Status: http.StatusCreated, Body: ClassicSuccess{done}}, nil
		}
		return s.one(ctx, c, i)
	}
}

// ClassicSuccess is the answer of suspend and unsuspend in the dialect v0.3.
type ClassicSuccess struct {
	Success string `json:"success"`
}

// suspendedID is the id in the path or in the body. Clients that copied ":id"
// out of the document mean the body's.
func suspendedID(r *httpapi.Request) (string, error) {
	b, err := readBody(r)
	if err != nil {
		return "", err
	}
	named, err := b.text("id")
	if err != nil {
		return "", err
	}
	path := r.Param("id")
	switch {
	case path == "" && named == "":
		return "", badRequest(textIDRequired)
	case named == "" || named == path:
		return path, nil
	case !ident.Instance(path).Valid():
		return named, nil
	default:
		return "", badRequest("The id in the path and the id in the body are two different ones")
	}
}
