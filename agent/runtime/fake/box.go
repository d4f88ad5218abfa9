package fake

import (
	"net/netip"
	"time"

	"github.com/berth-panel/berth/agent/runtime"
	"github.com/berth-panel/berth/shared/ident"
)

// box is one container. The machine's mutex guards it.
type box struct {
	runtime.Container
	serial  uint64
	node    ident.Node
	spec    runtime.ContainerSpec
	image   *image
	program Program
	files   map[string]string // written by the program, over the image's
	links   map[string]string
	life    int           // counts starts: a timer of an earlier life does nothing
	down    chan struct{} // closed when this life ends
	lines   []string
	signals []string
	streams
	usage runtime.Usage // see SetUsage
}

func (b *box) up() bool { return b.Status == runtime.Running || b.Status == runtime.Paused }

type portKey struct {
	port     uint16
	protocol runtime.Protocol
}

// portUse is a published port; a nil holder is a program outside containers.
type portUse struct {
	ip     netip.Addr
	holder *box
}

// overlap says whether two addresses can't have the same port.
func overlap(a, b netip.Addr) bool {
	if a.Is4() != b.Is4() {
		return false
	}
	return a == b || a.IsUnspecified() || b.IsUnspecified()
}

// claim publishes a box's ports, all or none.
func (m *machine) claim(b *box) *runtime.Failure {
	for _, p := range b.spec.Ports {
		if m.addresses != nil && !m.addresses[p.HostIP] {
			return runtime.Fail(runtime.AddressNotHere, nil, "address %s is not one of this node's", p.HostIP)
		}
		ip := netip.MustParseAddr(p.HostIP) // the spec was validated
		for _, use := range m.ports[portKey{p.Host, p.Protocol}] {
			if !overlap(ip, use.ip) {
				continue
			}
			by := "container"
			if use.holder == nil {
				by = "program"
			}
			f := runtime.Fail(runtime.PortInUse, nil, "port %d is in use on this node by another %s", p.Host, by)
			f.Port = p.Host
			return f
		}
	}
	for _, p := range b.spec.Ports {
		k := portKey{p.Host, p.Protocol}
		m.ports[k] = append(m.ports[k], portUse{netip.MustParseAddr(p.HostIP), b})
	}
	return nil
}

// free gives a box's ports back.
func (m *machine) free(b *box) {
	for _, p := range b.spec.Ports {
		k := portKey{p.Host, p.Protocol}
		kept := m.ports[k][:0]
		for _, use := range m.ports[k] {
			if use.holder != b {
				kept = append(kept, use)
			}
		}
		if m.ports[k] = kept; len(kept) == 0 {
			delete(m.ports, k)
		}
	}
}

// begin starts a box, under the mutex.
func (m *machine) begin(b *box) {
	b.life++
	b.down = make(chan struct{})
	b.Status, b.Error, b.ExitCode, b.OOMKilled = runtime.Running, "", 0, false
	b.StartedAt, b.FinishedAt = m.now(), time.Time{}
	for at, text := range b.program.Files {
		b.files[at] = text
	}
	for at, target := range b.program.Links {
		b.links[at] = target
	}
	if b.program.Checked {
		b.Health = runtime.HealthStarting
	}
	m.tell(b, runtime.Started)
	m.print(b, false, b.program.Says)
	m.print(b, true, b.program.Cries)
	if b.program.Ends {
		m.endIn(b, b.program.Runs, b.program.ExitCode, b.program.OOM)
	}
}

// endIn ends this life of a box later.
func (m *machine) endIn(b *box, in time.Duration, code int, oom bool) {
	life := b.life
	time.AfterFunc(in, func() {
		m.mu.Lock()
		defer m.mu.Unlock()
		if b.life == life {
			m.end(b, code, oom)
		}
	})
}

// end ends a box, under the mutex; one that is down is left alone.
func (m *machine) end(b *box, code int, oom bool) {
	if !b.up() {
		return
	}
	if oom {
		code = 128 + sigkill
		m.tell(b, runtime.OOM)
	}
	b.Status, b.ExitCode, b.OOMKilled, b.FinishedAt, b.Health = runtime.Exited, code, oom, m.now(), ""
	m.free(b)
	m.hush(b)
	close(b.down)
	m.tell(b, runtime.Died)
}

// drop ends and forgets a box, under the mutex.
func (m *machine) drop(b *box) {
	m.end(b, 128+sigkill, false)
	m.hush(b)
	delete(m.boxes, b.ID)
	delete(m.names, b.Name)
	b.life++
	m.tell(b, runtime.Removed)
}
