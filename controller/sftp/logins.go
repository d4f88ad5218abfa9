package sftp

import (
	"cmp"
	"context"
	"maps"
	"net/http"
	"slices"
	"strings"

	"github.com/berth-panel/berth/controller/event"
	"github.com/berth-panel/berth/controller/identity"
	"github.com/berth-panel/berth/controller/instance"
	"github.com/berth-panel/berth/controller/push"
	"github.com/berth-panel/berth/shared/ident"
	"github.com/berth-panel/berth/shared/wire"
)

// keep makes the keeper of the nodes' lists.
func (s *Service) keep() *push.Keeper[wire.Logins] {
	return push.New(push.Deps{DB: s.DB, Events: s.Events, Nodes: s.Nodes, Fleet: s.Agents, Log: s.Log, Now: s.Now}, push.Plan[wire.Logins]{
		What: "who may log in over SFTP", Touches: touches, Read: s.read, Send: s.send, Arrived: s.attend,
	})
}

// touches says whose lists an event may have made wrong.
func touches(e event.Event) push.Touched {
	about, what, _ := strings.Cut(string(e.Type), ".")
	switch about {
	case "user", "ssh_key", "role", "second_factor", "passkey":
		return push.Everyone
	case "instance":
		switch what {
		case "created", "updated", "suspended", "unsuspended", "delete_ordered", "deleted", "adopted":
			return push.ItsNode
		}
		if strings.HasPrefix(what, "move") {
			return push.Everyone // it may have left a node that the fact doesn't name
		}
		return push.Nobody // what it does, not whose it is
	case "subuser":
		return push.ItsNode
	}
	return push.Nobody
}

// read reads who there is, once for the lists of many nodes.
func (s *Service) read(ctx context.Context) (push.Make[wire.Logins], error) {
	people, err := s.Users.People(ctx)
	return func(ctx context.Context, on ident.Node) (wire.Logins, error) { return s.logins(ctx, on, people) }, err
}

// send tells a node who may log in.
func (s *Service) send(ctx context.Context, to ident.Node, list wire.Logins, revision int64) (int64, error) {
	list.Revision = revision
	var held wire.LoginsHeld
	err := s.Agents.Call(ctx, to, http.MethodPut, "/v1/logins", list, &held)
	return held.Revision, err
}

// logins are who of these people may log in at a node; without a revision.
func (s *Service) logins(ctx context.Context, node ident.Node, people []identity.Person) (wire.Logins, error) {
	here, err := s.Instances.OnNode(ctx, node)
	if err != nil {
		return wire.Logins{}, err
	}
	list := wire.Logins{People: []wire.LoginPerson{}, Rights: []wire.LoginRight{}}
	owned := map[ident.User][]instance.Tenure{}
	byID := map[ident.Instance]instance.Tenure{}
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
func loginRights(p identity.Person, instances []instance.Tenure) []wire.LoginRight {
	var out []wire.LoginRight
	for _, i := range instances {
		login, write := may(p, i.Of())
		if !login {
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
