package httpapi

import (
	"crypto/tls"
	"net/netip"
	"strings"

	"github.com/valyala/fasthttp"
)

// origin finds out where a call comes from, and whether that was by https. What a
// proxy says of it counts when its own address is one of those that are trusted,
// and only as far as the chain is theirs: the first address from the right that
// is nobody's of them is the client. What stands left of it was sent by him.
func (k *call) origin(h *fasthttp.RequestCtx) {
	k.address = addressOf(h.RemoteAddr())
	if c, ok := h.Conn().(*conn); ok {
		_, k.secure = c.Conn.(interface{ ConnectionState() tls.ConnectionState })
	}
	if !k.api.trusts(k.address) {
		return
	}
	if scheme := lastOf(&h.Request.Header, "X-Forwarded-Proto"); scheme != "" {
		k.secure = strings.EqualFold(scheme, "https")
	}
	chain := strings.Split(joined(&h.Request.Header, "X-Forwarded-For"), ",")
	for n := len(chain) - 1; n >= 0; n-- {
		address, ok := parseHop(chain[n])
		if !ok {
			return
		}
		k.address = address
		if !k.api.trusts(address) {
			return
		}
	}
}

func (a *API) trusts(address string) bool {
	if len(a.cfg.Proxies) == 0 {
		return false
	}
	ip, err := netip.ParseAddr(address)
	if err != nil {
		return false
	}
	for _, p := range a.cfg.Proxies {
		if p.Contains(ip) {
			return true
		}
	}
	return false
}

// parseHop reads an address that a proxy wrote, some with the port.
func parseHop(text string) (string, bool) {
	text = strings.TrimSpace(text)
	ip, err := netip.ParseAddr(strings.Trim(text, "[]"))
	if err != nil {
		with, err := netip.ParseAddrPort(text)
		if err != nil {
			return "", false
		}
		ip = with.Addr()
	}
	return ip.Unmap().WithZone("").String(), true
}

// joined is a header's text, of all the times that it is there.
func joined(h *fasthttp.RequestHeader, name string) string {
	var all []string
	for _, value := range h.PeekAll(name) {
		all = append(all, string(value))
	}
	return strings.Join(all, ",")
}

// lastOf is what the nearest proxy wrote into a list.
func lastOf(h *fasthttp.RequestHeader, name string) string {
	text := joined(h, name)
	return strings.TrimSpace(text[strings.LastIndexByte(text, ',')+1:])
}
