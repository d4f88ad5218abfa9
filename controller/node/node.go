package node

import (
	"net/netip"
	"regexp"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/berth-panel/berth/shared/ident"
	"github.com/berth-panel/berth/shared/problem"
	"github.com/berth-panel/berth/shared/wire"
)

// State is where a node is in its life.
type State string

// The states of a node.
const (
	Unconfigured State = "unconfigured" // no agent was let in yet
	Online       State = "online"
	Offline      State = "offline"
	Revoked      State = "revoked" // its agent was shut out
)

// Node is a machine with an agent.
type Node struct {
	ID           ident.Node
	Name         string
	Tags         []string
	Address      string // where the controller dials the agent
	Port         int
	BindAddress  string // where instances' ports are bound
	PublicHost   string // what players are told; "" is Address
	Processor    string // free text
	MemoryMiB    int64  // that instances may have in all
	DiskMiB      int64
	MemoryFactor float64 // above 1: given away more than once
	DiskFactor   float64
	Certificate  string // serial of the one that is let in; "" none
	EnrolledAt   *time.Time
	RevokedAt    *time.Time
	Hello        wire.Hello // the last that its agent said
	LastSeenAt   *time.Time
	CreatedAt    time.Time
	UpdatedAt    time.Time
}

// state says where the node is in its life; online is the fleet's word.
func (n Node) state(online bool) State {
	switch {
	case n.RevokedAt != nil:
		return Revoked
	case n.EnrolledAt == nil:
		return Unconfigured
	case online:
		return Online
	default:
		return Offline
	}
}

// Host is what players are told.
func (n Node) Host() string {
	if n.PublicHost != "" {
		return n.PublicHost
	}
	return n.Address
}

// Capacity is what a node may give to instances in all.
type Capacity struct {
	MemoryMiB int64 // declared, times the factor
	DiskMiB   int64
	Cores     int // of the machine; 0 while nobody knows
}

// Capacity is what instances on the node may have in all.
func (n Node) Capacity() Capacity {
	return Capacity{
		MemoryMiB: int64(float64(n.MemoryMiB) * n.MemoryFactor),
		DiskMiB:   int64(float64(n.DiskMiB) * n.DiskFactor),
		Cores:     n.Hello.Engine.Cores,
	}
}

// Spec is what an admin says of a node.
type Spec struct {
	Name         string
	Tags         []string
	Address      string
	Port         int
	BindAddress  string
	PublicHost   string
	Processor    string
	MemoryMiB    int64
	DiskMiB      int64
	MemoryFactor float64
	DiskFactor   float64
}

// spec is the node's part that an admin says.
func (n Node) spec() Spec {
	return Spec{Name: n.Name, Tags: n.Tags, Address: n.Address, Port: n.Port, BindAddress: n.BindAddress, PublicHost: n.PublicHost,
		Processor: n.Processor, MemoryMiB: n.MemoryMiB, DiskMiB: n.DiskMiB, MemoryFactor: n.MemoryFactor, DiskFactor: n.DiskFactor}
}

func (n *Node) take(s Spec) {
	n.Name, n.Tags, n.Address, n.Port, n.BindAddress, n.PublicHost = s.Name, s.Tags, s.Address, s.Port, s.BindAddress, s.PublicHost
	n.Processor, n.MemoryMiB, n.DiskMiB, n.MemoryFactor, n.DiskFactor = s.Processor, s.MemoryMiB, s.DiskMiB, s.MemoryFactor, s.DiskFactor
}

const (
	maxName   = 64
	maxTags   = 32
	maxMiB    = 1 << 40
	maxFactor = 100
)

var (
	hostName = regexp.MustCompile(`^([A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?\.)*[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?\.?$`)
	tagForm  = regexp.MustCompile(`^[^\s,\x00-\x1f\x7f]{1,64}$`)
)

// clean fills in the defaults and says what is wrong.
func (s Spec) clean() (Spec, error) {
	if s.BindAddress == "" {
		s.BindAddress = "0.0.0.0"
	}
	if s.MemoryFactor == 0 {
		s.MemoryFactor = 1
	}
	if s.DiskFactor == 0 {
		s.DiskFactor = 1
	}
	if s.Tags == nil {
		s.Tags = []string{}
	}
	bind, bindErr := netip.ParseAddr(s.BindAddress)
	switch {
	case s.Name == "" || utf8.RuneCountInString(s.Name) > maxName || !printable(s.Name) || strings.TrimSpace(s.Name) != s.Name:
		return s, problem.Invalid("name", "1 to %d characters, none of them a control character, no space at the ends", maxName)
	case !isHost(s.Address):
		return s, problem.Invalid("address", "a host name or an IP address, without a port")
	case s.Port < 1 || s.Port > 65535:
		return s, problem.Invalid("port", "1 to 65535")
	case bindErr != nil || bind.Zone() != "":
		return s, problem.Invalid("bind_address", "an IP address of the node, or 0.0.0.0 for all of them")
	case s.PublicHost != "" && !isHost(s.PublicHost):
		return s, problem.Invalid("public_host", "a host name or an IP address, without a port")
	case len(s.Processor) > 200 || !printable(s.Processor):
		return s, problem.Invalid("processor", "at most 200 characters, none of them a control character")
	case s.MemoryMiB < 1 || s.MemoryMiB > maxMiB:
		return s, problem.Invalid("memory", "1 to %d MiB", int64(maxMiB))
	case s.DiskMiB < 1 || s.DiskMiB > maxMiB:
		return s, problem.Invalid("disk", "1 to %d MiB", int64(maxMiB))
	case !(s.MemoryFactor >= 1 && s.MemoryFactor <= maxFactor): // not < 1 || > max: NaN is neither
		return s, problem.Invalid("memory_factor", "1 to %d", maxFactor)
	case !(s.DiskFactor >= 1 && s.DiskFactor <= maxFactor):
		return s, problem.Invalid("disk_factor", "1 to %d", maxFactor)
	}
	s.BindAddress = bind.Unmap().String()
	return s, checkTags(s.Tags)
}

func checkTags(tags []string) error {
	if len(tags) > maxTags {
		return problem.Invalid("tags", "at most %d", maxTags)
	}
	for n, t := range tags {
		if !tagForm.MatchString(t) || slices.Contains(tags[:n], t) {
			return problem.Invalid("tags", "each 1 to 64 characters without spaces and commas, none twice")
		}
	}
	return nil
}

func printable(s string) bool {
	return utf8.ValidString(s) && !strings.ContainsFunc(s, unicode.IsControl)
}

func isHost(s string) bool {
	if addr, err := netip.ParseAddr(s); err == nil {
		return addr.Zone() == "" && !addr.IsUnspecified() && !addr.IsMulticast()
	}
	last := s[strings.LastIndexByte(strings.TrimSuffix(s, "."), '.')+1:]
	mistyped := strings.Trim(last, "0123456789.") == "" // 10.0.0.300
	return len(s) <= 253 && hostName.MatchString(s) && !mistyped
}
