package httpapi

import (
	"bytes"
	"context"
	"crypto/sha256"
	"net"
	"net/netip"
	"strconv"
	"time"

	"github.com/berth-panel/berth/controller/access"
	"github.com/berth-panel/berth/shared/problem"
)

// Authenticator turns the text of an API key into who is calling. A key that is
// wrong, expired or revoked, or whose user is disabled, is an Unauthorized
// problem. It is called for every request and must be quick and safe for
// concurrent use; a revoked key must be refused at once.
type Authenticator interface {
	Authenticate(ctx context.Context, key string) (access.Caller, error)
}

// maxKeyLength is more than any key has.
const maxKeyLength = 512

// publicFactor is how much more often calls without a key may come from one
// address than calls with one key: many people can share an address.
const publicFactor = 12

// admit finds out who calls, counts the call, and checks the route's rule.
// Nothing of the body has been read.
func (k *call) admit() error {
	if k.door.local {
		k.caller = access.Local()
		return k.route.Access.Check(k.caller)
	}
	if k.route.Access.IsPublic() {
		k.caller.Address = k.address // of nobody: Caller.Known stays false
		if k.route.Unlimited || k.api.cfg.RateLimit == 0 {
			return nil
		}
		return k.count("address "+network(k.address), k.api.cfg.RateLimit*publicFactor, false)
	}
	if err := k.authenticate(); err != nil {
		return err
	}
	if !k.route.Unlimited {
		limit := k.api.cfg.RateLimit
		if k.caller.RateLimit != nil {
			limit = *k.caller.RateLimit
		}
		if err := k.count(string(k.caller.Key), limit, true); err != nil {
			return err
		}
	}
	return k.route.Access.Check(k.caller)
}

// authenticate reads the key from x-api-key or Authorization: Bearer.
func (k *call) authenticate() error {
	k.key = k.keyText()
	if k.key == "" {
		return &refusal{
			Problem: problem.New(problem.Unauthorized, "this call needs an API key in the header x-api-key"),
			classic: "API key is required",
		}
	}
	now := k.api.now()
	digest := sha256.Sum256([]byte(k.key))
	if wait := k.api.guard.enter(k.address, digest, now); wait > 0 {
		return &refusal{
			Problem: problem.New(problem.RateLimited, "too many wrong API keys came from this address; wait a moment"),
			wait:    wait, classic: tooMany,
		}
	}
	caller, err := access.Caller{}, error(problem.New(problem.Unauthorized, "the API key is longer than any"))
	if len(k.key) <= maxKeyLength {
		ctx, cancel := context.WithTimeout(k.door.requests, defaultTimeout)
		caller, err = k.api.cfg.Authenticator.Authenticate(ctx, k.key)
		cancel()
	}
	switch {
	case problem.Is(err, problem.Unauthorized):
		k.api.guard.wrong(k.address, digest, now)
		return &refusal{Problem: problem.From(err), classic: "API Key Invalid"}
	case err != nil:
		return err
	}
	k.api.guard.right(k.address, digest, now)
	k.caller = caller
	k.caller.Address = k.address
	return nil
}

func (k *call) keyText() string {
	if key := k.http.Request.Header.Peek("X-Api-Key"); len(key) > 0 {
		return string(key)
	}
	header := k.http.Request.Header.Peek("Authorization")
	const scheme = "Bearer "
	if len(header) > len(scheme) && bytes.EqualFold(header[:len(scheme)], []byte(scheme)) {
		return string(bytes.TrimSpace(header[len(scheme):]))
	}
	return ""
}

const tooMany = "Too many requests, please try again later"

// count asks the limiter and tells the caller how he stands. A limit of 0 is none.
func (k *call) count(who string, limit int, tell bool) error {
	if limit == 0 {
		return nil
	}
	v := k.api.limits.take(who, limit, k.api.now())
	if tell {
		h := &k.http.Response.Header
		h.Set("X-RateLimit-Limit", strconv.Itoa(limit))
		h.Set("X-RateLimit-Remaining", strconv.Itoa(v.remaining))
		h.Set("X-RateLimit-Reset", strconv.FormatInt(v.reset, 10))
	}
	if v.wait == 0 {
		return nil
	}
	return &refusal{
		Problem: problem.New(problem.RateLimited, "too many calls: %d a minute and %d a second are allowed; wait %s",
			limit, perSecond(limit), max(time.Second, v.wait.Round(time.Second))),
		wait: v.wait, classic: tooMany,
	}
}

// addressOf names where a connection comes from, without the port.
func addressOf(a net.Addr) string {
	tcp, ok := a.(*net.TCPAddr)
	if !ok {
		return ""
	}
	return tcp.AddrPort().Addr().Unmap().WithZone("").String()
}

// network is what wrong keys are counted by: an IPv4 address, or the /64 of an
// IPv6 one, since whoever has one of those has all of it.
func network(address string) string {
	ip, err := netip.ParseAddr(address)
	if err != nil || ip.Is4() {
		return address
	}
	prefix, err := ip.Prefix(64)
	if err != nil {
		return address
	}
	return prefix.String()
}
