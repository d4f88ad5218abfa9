package registry

import (
	"context"
	"net/http"

	"github.com/berth-panel/berth/controller/node"
	"github.com/berth-panel/berth/shared/ident"
	"github.com/berth-panel/berth/shared/problem"
	"github.com/berth-panel/berth/shared/wire"
)

// Checked is what came of trying a login.
type Checked struct {
	wire.RegistryChecked
	Node node.Node // that tried it
}

// Check lets a node try a login: the one that is named, or any that is online.
func (s *Service) Check(ctx context.Context, id ident.Registry, on ident.Node) (Checked, error) {
	r, err := byID(ctx, s.DB.Snapshot(), id)
	if err != nil {
		return Checked{}, err
	}
	password, broken := s.password(r)
	if broken {
		return Checked{}, mended(r)
	}
	from, err := s.tester(ctx, on)
	if err != nil {
		return Checked{}, err
	}
	got := Checked{Node: from}
	login := wire.Registry{Host: r.Host, Username: r.Username, Password: password}
	err = s.Fleet.Call(ctx, from.ID, http.MethodPost, wire.PathRegistryCheck, login, &got.RegistryChecked)
	return got, err
}

// tester is the node that tries a login.
func (s *Service) tester(ctx context.Context, on ident.Node) (node.Node, error) {
	nodes, err := s.Nodes.All(ctx)
	if err != nil {
		return node.Node{}, err
	}
	for _, n := range nodes {
		if on == n.ID || on == "" && s.Fleet.Presence(n.ID).Online {
			return n, nil
		}
	}
	if on != "" {
		return node.Node{}, problem.Invalid("node_id", "there is no such node")
	}
	return node.Node{}, problem.New(problem.NodeOffline, "no node is online, and registries are reached from nodes: bring one online and try again")
}
