package httpapi

import (
	"bytes"
	"context"
	"crypto/sha256"
	"net"
	"strconv"
	"time"

	"github.com/berth-panel/berth/controller/access"
	"github.com/berth-panel/berth/shared/problem"
	"github.com/berth-panel/berth/shared/turnstile"
)

// Authenticator turns the text of an API key into who is calling. From where he
// does is in the context (access.From: nobody, with an address). A key that is
// wrong, expired or revoked, or not for that address, or whose user is disabled,
// is an Unauthorized problem. It is called for every request and must be quick and safe for
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
		if err := k.checkOrigin(); err != nil {
			return err
		}
		if k.route.Unlimited || k.api.cfg.RateLimit == 0 {
			return nil
		}
		return k.count("address "+network(k.address), k.api.cfg.RateLimit*publicFactor, false)
	}
	if err := k.authenticate(); err != nil {
		return err
	}
	if !k.route.Unlimited {
		if err := k.count(counted(k.caller), k.api.limitOf(k.caller), true); err != nil {
			return err
		}
	}
	return k.route.Access.Check(k.caller)
}

// authenticate reads the key from x-api-key or Authorization: Bearer; without
// one, the panel's cookie.
func (k *call) authenticate() error {
	k.key = k.keyText()
	if cookie := k.cookie(); k.key == "" && cookie != "" {
		return k.bySession(k.door.requests, cookie)
	}
	var err error
	k.caller, err = k.api.identify(k.door.requests, k.address, k.key)
	return err
}

// counted is the name that a caller's calls are counted under.
func counted(c access.Caller) string {
	if c.Session != "" {
		return "session " + string(c.Session)
	}
	return string(c.Key)
}

// identify gives who calls with that key from that address.
func (a *API) identify(ctx context.Context, address, key string) (access.Caller, error) {
	if key == "" {
		return access.Caller{}, &refusal{
			Problem: problem.New(problem.Unauthorized, "this call needs an API key in the header x-api-key"),
			classic: "API key is required",
		}
	}
	now := a.now()
	digest := sha256.Sum256([]byte(key))
	if wait := a.guard.enter(address, digest, now); wait > 0 {
		return access.Caller{}, &refusal{
			Problem: problem.New(problem.RateLimited, "too many wrong API keys came from this address; wait a moment"),
			wait:    wait, classic: tooMany,
		}
	}
	caller, err := access.Caller{}, error(problem.New(problem.Unauthorized, "the API key is longer than any"))
	if len(key) <= maxKeyLength {
		ctx, cancel := context.WithTimeout(cameFrom(ctx, address), defaultTimeout)
		caller, err = a.cfg.Authenticator.Authenticate(ctx, key)
		cancel()
	}
	switch {
	case problem.Is(err, problem.Unauthorized):
		a.guard.wrong(address, digest, now)
		return access.Caller{}, &refusal{Problem: problem.From(err), classic: "API Key Invalid"}
	case err != nil:
		return access.Caller{}, err
	}
	a.guard.right(address, digest, now)
	caller.Address = address
	return caller, nil
}

// cameFrom puts an address into the context, of somebody who isn't known yet.
func cameFrom(ctx context.Context, address string) context.Context {
	return access.With(ctx, access.Caller{Actor: access.Actor{Address: address}})
}

// Key gives the text of the API key that came with the call, or "".
func (r *Request) Key() string { return r.call.keyText() }

// Identify gives who calls, on a public route: by the key in the call's headers,
// by the panel's cookie (where Operation.AnyOrigin doesn't stand), or as the local
// socket's admin; nobody (access.Caller.Known) without. A wrong key is
// UNAUTHORIZED, and counted.
func (r *Request) Identify(ctx context.Context) (access.Caller, error) {
	k := r.call
	if k.door.local {
		return access.Local(), nil
	}
	key := k.keyText()
	if cookie := k.cookie(); key == "" && cookie != "" {
		err := k.bySession(ctx, cookie)
		return k.caller, err
	}
	if key == "" {
		return access.Caller{Actor: access.Actor{Address: k.address}}, nil
	}
	return r.Identifier()(ctx, key)
}

// Identifier gives what finds out whose a key is that comes later than the call,
// in a socket's first message. It may be kept, and is the door's own way: wrong
// keys are counted by address, right ones against their limit.
func (r *Request) Identifier() func(ctx context.Context, key string) (access.Caller, error) {
	a, address := r.call.api, r.call.address
	return func(ctx context.Context, key string) (access.Caller, error) {
		caller, err := a.identify(ctx, address, key)
		if err != nil {
			return access.Caller{}, err
		}
		limit := a.limitOf(caller)
		if limit == 0 {
			return caller, nil
		}
		if v := a.limits.take(string(caller.Key), limit, a.now()); v.wait > 0 {
			return access.Caller{}, overLimit(limit, v)
		}
		return caller, nil
	}
}

// limitOf is how often a caller may call in a minute; 0 is no limit.
func (a *API) limitOf(c access.Caller) int {
	if c.RateLimit != nil {
		return *c.RateLimit
	}
	if c.Session != "" {
		return a.cfg.RateLimit * publicFactor // a page asks for much at a time
	}
	return a.cfg.RateLimit
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
	return overLimit(limit, v)
}

func overLimit(limit int, v verdict) error {
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

// network is what wrong keys are counted by.
func network(address string) string { return turnstile.Network(address) }
