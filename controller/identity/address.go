package identity

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/berth-panel/berth/shared/problem"
)

const addressesMost = 50 // of one key

// parseAddresses reads from where a key may be used: addresses and networks, as
// 192.0.2.7 or 2001:db8::/32; none is everywhere. What is behind a network's
// length is cut off, doubles are dropped.
func parseAddresses(texts []string) ([]netip.Prefix, error) {
	if len(texts) > addressesMost {
		return nil, problem.Invalid("addresses", "at most %d", addressesMost)
	}
	var out []netip.Prefix
	for _, t := range texts {
		p, err := parseAddress(strings.TrimSpace(t))
		if err != nil {
			return nil, err
		}
		if !slices.Contains(out, p) {
			out = append(out, p)
		}
	}
	return out, nil
}

func parseAddress(t string) (netip.Prefix, error) {
	if a, err := netip.ParseAddr(t); err == nil && a.Zone() == "" {
		a = a.Unmap()
		return netip.PrefixFrom(a, a.BitLen()), nil
	}
	p, err := netip.ParsePrefix(t)
	if err != nil || p.Addr().Is4In6() {
		return p, problem.Invalid("addresses", "%.60q is neither an address such as 192.0.2.7 nor a network such as 2001:db8::/32", t)
	}
	return p.Masked(), nil
}

// showAddresses is parseAddresses backwards.
func showAddresses(list []netip.Prefix) []string {
	out := make([]string, len(list))
	for n, p := range list {
		out[n] = p.String()
		if p.IsSingleIP() {
			out[n] = p.Addr().String()
		}
	}
	return out
}

// usable is nil when a key with that list may be used from an address, which is ""
// when nobody knows it. The list is not told: who found a key learns nothing.
func usable(list []netip.Prefix, from string) error {
	if len(list) == 0 {
		return nil
	}
	a, err := netip.ParseAddr(from)
	if err == nil && slices.ContainsFunc(list, func(p netip.Prefix) bool { return p.Contains(a.Unmap()) }) {
		return nil
	}
	return problem.New(problem.Unauthorized, "this API key may not be used from your address %.60q: its owner says from where it may", from)
}

// within says whether a key with the list can be used from nowhere that one with
// limits can't.
func within(list, limits []netip.Prefix) bool {
	if len(limits) == 0 {
		return true
	}
	return len(list) > 0 && !slices.ContainsFunc(list, func(p netip.Prefix) bool {
		return !slices.ContainsFunc(limits, func(l netip.Prefix) bool { return l.Bits() <= p.Bits() && l.Contains(p.Addr()) })
	})
}

func readAddresses(text string) ([]netip.Prefix, error) {
	var list []string
	if err := json.Unmarshal([]byte(text), &list); err != nil {
		return nil, fmt.Errorf("addresses of an API key: %w", err)
	}
	return parseAddresses(list)
}

func writeAddresses(list []netip.Prefix) string {
	text, _ := json.Marshal(showAddresses(list)) // plain texts: never fails
	return string(text)
}

// narrow limits a key's addresses to what the caller's own key has.
func (p power) narrow(k Key) (Key, error) {
	switch {
	case within(k.Addresses, p.own.Addresses):
		return k, nil
	case len(k.Addresses) == 0:
		k.Addresses = p.own.Addresses
		return k, nil
	}
	return k, problem.New(problem.Forbidden, "a key can't be used from more addresses than the one of this call: %s", strings.Join(showAddresses(p.own.Addresses), ", "))
}
