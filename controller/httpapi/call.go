package httpapi

import (
	"context"
	"fmt"
	"log/slog"
	"net/url"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"github.com/gofiber/fiber/v2"
	"github.com/google/uuid"
	"github.com/valyala/fasthttp"

	"github.com/berth-panel/berth/controller/access"
	"github.com/berth-panel/berth/shared/problem"
)

// call is one request on its way through the door. It lives on the connection's
// goroutine and is gone when the answer is written: nothing keeps it.
type call struct {
	api     *API
	http    *fasthttp.RequestCtx
	door    *door
	route   *route // nil while none is known
	id      string
	method  string
	path    string
	address string // of the client: host part; "" on the local socket
	began   time.Time
	caller  access.Caller
	key     string // the text of the API key
	session string // the text of the panel's cookie, when the caller came by it
	secure  bool   // it came by https
	params  map[string]string
	body    []byte
	ctx     context.Context
	failed  error  // what a typed handler or huma gave
	stored  []byte // what an idempotent call keeps; nil: the answer itself
	cause   error  // for the log
	// complete says of a transfer that all of its request's body was read.
	complete bool
}

type callKey struct{}

// scope is what of a call a context carries on, also beyond the call's end.
type scope struct {
	context.Context
	requestID string
	visit     Visit
}

// Value finds the scope itself by callKey.
func (s *scope) Value(key any) any {
	if key == (callKey{}) {
		return s
	}
	return s.Context.Value(key)
}

// newCall begins a call: from here on every answer has an id and the headers
// that protect it.
func (a *API) newCall(d *door, h *fasthttp.RequestCtx) *call {
	k := &call{
		api: a, http: h, door: d,
		id:     uuid.NewString(),
		method: string(h.Method()),
		path:   string(h.Request.URI().PathOriginal()),
		began:  a.now(),
	}
	if !d.local {
		k.origin(h)
	}
	protect(&h.Response, k.id)
	k.strict(&h.Response)
	return k
}

// serve answers one request of a connection.
func (a *API) serve(d *door, h *fasthttp.RequestCtx) {
	k := a.newCall(d, h)
	h.SetUserValue(callKey{}, k)
	defer k.end()
	if !slices.Contains(methods, k.method) {
		h.Response.Header.Set("Allow", strings.Join(methods, ", "))
		k.refuse(problem.New(problem.MethodNotAllowed, "the method %s isn't known here", clip(k.method)))
		return
	}
	a.route(h)
}

// end recovers, makes sure that nothing unread of this request is taken for the
// next one, and logs.
func (k *call) end() {
	if r := recover(); r != nil {
		k.api.log.Error("a handler panicked", "request", k.id, "method", k.method, "route", k.routeName(), "panic", fmt.Sprint(r), "stack", string(debug.Stack()))
		k.http.Response.Reset()
		protect(&k.http.Response, k.id)
		k.strict(&k.http.Response)
		k.refuse(problem.New(problem.Internal, "something went wrong inside Berth; the log has the request's id"))
	}
	k.drain()
	k.log()
	k.http.RemoveUserValue(callKey{})
}

// dataPolicy is of all that is no page of ours: whatever a customer has put into a
// file, it runs as nobody and loads nothing when a browser shows it all the same.
const dataPolicy = "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; sandbox"

// featurePolicy takes from pages what the panel has no use for. Passkeys and the
// clipboard are its own.
const featurePolicy = "accelerometer=(), autoplay=(), camera=(), display-capture=(), encrypted-media=(), geolocation=(), gyroscope=(), hid=(), idle-detection=(), " +
	"magnetometer=(), microphone=(), midi=(), payment=(), screen-wake-lock=(), serial=(), usb=(), xr-spatial-tracking=(), " +
	"clipboard-read=(self), clipboard-write=(self), fullscreen=(self), publickey-credentials-create=(self), publickey-credentials-get=(self)"

