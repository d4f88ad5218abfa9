package egress

import (
	"bytes"
	"errors"
	"net"
	"net/netip"
	"slices"
	"strings"

	"github.com/google/nftables"
	"github.com/google/nftables/binaryutil"
	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"

	"github.com/berth-panel/berth/shared/ident"
)

// The names within the tables.
const (
	chainForward = "forward"
	chainInput   = "input"
	chainInside  = "inside" // what no instance reaches by itself
	chainNames   = "names"  // the resolvers
	chainDeliver = "deliver"
	setSends     = "sends"    // hardware address → chain, of what is sent on
	setToNode    = "to-node"  // hardware address → chain, of what is sent to the node
	setReceives  = "receives" // hardware address → chain, of what comes in
	setOpen      = "open"     // ports of instances that let others in
)

// beforeOthers is a priority just before that of Docker's own chains.
const beforeOthers = nftables.ChainPriority(-10)

// inside are the networks that are no part of the internet.
var inside = []string{
	"0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12", "192.0.0.0/24", "192.168.0.0/16", "198.18.0.0/15",
	"224.0.0.0/4", "240.0.0.0/4", "::/127", "64:ff9b:1::/48", "fc00::/7", "fe80::/10", "ff00::/8",
}

// batch is one transaction on the node's tables.
type batch struct {
	*nftables.Conn
	ip, bridge                 *nftables.Table
	sends, toNode, open, gives *nftables.Set
}

func (f *Firewall) begin() (*batch, error) {
	c, err := nftables.New()
	if err != nil {
		return nil, err
	}
	b := &batch{
		Conn:   c,
		ip:     c.AddTable(&nftables.Table{Family: nftables.TableFamilyINet, Name: f.table}),
		bridge: c.AddTable(&nftables.Table{Family: nftables.TableFamilyBridge, Name: f.table}),
	}
	b.sends = &nftables.Set{Table: b.ip, Name: setSends, IsMap: true, KeyType: nftables.TypeEtherAddr, DataType: nftables.TypeVerdict}
	b.toNode = &nftables.Set{Table: b.ip, Name: setToNode, IsMap: true, KeyType: nftables.TypeEtherAddr, DataType: nftables.TypeVerdict}
	b.open = &nftables.Set{Table: b.ip, Name: setOpen, KeyType: nftables.TypeInetService}
	b.gives = &nftables.Set{Table: b.bridge, Name: setReceives, IsMap: true, KeyType: nftables.TypeEtherAddr, DataType: nftables.TypeVerdict}
	for n, s := range []*nftables.Set{b.sends, b.toNode, b.open, b.gives} {
		s.ID = uint32(n + 1) // within this transaction; the library would draw it from a counter without a lock
		if err := c.AddSet(s, nil); err != nil {
			return nil, err
		}
	}
	return b, nil
}

// base makes all that is not of a single instance, or puts it right; the caller
// holds mu.
func (f *Firewall) base() error {
	b, err := f.begin()
	if err != nil {
		return err
	}
	filter := func(table *nftables.Table, name string, hook *nftables.ChainHook) *nftables.Chain {
		priority := beforeOthers
		chain := b.AddChain(&nftables.Chain{Table: table, Name: name, Type: nftables.ChainTypeFilter, Hooknum: hook, Priority: &priority})
		b.FlushChain(chain)
		return chain
	}
	own := func(name string) *nftables.Chain {
		chain := b.AddChain(&nftables.Chain{Table: b.ip, Name: name})
		b.FlushChain(chain)
		return chain
	}
	insides, names := own(chainInside), own(chainNames)
	for _, text := range inside {
		b.rule(insides, to(netip.MustParsePrefix(text)), reject())
	}
	for _, resolver := range f.resolvers() {
		b.rule(names, to(netip.PrefixFrom(resolver, resolver.BitLen())), port(53), pass())
	}
	b.rule(filter(b.ip, chainForward, nftables.ChainHookForward), from(f.options.Bridge), by(b.sends, 6))
	b.rule(filter(b.ip, chainInput, nftables.ChainHookInput), from(f.options.Bridge), by(b.toNode, 6))
	b.rule(filter(b.bridge, chainDeliver, nftables.ChainHookOutput), by(b.gives, 0))
	return b.Flush()
}

