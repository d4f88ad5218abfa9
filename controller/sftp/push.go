package sftp

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/berth-panel/berth/controller/access"
	"github.com/berth-panel/berth/controller/event"
	"github.com/berth-panel/berth/controller/identity"
	"github.com/berth-panel/berth/controller/instance"
	"github.com/berth-panel/berth/shared/ident"
	"github.com/berth-panel/berth/shared/wire"
)

const (
	gather      = 20 * time.Millisecond // before a push: changes come in crowds
	firstPause  = 200 * time.Millisecond
	longestWait = 10 * time.Second
	giveUp      = 8 // tries on a node that is offline: it is marked again when it is back
	pushWithin  = 30 * time.Second
	pushesMost  = 8 // at a time
)

// pushes are the nodes whose lists may be wrong.
type pushes struct {
	wake chan struct{}

	mu       sync.Mutex
	due      map[ident.Node]bool
	busy     map[ident.Node]bool
	failed   map[ident.Node]int // tries in a row
	sent     map[ident.Node][sha256.Size]byte
	asking   map[ident.Node]int // arrivals since somebody asks
	revision int64
}

func newPushes() pushes {
	return pushes{wake: make(chan struct{}, 1), due: map[ident.Node]bool{}, busy: map[ident.Node]bool{}, failed: map[ident.Node]int{},
		sent: map[ident.Node][sha256.Size]byte{}, asking: map[ident.Node]int{}}
}

// mark says that these lists may be wrong; anew, that the nodes may hold another
// than was sent last.
func (p *pushes) mark(anew bool, nodes ...ident.Node) {
	p.mu.Lock()
	for _, n := range nodes {
		p.due[n] = true
		if anew {
			delete(p.sent, n)
			delete(p.failed, n)
		}
	}
	p.mu.Unlock()
	select {
	case p.wake <- struct{}{}:
	default:
	}
}

// came counts an arrival; it is the first when nobody answers the node's questions.
func (p *pushes) came(node ident.Node) (first bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.asking[node]++
	return p.asking[node] == 1
}

// left forgets a node that is offline, unless it came meanwhile: then it gives
// the arrivals up to now, else 0.
func (p *pushes) left(node ident.Node, seen int) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	if now := p.asking[node]; now > max(seen, 1) {
		return now
	}
	delete(p.asking, node)
	return 0
}

// live says whether something is under way with a node.
func (p *pushes) live(node ident.Node) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.due[node] || p.busy[node] || p.failed[node] > 0
}

// take gives those that are due and not being pushed to, and holds them busy.
func (p *pushes) take() []ident.Node {
	p.mu.Lock()
	defer p.mu.Unlock()
	var out []ident.Node
	for n := range p.due {
		if !p.busy[n] {
			delete(p.due, n)
			p.busy[n] = true
			out = append(out, n)
		}
	}
	return out
}

// settle ends a push; again says how long to wait before the next, 0 for none.
func (p *pushes) settle(node ident.Node, err error, online bool) (again time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.busy, node)
	if err == nil {
		delete(p.failed, node)
		return 0
	}
	delete(p.sent, node)
	p.failed[node]++
	if !online && p.failed[node] >= giveUp {
		delete(p.failed, node)
		return 0
	}
	return min(longestWait, firstPause<<min(p.failed[node]-1, 10))
}

// next gives a revision that is higher than all before, over a restart too.
func (p *pushes) next(now time.Time, held int64) int64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.revision = max(p.revision+1, held+1, now.UnixMilli())
	return p.revision
}

// follow marks what events tell of, until ctx ends.
func (s *Service) follow(ctx context.Context, parts *sync.WaitGroup) {
	for ctx.Err() == nil {
		if err := s.listen(ctx, parts); ctx.Err() == nil {
			s.Log.Error("events for SFTP can't be read", "error", err)
			_ = pause(ctx, longestWait)
		}
	}
}

func (s *Service) listen(ctx context.Context, parts *sync.WaitGroup) error {
	feed, err := s.Events.Follow(ctx, s.DB, event.Filter{Sight: event.Everything()})
	if err != nil {
		return err
	}
	defer feed.Close()
	nodes, err := s.Nodes.All(ctx)
	if err != nil {
		return err
	}
	for _, n := range nodes {
		s.arrived(ctx, parts, n.ID)
	}
	for {
		facts, err := feed.Next(ctx)
		if err != nil {
			return err
		}
		everywhere := false
		for _, e := range facts {
			about, _, _ := strings.Cut(string(e.Type), ".")
			switch {
			case e.Type == "node.online":
				s.arrived(ctx, parts, e.Node)
			case about == "user", about == "ssh_key", about == "role", about == "second_factor", about == "passkey":
				everywhere = true
			case about == "instance" && moves(e.Type):
				everywhere = true // it may have left a node that the fact doesn't name
			case about == "instance", about == "subuser":
				s.changed(e.Node)
			}
		}
		if everywhere {
			if err := s.markAll(ctx); err != nil {
				return err
			}
		}
	}
}

// moves says whether a fact may be of an instance that changed its node.
func moves(t event.Type) bool {
	return strings.Contains(string(t), "move") || strings.Contains(string(t), "reloc")
}