// protect sets the headers that every answer has; pages widen the policy.
func protect(r *fasthttp.Response, id string) {
	r.Header.Set("X-Request-Id", id)
	r.Header.Set("X-Content-Type-Options", "nosniff")
	r.Header.Set("X-Frame-Options", "DENY")
	r.Header.Set("Referrer-Policy", "no-referrer")
	r.Header.Set("Content-Security-Policy", dataPolicy)
	r.Header.Set("Permissions-Policy", featurePolicy)
	r.Header.Set("Cross-Origin-Opener-Policy", "same-origin")
	r.Header.Set("Cross-Origin-Resource-Policy", "same-origin")
	r.Header.Set("Cache-Control", "no-store")
}

func (k *call) routeName() string {
	if k.route == nil {
		return "-"
	}
	return k.route.Path
}

// log writes one line: what failed inside as an error, changes as info, the
// rest for debugging. Never a header, a query or a body.
func (k *call) log() {
	status := k.http.Response.StatusCode()
	if observe := k.api.cfg.Observe; observe != nil {
		observe(k.method, k.routeName(), status, k.api.now().Sub(k.began))
	}
	level := slog.LevelDebug
	switch {
	case status >= 500 && status != fiber.StatusServiceUnavailable && status != fiber.StatusInsufficientStorage: // those two are a node's state
		level = slog.LevelError
	case status < 400 && k.method != fiber.MethodGet && k.method != fiber.MethodHead && k.method != fiber.MethodOptions:
		level = slog.LevelInfo
	}
	ctx := k.door.requests
	if !k.api.log.Enabled(ctx, level) {
		return
	}
	attrs := []slog.Attr{
		slog.String("request", k.id), slog.String("method", clip(k.method)), slog.String("route", k.routeName()), slog.Int("status", status),
		slog.Duration("took", k.api.now().Sub(k.began)), slog.String("via", string(k.caller.Via)),
		slog.String("user", string(k.caller.User)), slog.String("key", string(k.caller.Key)),
	}
	if k.cause != nil && status >= 500 {
		attrs = append(attrs, slog.String("error", k.cause.Error()))
	}
	k.api.log.LogAttrs(ctx, level, "request", attrs...)
}

// handler is a route's entry in Fiber.
func (a *API) handler(r *route) fiber.Handler {
	return func(c *fiber.Ctx) error {
		k, ok := c.Context().UserValue(callKey{}).(*call)
		if !ok {
			return problem.New(problem.Internal, "a request came in by no door")
		}
		k.route = r
		return k.handle(c)
	}
}

// handle takes a call from its route to its answer.
func (k *call) handle(c *fiber.Ctx) error {
	if err := k.admit(); err != nil {
		return err
	}
	if err := k.readParams(c); err != nil {
		return err
	}
	if err := k.readQuery(); err != nil {
		return err
	}
	if k.route.transfer {
		if err := k.oversized(); err != nil {
			return err
		}
		return k.route.run(k)
	}
	if err := k.readBody(); err != nil {
		return err
	}
	base := access.With(&scope{k.door.requests, k.id, k.visit()}, k.caller)
	if k.route.stream {
		k.ctx = base
		return k.route.run(k)
	}
	ctx, cancel := context.WithTimeout(base, k.route.Timeout)
	defer cancel()
	k.ctx = ctx
	run := k.route.run
	if k.route.Idempotent {
		run = (*call).once
	}
	if err := run(k); err != nil {
		k.refuse(err) // while the context still says why it ended
	}
	return nil
}

// readParams takes the path apart; each part is unescaped once.
func (k *call) readParams(c *fiber.Ctx) error {
	names := c.Route().Params
	if len(names) == 0 {
		return nil
	}
	k.params = make(map[string]string, len(names))
	for _, name := range names {
		value, err := url.PathUnescape(c.Params(name))
		if err != nil {
			return problem.New(problem.BadRequest, "%s in the path isn't escaped as an address must be", name)
		}
		k.params[name] = value
	}
	return nil
}

// readQuery refuses parameters that the route doesn't know: a misspelt filter
// would else show everything.
func (k *call) readQuery() error {
	if !k.route.typed {
		return nil
	}
	var unknown []problem.Field
	for name := range k.http.QueryArgs().All() {
		if _, ok := k.route.queries[string(name)]; !ok && len(unknown) < maxFields {
			unknown = append(unknown, problem.Field{Field: clip(string(name)), Message: "no such query parameter"})
		}
	}
	if unknown != nil {
		return validationProblem(unknown)
	}
	return nil
}
