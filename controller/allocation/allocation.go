package allocation

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"github.com/berth-panel/berth/shared/ident"
	"github.com/berth-panel/berth/shared/problem"
)

// Allocation is one address:port of a node.
type Allocation struct {
	ID            ident.Allocation
	Node          ident.Node
	IP            string
	Port          uint16
	Pooled        bool           // stays when its instance goes
	Instance      ident.Instance // "" while it is free
	ContainerPort uint16         // 0 while it is free
	Primary       bool
	CreatedAt     time.Time
}

// Mapping is a port that an instance asks for.
type Mapping struct {
	Host      uint16 // on the node; 0 is a free one of its pool
	Container uint16
	Primary   bool
	IP        string // exactly this address of the node; "" is any that is right
}

// MaxPorts is how many ports one instance may have.
const MaxPorts = 100

// Check says what is wrong with the ports that one instance asks for. Of several,
// exactly one must be the primary one.
func Check(ports []Mapping) error {
	if len(ports) > MaxPorts {
		return problem.Invalid("ports", "at most %d of them, not %d", MaxPorts, len(ports))
	}
	hosts, primaries := map[uint16]bool{}, 0
	for _, p := range ports {
		switch {
		case p.Container == 0:
			return problem.Invalid("ports", "a port is a number from 1 to 65535")
		case p.Host != 0 && hosts[p.Host]:
			return problem.Invalid("ports", "port %d of the node is there twice", p.Host)
		}
		hosts[p.Host] = true // one container port may be reached through several of the node
		if p.Primary {
			primaries++
		}
	}
	if len(ports) > 0 && primaries != 1 {
		return problem.Invalid("ports", "one of them must be the primary one")
	}
	return nil
}

// ParsePorts reads the classic list "container:host,container:host"; spaces
// around its parts don't matter. The first port becomes the primary one, unless
// primary names another: as a container port, else a host port, or as a whole
// mapping. An empty list is none.
func ParsePorts(list, primary string) ([]Mapping, error) {
	var out []Mapping
	if strings.TrimSpace(list) != "" {
		for _, item := range strings.Split(list, ",") {
			m, err := parseMapping(item)
			if err != nil {
				return nil, problem.Invalid("ports", "%s", err)
			}
			out = append(out, m)
			if len(out) > MaxPorts {
				return nil, problem.Invalid("ports", "at most %d of them", MaxPorts)
			}
		}
	}
	chosen, err := findPrimary(out, strings.TrimSpace(primary))
	if err != nil {
		return nil, err
	}
	if len(out) > 0 {
		out[chosen].Primary = true
	}
	return out, Check(out)
}

func findPrimary(ports []Mapping, primary string) (int, error) {
	if primary == "" {
		return 0, nil
	}
	if strings.Contains(primary, ":") {
		want, err := parseMapping(primary)
		if err != nil {
			return 0, problem.Invalid("primary", "%s", err)
		}
		for n, p := range ports {
			if p.Host == want.Host && p.Container == want.Container {
				return n, nil
			}
		}
		return 0, problem.Invalid("primary", "%.40q is not among the ports", primary)
	}
	port, err := parsePort(primary)
	if err != nil {
		return 0, problem.Invalid("primary", "%s", err)
	}
	for n, p := range ports {
		if p.Container == port {
			return n, nil
		}
	}
	for n, p := range ports {
		if p.Host == port {
			return n, nil
		}
	}
	return 0, problem.Invalid("primary", "port %d is not among the ports", port)
}

func parseMapping(text string) (Mapping, error) {
	container, host, both := strings.Cut(text, ":")
	if !both || strings.TrimSpace(container) == "" || strings.TrimSpace(host) == "" {
		return Mapping{}, fmt.Errorf("%.40q is not of the form container:host, such as 25565:25565", strings.TrimSpace(text))
	}
	c, err := parsePort(container)
	if err != nil {
		return Mapping{}, err
	}
	h, err := parsePort(host)
	return Mapping{Host: h, Container: c}, err
}

func parsePort(text string) (uint16, error) {
	text = strings.TrimSpace(text)
	n, err := strconv.ParseUint(text, 10, 16)
	if err != nil || n == 0 || text[0] == '+' {
		return 0, fmt.Errorf("%.40q is not a port: a number from 1 to 65535", text)
	}
	return uint16(n), nil
}

// maxRange is how many ports one call may add to a pool.
const maxRange = 10_000

// parseRanges reads the ports of a pool: "8080" and "25565-25600".
func parseRanges(items []string) ([]uint16, error) {
	seen := map[uint16]bool{}
	var out []uint16
	for n, item := range items {
		field := fmt.Sprintf("ports[%d]", n)
		low, high, isRange := strings.Cut(item, "-")
		from, err := parsePort(low)
		if err != nil {
			return nil, problem.Invalid(field, "%s", err)
		}
		to := from
		if isRange {
			if to, err = parsePort(high); err != nil {
				return nil, problem.Invalid(field, "%s", err)
			}
		}
		if to < from {
			return nil, problem.Invalid(field, "the range ends before it begins")
		}
		for p := int(from); p <= int(to); p++ {
			if !seen[uint16(p)] {
				seen[uint16(p)] = true
				out = append(out, uint16(p))
			}
			if len(out) > maxRange {
				return nil, problem.Invalid(field, "at most %d ports in one call", maxRange)
			}
		}
	}
	return out, nil
}

// overlap says whether a socket on one address keeps another from the same port
// on the other.
func overlap(a, b string) bool { return a == b || isWildcard(a) || isWildcard(b) }

func isWildcard(ip string) bool {
	addr, err := netip.ParseAddr(ip)
	return err == nil && addr.IsUnspecified()
}
