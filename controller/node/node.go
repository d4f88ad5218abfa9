package node

import (
	"net/netip"
	"regexp"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/berth-panel/berth/controller/fleet"
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

// Connection is which side opens the connection between controller and agent.
type Connection string

// The ways to an agent.
const (
	Dial   Connection = "dial"   // the controller dials its address and port
	Tunnel Connection = "tunnel" // the agent opens a tunnel to the controller: it can't be dialled
)

// Node is a machine with an agent.
type Node struct {
	ID           ident.Node
	Name         string
	Tags         []string
	Address      string // where the controller dials the agent
	Port         int
	Connection   Connection
	BindAddress  string // where instances' ports are bound
	PublicHost   string // what players are told; "" is Address
	Processor    string // free text
	MemoryMiB    int64  // that instances may have in all
	DiskMiB      int64
	MemoryFactor float64 // above 1: given away more than once
	DiskFactor   float64
	CPUFactor    float64 // cores times it may be given away; 0: CPU is not counted
	// What is kept back from instances, of the memory and disk times their factors.
	MemoryReserveMiB int64
	DiskReserveMiB   int64
	Maintenance      bool   // takes no new instances
	Certificate      string // serial of the one that is let in; "" none
	// NextCertificate is the serial of one that is on its way to the agent and is
	// let in too; CertificateEndsAt is the end of Certificate, nil while unknown.
	NextCertificate   string
	CertificateEndsAt *time.Time
	EnrolledAt        *time.Time
	RevokedAt         *time.Time
	Hello             wire.Hello // the last that its agent said
	LastSeenAt        *time.Time
	CreatedAt         time.Time
	UpdatedAt         time.Time
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

// setCertificate makes one certificate the only one that is let in; the zero
// value lets none in.
func (n *Node) setCertificate(issued fleet.Issued) {
	n.Certificate, n.NextCertificate, n.CertificateEndsAt = issued.Serial, "", nil
	if !issued.NotAfter.IsZero() {
		ends := issued.NotAfter.UTC()
		n.CertificateEndsAt = &ends
	}
}

// LastContact is when the node was heard last: by this controller, or as the one
// before wrote it down; nil when it never was.
func (n Node) LastContact(p fleet.Presence) *time.Time {
	if p.Heard.IsZero() || (n.LastSeenAt != nil && n.LastSeenAt.After(p.Heard)) {
		return n.LastSeenAt
	}
	heard := p.Heard.UTC()
	return &heard
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
	MemoryMiB int64 // declared, times the factor, without the reserve
	DiskMiB   int64
	NanoCPUs  int64 // 0: not limited
	Cores     int   // of the machine; 0 while nobody knows
}

// Capacity is what instances on the node may have in all.
func (n Node) Capacity() Capacity {
	return Capacity{
		MemoryMiB: int64(float64(n.MemoryMiB)*n.MemoryFactor) - n.MemoryReserveMiB,
		DiskMiB:   int64(float64(n.DiskMiB)*n.DiskFactor) - n.DiskReserveMiB,
		NanoCPUs:  int64(float64(n.Hello.Engine.Cores) * n.CPUFactor * 1e9),
		Cores:     n.Hello.Engine.Cores,
	}
}

// Spec is what an admin says of a node.
type Spec struct {
	Name         string
	Tags         []string
	Address      string
	Port         int
	Connection   Connection // "" is Dial
	BindAddress  string
	PublicHost   string
	Processor    string
	MemoryMiB    int64
	DiskMiB      int64
	MemoryFactor float64 // 0 is 1
	DiskFactor   float64
	CPUFactor    float64 // 0: CPU is not counted

	MemoryReserveMiB int64
	DiskReserveMiB   int64
}

// spec is the node's part that an admin says.
func (n Node) spec() Spec {
	return Spec{Name: n.Name, Tags: n.Tags, Address: n.Address, Port: n.Port, Connection: n.Connection, BindAddress: n.BindAddress, PublicHost: n.PublicHost,
		Processor: n.Processor, MemoryMiB: n.MemoryMiB, DiskMiB: n.DiskMiB, MemoryFactor: n.MemoryFactor, DiskFactor: n.DiskFactor,
		CPUFactor: n.CPUFactor, MemoryReserveMiB: n.MemoryReserveMiB, DiskReserveMiB: n.DiskReserveMiB}
}

func (n *Node) take(s Spec) {
	n.Name, n.Tags, n.Address, n.Port, n.BindAddress, n.PublicHost = s.Name, s.Tags, s.Address, s.Port, s.BindAddress, s.PublicHost
	n.Connection = s.Connection
	n.Processor, n.MemoryMiB, n.DiskMiB, n.MemoryFactor, n.DiskFactor = s.Processor, s.MemoryMiB, s.DiskMiB, s.MemoryFactor, s.DiskFactor
	n.CPUFactor, n.MemoryReserveMiB, n.DiskReserveMiB = s.CPUFactor, s.MemoryReserveMiB, s.DiskReserveMiB
}

const (
	maxName   = 64
	maxTags   = 32
	maxMiB    = 1 << 40
	maxFactor = 100
	minCPU    = 0.1 // the smallest factor of the cores
)

var (
	hostName = regexp.MustCompile(`^([A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?\.)*[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?\.?$`)
	tagForm  = regexp.MustCompile(`^[^\s,\x00-\x1f\x7f]{1,64}$`)
)

// clean fills in the defaults and says what is wrong.
func (s Spec) clean() (Spec, error) {
	if s.Connection == "" {
		s.Connection = Dial
	}
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
	case s.Connection != Dial && s.Connection != Tunnel:
		return s, problem.Invalid("connection", "%s or %s", Dial, Tunnel)
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
	case s.CPUFactor != 0 && !(s.CPUFactor >= minCPU && s.CPUFactor <= maxFactor):
		return s, problem.Invalid("cpu_factor", "%g to %d, or 0: then the cores limit nothing", minCPU, maxFactor)
	case s.MemoryReserveMiB < 0 || s.MemoryReserveMiB >= s.MemoryMiB:
		return s, problem.Invalid("memory_reserve", "0 to less than the node's memory, %d MiB", s.MemoryMiB)
	case s.DiskReserveMiB < 0 || s.DiskReserveMiB >= s.DiskMiB:
		return s, problem.Invalid("disk_reserve", "0 to less than the node's disk, %d MiB", s.DiskMiB)
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