// write replaces the rules of an instance; the caller holds mu.
func (f *Firewall) write(id ident.Instance, allow []netip.Prefix, before, want held) error {
	b, err := f.begin()
	if err != nil {
		return err
	}
	chain := func(table *nftables.Table, kind string) *nftables.Chain {
		c := b.AddChain(&nftables.Chain{Table: table, Name: kind + "-" + string(id)})
		b.FlushChain(c)
		return c
	}
	sends, node, gives := chain(b.ip, "sends"), chain(b.ip, "node"), chain(b.bridge, "receives")
	n := want.network
	for _, c := range []*nftables.Chain{sends, node} {
		b.police(c, n.OutBytes)
		b.rule(c, answers(), pass())
		for _, p := range allow {
			b.rule(c, to(p), pass())
		}
	}
	b.police(gives, n.InBytes)
	if n.Offline {
		b.rule(sends, reject())
	} else {
		b.rule(sends, jump(chainNames))
		b.rule(node, jump(chainNames))
		if n.Instances {
			b.rule(sends, wasFor(b.open), pass())
			b.rule(node, portIn(b.open), pass())
		}
		b.rule(sends, jump(chainInside))
	}
	b.rule(node, reject())
	if err := b.ports(before, want, f.opens(id)); err != nil {
		return err
	}
	mac := MAC(id)
	for set, c := range map[*nftables.Set]*nftables.Chain{b.sends: sends, b.toNode: node, b.gives: gives} {
		element := []nftables.SetElement{{Key: mac, VerdictData: &expr.Verdict{Kind: expr.VerdictJump, Chain: c.Name}}}
		if err := b.SetAddElements(set, element); err != nil {
			return err
		}
	}
	return b.Flush()
}

// ports brings the open ports from what was to what is to be. others are open for
// other instances: those have the same port of other addresses of the node.
func (b *batch) ports(before, want held, others map[uint16]bool) error {
	elements := func(list []uint16) (elements []nftables.SetElement) {
		for _, p := range list {
			elements = append(elements, nftables.SetElement{Key: binaryutil.BigEndian.PutUint16(p)})
		}
		return elements
	}
	closed := slices.DeleteFunc(before.open(), func(p uint16) bool { return others[p] })
	// Each in a way that doesn't mind what is there: added, then taken away.
	if old := elements(closed); len(old) > 0 {
		if err := errors.Join(b.SetAddElements(b.open, old), b.SetDeleteElements(b.open, old)); err != nil {
			return err
		}
	}
	if fresh := elements(want.open()); len(fresh) > 0 {
		return b.SetAddElements(b.open, fresh)
	}
	return nil
}

// erase takes the rules of an instance away; the caller holds mu.
func (f *Firewall) erase(id ident.Instance, before held) error {
	b, err := f.begin()
	if err != nil {
		return err
	}
	mac := MAC(id)
	for set, kind := range map[*nftables.Set]string{b.sends: "sends", b.toNode: "node", b.gives: "receives"} {
		c := b.AddChain(&nftables.Chain{Table: set.Table, Name: kind + "-" + string(id)})
		element := []nftables.SetElement{{Key: mac, VerdictData: &expr.Verdict{Kind: expr.VerdictJump, Chain: c.Name}}}
		if err := errors.Join(b.SetAddElements(set, element), b.SetDeleteElements(set, element)); err != nil {
			return err
		}
		b.FlushChain(c)
		b.DelChain(c)
	}
	if err := b.ports(before, held{}, f.opens(id)); err != nil {
		return err
	}
	return b.Flush()
}

// closeBut closes the ports that are open for nobody any more; the caller holds mu.
func (f *Firewall) closeBut(open map[uint16]bool) error {
	b, err := f.begin()
	if err != nil {
		return err
	}
	there, err := b.GetSetElements(b.open)
	if err != nil {
		return err
	}
	there = slices.DeleteFunc(there, func(e nftables.SetElement) bool {
		return len(e.Key) != 2 || open[binaryutil.BigEndian.Uint16(e.Key)]
	})
	if len(there) == 0 {
		return nil
	}
	if err := errors.Join(b.SetAddElements(b.open, there), b.SetDeleteElements(b.open, there)); err != nil {
		return err
	}
	return b.Flush()
}

// stands says whether the tables are there with their hooks.
func (f *Firewall) stands() (bool, error) {
	c, err := nftables.New()
	if err != nil {
		return false, err
	}
	hooked := 0
	for _, family := range []nftables.TableFamily{nftables.TableFamilyINet, nftables.TableFamilyBridge} {
		chains, err := c.ListChainsOfTableFamily(family)
		if err != nil {
			return false, err
		}
		for _, chain := range chains {
			if chain.Table.Name == f.table && chain.Hooknum != nil {
				hooked++
			}
		}
	}
	return hooked == 3, nil
}

// Uninstall takes a node's tables away, with all rules; that there are none is no
// error. Its agent must not run.
func Uninstall(node ident.Node) error {
	c, err := nftables.New()
	if err != nil {
		return err
	}
	for _, family := range []nftables.TableFamily{nftables.TableFamilyINet, nftables.TableFamilyBridge} {
		c.DelTable(c.AddTable(&nftables.Table{Family: family, Name: tableOf(node)})) // made first, so that it is there
	}
	return c.Flush()
}

// part is a piece of a rule.
type part []expr.Any

func (b *batch) rule(c *nftables.Chain, parts ...part) {
	var all []expr.Any
	for _, p := range parts {
		all = append(all, p...)
	}
	b.AddRule(&nftables.Rule{Table: c.Table, Chain: c, Exprs: all})
}

// police drops what is more than rate bytes a second; 0 is no limit.
func (b *batch) police(c *nftables.Chain, rate int64) {
	if rate <= 0 {
		return
	}
	// At once may pass what a second may, and a few of the largest packets there are.
	b.rule(c, part{&expr.Limit{Type: expr.LimitTypePktBytes, Rate: uint64(rate), Over: true, Unit: expr.LimitTimeSecond, Burst: 256 << 10},
		&expr.Verdict{Kind: expr.VerdictDrop}})
}

