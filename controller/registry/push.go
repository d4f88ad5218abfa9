package registry

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"time"

	"github.com/berth-panel/berth/controller/access"
	"github.com/berth-panel/berth/controller/instance"
	"github.com/berth-panel/berth/shared/ident"
	"github.com/berth-panel/berth/shared/problem"
	"github.com/berth-panel/berth/shared/wire"
)

const (
	pushWithin = 30 * time.Second
	pushesMost = 8 // at a time
)

// held is what a node was told last.
type held struct {
	since  time.Time // of the connection: a node that comes back may have lost it
	sum    [sha256.Size]byte
	logins map[string]time.Time // by host: when it was changed
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

// prepare sees to it that a node knows the logins for what an order names, and
// none that were removed. A node that is away, and one that refuses them, is the
// error.
func (s *Service) prepare(ctx context.Context, to ident.Node, spec wire.Spec) error {
	known, err := s.logins(ctx)
	if err != nil || s.knows(to, hostsOf(spec), known) {
		return err
	}
	scripts, err := s.scripts(ctx)
	if err != nil {
		return err
	}
	return s.push(ctx, to, scripts)
}

// knows says whether a node holds what it should for these hosts. What it should
// hold is kept as asked for.
func (s *Service) knows(node ident.Node, hosts []string, known map[string]login) bool {
	since := s.Fleet.Presence(node).Since
	s.pushes.mu.Lock()
	defer s.pushes.mu.Unlock()
	last, told := s.pushes.sent[node]
	good := true
	for _, h := range hosts {
		l, there := known[h]
		if there && s.pushes.extra[node] == nil {
			s.pushes.extra[node] = map[string]bool{}
		}
		if there {
			s.pushes.extra[node][h] = true
			good = good && told && last.since.Equal(since)
		}
		good = good && last.logins[h].Equal(l.UpdatedAt) // both zero: it should have none, and has none
	}
	return good
}

// hostsOf are the registries that an order's images come from.
func hostsOf(spec wire.Spec) []string {
	var hosts []string
	if h, ok := Host(spec.Image.Reference); ok {
		hosts = append(hosts, h)
	}
	if script := spec.Install.Script; script != nil {
		if h, ok := Host(script.Image); ok && !slices.Contains(hosts, h) {
			hosts = append(hosts, h)
		}
	}
	return hosts
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

// push tells a node its logins, unless it knows.
func (s *Service) push(ctx context.Context, to ident.Node, scripts map[ident.Image]string) error {
	leave, err := s.pushes.enter(ctx, to)
	if err != nil {
		return err
	}
	defer leave()
	ctx, cancel := context.WithTimeout(ctx, pushWithin)
	defer cancel()
	now := held{since: s.Fleet.Presence(to).Since}
	list, changed, err := s.needed(ctx, to, scripts)
	if err != nil {
		return err
	}
	text, err := json.Marshal(list)
	if err != nil {
		return fmt.Errorf("encode the logins of a node: %w", err)
	}
	now.sum, now.logins = sha256.Sum256(text), changed
	if last, told := s.pushes.last(to); told && last.since.Equal(now.since) && last.sum == now.sum {
		return nil
	}
	var answer wire.RegistriesHeld
	for range 2 { // once more when the node holds one of a later clock
		list.Revision = s.pushes.next(s.Now(), answer.Revision)
		err := s.Fleet.Call(ctx, to, http.MethodPut, wire.PathRegistries, list, &answer)
		if problem.Is(err, problem.NotFound) {
			s.Log.Warn("a node's agent is too old to be told logins of registries: update it", "node", string(to))
			s.pushes.keep(to, now)
			return nil
		}
		if err != nil {
			return err
		}
		if answer.Revision == list.Revision {
			s.pushes.keep(to, now)
			return nil
		}
	}
	return fmt.Errorf("the node holds revision %d of its registries", answer.Revision)
}

// needed are the logins that a node needs, without a revision, and when each was
// changed.
func (s *Service) needed(ctx context.Context, on ident.Node, scripts map[ident.Image]string) (wire.Registries, map[string]time.Time, error) {
	list, changed := wire.Registries{Logins: []wire.Registry{}}, map[string]time.Time{}
	known, err := s.logins(ctx)
	if err != nil || len(known) == 0 {
		return list, changed, err
	}
	here, _, err := s.Instances.List(ctx, access.Local(), instance.Filter{Node: on})
	if err != nil {
		return list, changed, err
	}
	hosts := s.pushes.asked(on)
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
			changed[h] = l.UpdatedAt
		}
	}
	return list, changed, nil
}
