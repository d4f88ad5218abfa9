// Package httpapi is the controller's front door: it listens, finds out who is
// calling, checks that he may, decodes and validates, hands a typed value to a
// handler, and writes the answer. It knows no feature, and it is the only
// importer of Fiber and huma.
//
// A feature registers each of its operations once, with Handle, HandlePage,
// HandleStream, HandleSocket, HandleTransfer (files of any length) or (the
// classic API) HandleRaw. From that one registration come
// the route, its rule, the validation and the OpenAPI document.
//
// # The way of a request
//
//	request id → who calls (key, panel's cookie or local socket) → rate limit → rule → body
//	within the route's limit → Idempotency-Key → decode and validate → handler
//
// Nothing of a body is read before the rule let the caller pass.
//
// # Promises
//
//   - Every answer under /api, /openapi.json included, is JSON, also for what is
//     refused before a route is known: a broken header, a body that is too large,
//     a method that doesn't exist. No input gets a 5xx; a panic is recovered,
//     logged with its stack, and answered with INTERNAL_ERROR.
//   - Every answer has a request_id that was made here, in X-Request-Id and in
//     the body of an error, and in the log.
//   - A route without a rule can't be registered: Err and Serve tell.
//   - A context handed to a handler ends at the operation's timeout and when the
//     server stops; it isn't cancelled when the client goes away, since fasthttp
//     doesn't tell (streams find out at their next heartbeat).
//   - Headers and bodies are never logged.
//
// # Rate limits
//
// Counted exactly over a sliding minute and a sliding second, per key. See
// Config.RateLimit for the numbers. X-RateLimit-Reset is the epoch second at
// which the oldest counted call leaves the minute, so the moment from which
// X-RateLimit-Remaining grows again; a refused call isn't counted. A caller
// without a limit gets no X-RateLimit headers. Calls without a key are counted
// per address, twelve times as generously; with RateLimit 0 they aren't.
//
// Wrong keys are counted per address: see guard.
//
// A login of the panel may call twelve times as often as a key: a page asks for
// much at a time. Wrong cookies are counted with the calls without a key.
//
// # The panel's cookie
//
// A key in a header wins over the cookie. A browser sends the cookie whoever's page
// makes the call, so that what it says is taken only with a proof that the page is
// ours: a call other than GET and HEAD needs the header X-Csrf-Token (made of the
// cookie's text: no page of another site can know it) and no Origin or
// Sec-Fetch-Site of another site; a socket needs our Origin. Where any site may open
// a socket (AnyOrigin) the cookie counts for nothing. Public routes with SameOrigin,
// logins, are held to the same origins. With https the cookie's name begins with
// __Host-, so that neither http nor a neighbouring name can set it.
//
// Beside it goes berth_logged_in=1, which pages may read and which proves nothing:
// without it the panel asks for no session, and whoever is logged out gets no 401.
// Refused: an answer 200 to GET /session that says that there is none.
//
// An origin is ours when it is Config.PublicURL's, or the very host that was called:
// a stranger's name that leads here has its own cookies. Links that are mailed are
// made of the public URL alone, never of a call's Host.
//
// # Proxies
//
// X-Forwarded-For and X-Forwarded-Proto count when Config.Proxies has who sent them:
// the client is the first address from the right that is no proxy of ours.
//
// # Idempotency
//
// A create that carries Idempotency-Key is carried out once per API key (by the
// panel: user) and text for 24 hours; the same call again gets the first answer with
// Idempotency-Replayed: true. See answers for the details. The table
// idempotent_answers is this room's own, the one table that is: what it holds
// are answers of this door, and no feature should know that it exists. A
// separate room for it would have nothing else in it.
//
// # Type names
//
// The OpenAPI document names a schema by its Go type's name without the package,
// so the names of input and output types must be unique over all features:
// UserView, not View. Two alike are reported by Err and Serve.
//
// # Decisions
//
// huma's own Fiber adapter is not used: it hands out Fiber's reused context,
// reads a nil stream, and dereferences a nil URL for one that doesn't parse. Ours
// (adapter.go) reads the body itself, within the route's limit, before huma sees
// it. huma decodes and validates; answers are written here, because its way out
// marshals through a registry of formats and would need its package variables
// set to speak our envelope.
//
// A cancelled key, and a login that ended, ends its streams and sockets: each is
// authenticated again every two seconds. A stream ends too when its caller has other
// rights than it began with, and its client comes again with those.
//
// A body that is a stream (HandleTransfer) has no time limit as a whole, but its
// client must get 64 KiB across in every 30 s that are spent waiting for it: one
// that stalls, or trickles, is cut. Answers go out by 256 KiB at most, and as soon as
// they are given; those whose size nobody knows in chunks that are as large, which
// are written here: fasthttp's are of 4 KiB.
//
// A WebSocket is made by gorilla's upgrader on the connection itself, taken from
// fasthttp by Hijack. Two other ways were looked at: Fiber's adaptor, which plays
// a whole net/http exchange on two more goroutines for each socket, and
// fasthttp/websocket, a second copy of gorilla's code in the binary.
package httpapi
