package classic

import (
	"context"
	"net/http"
	"strconv"
	"strings"

	"github.com/berth-panel/berth/controller/access"
	"github.com/berth-panel/berth/controller/httpapi"
	"github.com/berth-panel/berth/controller/node"
	"github.com/berth-panel/berth/shared/ident"
	"github.com/berth-panel/berth/shared/problem"
)

// NodeStatus is what the classic API knows of a node's life.
type NodeStatus string

// The statuses of nodes.
const (
	NodeUnconfigured NodeStatus = "Unconfigured" // its agent was never let in
	NodeConfigured   NodeStatus = "Configured"   // let in, but never connected
	NodeOnline       NodeStatus = "Online"
	NodeOffline      NodeStatus = "Offline"
	NodeUnknown      NodeStatus = "Unknown" // shut out: nobody knows what it does
)

func nodeStatus(state node.State, seen bool) NodeStatus {
	switch state {
	case node.Unconfigured:
		return NodeUnconfigured
	case node.Online:
		return NodeOnline
	case node.Offline:
		if !seen {
			return NodeConfigured
		}
		return NodeOffline
	default:
		return NodeUnknown
	}
}

// appendNode appends a node as it is now, without its key.
func (s *Service) appendNode(b []byte, n node.Node) []byte {
	b = append(s.appendNodeMembers(append(b, '{'), n), '}')
	return b
}

func (s *Service) appendNodeMembers(b []byte, n node.Node) []byte {
	state, _ := s.Nodes.State(n)
	family := ""
	if n.Hello.Wire > 0 {
		family = strconv.Itoa(n.Hello.Wire)
	}
	for k, m := range []struct{ name, value string }{
		{"id", string(n.ID)}, {"name", n.Name}, {"tags", strings.Join(n.Tags, ",")}, {"ram", inGigabytes(n.MemoryMiB)}, {"disk", inGigabytes(n.DiskMiB)},
		{"processor", n.Processor}, {"address", n.Address}, {"port", strconv.Itoa(n.Port)}, {"status", string(nodeStatus(state, n.LastSeenAt != nil))},
		{"versionFamily", family}, {"versionRelease", n.Hello.Release},
	} {
		if k > 0 {
			b = append(b, ',')
		}
		b = append(appendText(b, m.name), ':')
		b = appendText(b, m.value)
	}
	return b
}

func (s *Service) listNodes(ctx context.Context, _ access.Caller, _ *httpapi.Request) (httpapi.Reply, error) {
	nodes, err := s.Nodes.All(ctx)
	if err != nil {
		return httpapi.Reply{}, err
	}
	return httpapi.Reply{Raw: appendList(nil, len(nodes), func(b []byte, n int) []byte { return s.appendNode(b, nodes[n]) })}, nil
}

func (s *Service) createNode(ctx context.Context, c access.Caller, r *httpapi.Request) (httpapi.Reply, error) {
	b, err := readBody(r)
	if err != nil {
		return httpapi.Reply{}, err
	}
	spec, err := readNode(b)
	if err != nil {
		return httpapi.Reply{}, err
	}
	n, key, err := s.Nodes.Create(ctx, c, spec)
	if err != nil {
		return httpapi.Reply{}, renamed(err, map[string]string{"memory": "ram"})
	}
	out := s.appendNodeMembers([]byte(`{"Message":{`), n)
	out = appendText(append(out, `,"configureKey":`...), key.Key)
	out = appendText(append(out, `,"configureCommand":`...), key.Command)
	return httpapi.Reply{Raw: append(out, `}}`...)}, nil
}

func readNode(b body) (node.Spec, error) {
	var spec node.Spec
	if err := b.need("name", "tags", "ram", "disk", "processor", "address", "port"); err != nil {
		return spec, err
	}
	err := b.texts(textField{"name", &spec.Name}, textField{"processor", &spec.Processor}, textField{"address", &spec.Address})
	if err != nil {
		return spec, err
	}
	if spec.Tags, err = b.tags("tags"); err != nil {
		return spec, err
	}
	if spec.MemoryMiB, err = b.gigabytes("ram"); err != nil {
		return spec, err
	}
	if spec.DiskMiB, err = b.gigabytes("disk"); err != nil {
		return spec, err
	}
	port, err := b.whole("port", "")
	if err != nil {
		return spec, err
	}
	if port < 1 || port > 65535 {
		return spec, problem.Invalid("port", "a number from 1 to 65535")
	}
	spec.Port = int(port)
	return spec, nil
}

func (s *Service) deleteNode(ctx context.Context, c access.Caller, r *httpapi.Request) (httpapi.Reply, error) {
	b, err := readBody(r)
	if err != nil {
		return httpapi.Reply{}, err
	}
	if err := b.need("nodeId"); err != nil {
		return httpapi.Reply{}, err
	}
	id, err := b.text("nodeId")
	if err != nil {
		return httpapi.Reply{}, err
	}
	err = s.Nodes.Delete(ctx, c, ident.Node(id))
	if problem.Is(err, problem.NotFound) {
		return httpapi.Reply{}, badRequest("Node not found")
	}
	if err != nil {
		return httpapi.Reply{}, err
	}
	return httpapi.Reply{Status: http.StatusCreated, Body: ClassicNodeDeleted{"The node has been deleted"}}, nil
}

// ClassicNodeDeleted is the answer of nodes/delete.
type ClassicNodeDeleted struct {
	Message string `json:"Message"`
}
