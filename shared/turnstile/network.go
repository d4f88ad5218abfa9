package turnstile

import "net/netip"

// Network is what tries are counted by: an IPv4 address, or the /64 of an IPv6
// one, since whoever has one of those has all of it. What is no address is
// itself.
func Network(address string) string {
	ip, err := netip.ParseAddr(address)
	if err != nil {
		return address
	}
	ip = ip.Unmap().WithZone("")
	if ip.Is4() {
		return ip.String()
	}
	prefix, err := ip.Prefix(64)
	if err != nil {
		return address
	}
	return prefix.String()
}