// from matches what comes in by a device.
func from(device string) part {
	name := make([]byte, unix.IFNAMSIZ)
	copy(name, device)
	return part{&expr.Meta{Key: expr.MetaKeyIIFNAME, Register: 1}, &expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: name}}
}

// by goes on where the set says for the hardware address at that offset of the
// packet: 6 is the sender's, 0 the receiver's.
func by(set *nftables.Set, offset uint32) part {
	return part{
		&expr.Payload{DestRegister: 1, Base: expr.PayloadBaseLLHeader, Offset: offset, Len: 6},
		&expr.Lookup{SourceRegister: 1, SetName: set.Name, SetID: set.ID, DestRegister: 0, IsDestRegSet: true},
	}
}

// to matches what is sent to a network.
func to(p netip.Prefix) part {
	proto, offset := byte(unix.NFPROTO_IPV4), uint32(16)
	if p.Addr().Is6() {
		proto, offset = unix.NFPROTO_IPV6, 24
	}
	length := uint32(p.Addr().BitLen() / 8)
	mask := net.CIDRMask(p.Bits(), p.Addr().BitLen())
	return part{
		&expr.Meta{Key: expr.MetaKeyNFPROTO, Register: 1}, &expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: []byte{proto}},
		&expr.Payload{DestRegister: 1, Base: expr.PayloadBaseNetworkHeader, Offset: offset, Len: length},
		&expr.Bitwise{SourceRegister: 1, DestRegister: 1, Len: length, Mask: mask, Xor: bytes.Repeat([]byte{0}, int(length))},
		&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: p.Masked().Addr().AsSlice()},
	}
}

// transport matches the protocols that have ports at the usual place.
func transport() part {
	// tcp is 6, udp 17: both are in this range, and what else is has no such ports open.
	return part{
		&expr.Meta{Key: expr.MetaKeyL4PROTO, Register: 1},
		&expr.Range{Op: expr.CmpOpEq, Register: 1, FromData: []byte{unix.IPPROTO_TCP}, ToData: []byte{unix.IPPROTO_UDP}},
	}
}

// port matches what is sent to one port, by tcp or udp.
func port(number uint16) part {
	return append(transport(),
		&expr.Payload{DestRegister: 1, Base: expr.PayloadBaseTransportHeader, Offset: 2, Len: 2},
		&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: binaryutil.BigEndian.PutUint16(number)},
	)
}

// portIn matches what is sent to a port of the set.
func portIn(set *nftables.Set) part {
	return append(transport(),
		&expr.Payload{DestRegister: 1, Base: expr.PayloadBaseTransportHeader, Offset: 2, Len: 2},
		&expr.Lookup{SourceRegister: 1, SetName: set.Name, SetID: set.ID},
	)
}

// wasFor matches what was sent to a port of the set before Docker translated it.
func wasFor(set *nftables.Set) part {
	const statusDNAT, original = 1 << 5, 0
	return append(transport(),
		&expr.Ct{Key: expr.CtKeySTATUS, Register: 1},
		&expr.Bitwise{SourceRegister: 1, DestRegister: 1, Len: 4, Mask: binaryutil.NativeEndian.PutUint32(statusDNAT), Xor: make([]byte, 4)},
		&expr.Cmp{Op: expr.CmpOpNeq, Register: 1, Data: make([]byte, 4)},
		&expr.Ct{Key: expr.CtKeyPROTODST, Register: 1, Direction: original},
		&expr.Lookup{SourceRegister: 1, SetName: set.Name, SetID: set.ID},
	)
}

// answers matches what belongs to a connection that the other side began.
func answers() part {
	const reply = 1
	return part{&expr.Ct{Key: expr.CtKeyDIRECTION, Register: 1}, &expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: []byte{reply}}}
}

// pass lets a packet through as far as we are concerned: Docker's own rules judge it too.
func pass() part { return part{&expr.Verdict{Kind: expr.VerdictAccept}} }

func jump(chain string) part { return part{&expr.Verdict{Kind: expr.VerdictJump, Chain: chain}} }

func reject() part {
	return part{&expr.Reject{Type: unix.NFT_REJECT_ICMPX_UNREACH, Code: unix.NFT_REJECT_ICMPX_ADMIN_PROHIBITED}}
}

// known are the instances that the tables have chains of.
func (f *Firewall) known() []ident.Instance {
	c, err := nftables.New()
	if err != nil {
		return nil
	}
	chains, err := c.ListChainsOfTableFamily(nftables.TableFamilyINet)
	if err != nil {
		return nil
	}
	var list []ident.Instance
	for _, chain := range chains {
		if id, ok := strings.CutPrefix(chain.Name, "sends-"); ok && chain.Table.Name == f.table && ident.Instance(id).Valid() {
			list = append(list, ident.Instance(id))
		}
	}
	return list
}
