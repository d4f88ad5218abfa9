package registry

import (
	"context"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/berth-panel/berth/controller/access"
	"github.com/berth-panel/berth/controller/event"
	"github.com/berth-panel/berth/controller/instance"
	"github.com/berth-panel/berth/controller/push"
	"github.com/berth-panel/berth/shared/ident"
	"github.com/berth-panel/berth/shared/problem"
	"github.com/berth-panel/berth/shared/wire"
)

// copied are the logins of a node.
type copied struct {
	wire.Registries                      // without a revision
	changed         map[string]time.Time // by host: when its login was
}

// Run keeps the logins of all nodes right until ctx ends.
func (s *Service) Run(ctx context.Context) { s.copies.Run(ctx) }

// keep makes the keeper of the nodes' logins.
func (s *Service) keep() *push.Keeper[copied] {
	return push.New(push.Deps{DB: s.DB, Events: s.Events, Nodes: s.Nodes, Fleet: s.Fleet, Log: s.Log, Now: s.Now}, push.Plan[copied]{
		What: "the logins of registries", Touches: s.touches, Read: s.read, Send: s.send,
	})
}

// touches says whose logins an event may have made wrong.
func (s *Service) touches(e event.Event) push.Touched {
	switch e.Type {
	case "node.deleted":
		s.told.forget(e.Node)
	case "instance.deleted":
		s.told.unask(e.Node)
		return push.ItsNode
	case "instance.updated", "instance.created":
		return push.ItsNode
	}
	if about, what, _ := strings.Cut(string(e.Type), "."); about == "registry" || about == "instance" && strings.HasPrefix(what, "move") {
		return push.Everyone // it may have left a node that the fact doesn't name
	}
	return push.Nobody
}

// read reads where images' install scripts come from, once for many nodes.
func (s *Service) read(ctx context.Context) (push.Make[copied], error) {
	scripts, err := s.scripts(ctx)
	return func(ctx context.Context, on ident.Node) (copied, error) { return s.needed(ctx, on, scripts) }, err
}

// send tells a node its logins. An agent that is too old for them is left alone.
func (s *Service) send(ctx context.Context, to ident.Node, list copied, revision int64) (int64, error) {
	list.Revision = revision
	var held wire.RegistriesHeld
	err := s.Fleet.Call(ctx, to, http.MethodPut, wire.PathRegistries, list.Registries, &held)
	if problem.Is(err, problem.NotFound) {
		s.Log.Warn("a node's agent is too old to be told logins of registries: update it", "node", string(to))
		held.Revision, err = revision, nil
	}
	if err == nil && held.Revision == revision {
		s.told.keep(to, list.changed)
	}
	return held.Revision, err
}

// login is one with its password.
type login struct {
	Registry
	password string
}

// logins are those that can be read, by host.
func (s *Service) logins(ctx context.Context) (map[string]login, error) {
	list, err := all(ctx, s.DB.Snapshot())
	if err != nil {
		return nil, err
	}
	out := make(map[string]login, len(list))
	for _, r := range list {
		if password, broken := s.password(r); !broken {
			out[r.Host] = login{r, password}
		}
	}
	return out, nil
}

// scripts are the registries that images' install scripts come from.
func (s *Service) scripts(ctx context.Context) (map[ident.Image]string, error) {
	if n, err := count(ctx, s.DB.Snapshot()); n == 0 || err != nil {
		return nil, err
	}
	images, err := s.Images.All(ctx)
	if err != nil {
		return nil, err
	}
	out := map[ident.Image]string{}
	for _, i := range images {
		if i.Script != nil {
			if h, ok := Host(i.Script.Image); ok {
				out[i.ID] = h
			}
		}
	}
	return out, nil
}

// needed are the logins that a node needs.
func (s *Service) needed(ctx context.Context, on ident.Node, scripts map[ident.Image]string) (copied, error) {
	list := copied{Registries: wire.Registries{Logins: []wire.Registry{}}, changed: map[string]time.Time{}}
	known, err := s.logins(ctx)
	if err != nil || len(known) == 0 {
		return list, err
	}
	here, _, err := s.Instances.List(ctx, access.Local(), instance.Filter{Node: on})
	if err != nil {
		return list, err
	}
	hosts := s.told.asked(on)
	for _, i := range here {
		if h, ok := Host(i.Reference); ok {
			hosts[h] = true
		}
		if h := scripts[i.Image]; h != "" {
			hosts[h] = true
		}
	}
	for _, h := range slices.Sorted(maps.Keys(hosts)) {
		if l, there := known[h]; there {
			list.Logins = append(list.Logins, wire.Registry{Host: h, Username: l.Username, Password: l.password})
			list.changed[h] = l.UpdatedAt
		}
	}
	return list, nil
}