func (s *Service) markAll(ctx context.Context) error {
	nodes, err := s.Nodes.All(ctx)
	if err != nil {
		return err
	}
	for _, n := range nodes {
		s.changed(n.ID)
	}
	return nil
}

// changed marks a node, unless it is offline: then it is marked when it is back.
func (s *Service) changed(node ident.Node) {
	if s.Agents.Presence(node).Online || s.pushes.live(node) {
		s.pushes.mark(false, node)
	}
}

// arrived is for a node that may have come online.
func (s *Service) arrived(ctx context.Context, parts *sync.WaitGroup, node ident.Node) {
	s.pushes.mark(true, node)
	if s.pushes.came(node) {
		parts.Go(func() { s.answer(ctx, node) })
	}
}

// keepPushed pushes what is due until ctx ends.
func (s *Service) keepPushed(ctx context.Context) {
	var running sync.WaitGroup
	defer running.Wait()
	places := make(chan struct{}, pushesMost)
	for {
		select {
		case <-s.pushes.wake:
		case <-ctx.Done():
			return
		}
		if pause(ctx, gather) != nil {
			return
		}
		due := s.pushes.take()
		if len(due) == 0 {
			continue
		}
		people, err := s.Users.People(ctx)
		for _, node := range due {
			select {
			case places <- struct{}{}:
			case <-ctx.Done():
				return
			}
			running.Go(func() {
				failure := err
				if failure == nil {
					failure = s.push(ctx, node, people)
				}
				<-places
				s.settle(ctx, node, failure, &running)
			})
		}
	}
}

// settle marks a node again whose push has failed, after a while. What was
// marked during a push is due at once.
func (s *Service) settle(ctx context.Context, node ident.Node, err error, running *sync.WaitGroup) {
	online := s.Agents.Presence(node).Online
	if err != nil && online && ctx.Err() == nil {
		s.Log.Warn("who may log in over SFTP could not be told to a node; it is tried again", "node", string(node), "error", err)
	}
	again := s.pushes.settle(node, err, online)
	if again == 0 {
		s.pushes.mark(false)
		return
	}
	running.Go(func() {
		if pause(ctx, again) == nil {
			s.pushes.mark(false, node)
		}
	})
}

func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// push tells a node who may log in, unless it knows.
func (s *Service) push(ctx context.Context, node ident.Node, people []identity.Person) error {
	ctx, cancel := context.WithTimeout(ctx, pushWithin)
	defer cancel()
	list, err := s.logins(ctx, node, people)
	if err != nil {
		return err
	}
	text, err := json.Marshal(list)
	if err != nil {
		return fmt.Errorf("encode the logins of a node: %w", err)
	}
	sum := sha256.Sum256(text)
	s.pushes.mu.Lock()
	known := s.pushes.sent[node] == sum
	s.pushes.mu.Unlock()
	if known {
		return nil
	}
	var held wire.LoginsHeld
	for range 2 { // once more when the node holds one of a later clock
		list.Revision = s.pushes.next(s.Now(), held.Revision)
		if err := s.Agents.Call(ctx, node, http.MethodPut, "/v1/logins", list, &held); err != nil {
			return err
		}
		if held.Revision == list.Revision {
			s.pushes.mu.Lock()
			s.pushes.sent[node] = sum
			s.pushes.mu.Unlock()
			return nil
		}
	}
	return fmt.Errorf("the node holds revision %d of its logins", held.Revision)
}

// logins are who may log in at a node; without a revision.
func (s *Service) logins(ctx context.Context, node ident.Node, people []identity.Person) (wire.Logins, error) {
	here, _, err := s.Instances.List(ctx, access.Local(), instance.Filter{Node: node, Sort: "created_at"})
	if err != nil {
		return wire.Logins{}, err
	}
	list := wire.Logins{People: []wire.LoginPerson{}, Rights: []wire.LoginRight{}}
	owned := map[ident.User][]instance.Listed{}
	byID := map[ident.Instance]instance.Listed{}
	for _, i := range here {
		owned[i.Owner] = append(owned[i.Owner], i)
		byID[i.ID] = i
	}
	for _, p := range people {
		his := owned[p.ID]
		for _, id := range slices.Sorted(maps.Keys(p.Shares)) {
			if i, ok := byID[id]; ok && i.Owner != p.ID {
				his = append(his, i)
			}
		}
		rights := loginRights(p, his)
		if everywhere := manages(p); everywhere || len(rights) > 0 {
			list.Rights = append(list.Rights, rights...)
			list.People = append(list.People, wire.LoginPerson{User: p.ID, Username: p.Username, Password: p.Password, Keys: p.Keys, Everywhere: everywhere})
		}
	}
	slices.SortFunc(list.People, func(a, b wire.LoginPerson) int { return cmp.Compare(a.User, b.User) })
	return list, nil
}

// loginRights are a person's rights to those of the instances whose files he may
// reach.
func loginRights(p identity.Person, instances []instance.Listed) []wire.LoginRight {
	var out []wire.LoginRight
	for _, i := range instances {
		login, write := may(p, i.Of())
		if !login || i.Phase == instance.Deleting {
			continue
		}
		right := wire.LoginRight{User: p.ID, Instance: i.ID, Write: write}
		if i.Suspended {
			right.Refused = suspended(i.ID, i.SuspendReason)
		}
		out = append(out, right)
	}
	return out
}
