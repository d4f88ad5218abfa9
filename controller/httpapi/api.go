package httpapi

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net/netip"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/gofiber/fiber/v2"
	"github.com/valyala/fasthttp"

	"github.com/berth-panel/berth/controller/store"
)

// DefaultRateLimit is what a key may call in a minute unless it or the
// configuration says otherwise.
const DefaultRateLimit = 100

// Config is what the front door needs. All but Static and RateLimit must be there.
type Config struct {
	Authenticator Authenticator
	DB            *store.DB // keeps the answers of idempotent calls
	Logger        *slog.Logger
	Now           func() time.Time
	// RateLimit is how often a key without a number of its own may call in a
	// minute; 0 is no limit. In any one second a key with the limit L may call
	// max(20, L/5) times.
	RateLimit int
	Title     string // of the OpenAPI document
	Version   string // of the OpenAPI document
	Static    fs.FS  // the panel's pages, served at /; nil: none
	// Sessions turns the panel's cookie into who is calling, as Authenticator does
	// a key; nil: nobody comes by a cookie.
	Sessions Authenticator
	// PublicURL is where browsers find the panel. With https the cookie is for
	// https alone, and other sites of the same host can't set it.
	PublicURL string
	// Proxies are trusted to say where a call comes from (X-Forwarded-For) and
	// whether that was https (X-Forwarded-Proto); what others say counts for nothing.
	Proxies []netip.Prefix
	// HSTS tells browsers that came by https to come by nothing else for a year.
	HSTS bool
	// Observe is told of each call that was answered: its route's path as it was
	// registered, or "-". It must not wait for anything. nil: nobody is.
	Observe func(method, route string, status int, took time.Duration)
}

// API is the front door. Register every operation first, then serve: both at
// once is a race. Serving is safe on any number of listeners at the same time.
type API struct {
	cfg     Config
	log     *slog.Logger
	now     func() time.Time
	app     *fiber.App
	adapter *adapter
	huma    humaAPI
	routes  []*route
	err     error // the first mistake of a registration
	limits  *limiter
	guard   *guard
	site    site
	answers *answers
	streams *streams
	pages   pages
	pace    pace
	buffers sync.Pool
	built   sync.Once
	route   fasthttp.RequestHandler // Fiber's, once it is built
	openAPI func() ([]byte, error)
}

// New makes a front door with /openapi.json and /docs and nothing else.
func New(cfg Config) (*API, error) {
	if cfg.Authenticator == nil || cfg.DB == nil || cfg.Logger == nil || cfg.Now == nil {
		return nil, errors.New("httpapi: Authenticator, DB, Logger and Now must be given")
	}
	if cfg.RateLimit < 0 {
		return nil, errors.New("httpapi: a rate limit can't be negative")
	}
	a := &API{
		cfg:     cfg,
		log:     cfg.Logger,
		now:     cfg.Now,
		adapter: &adapter{},
		limits:  newLimiter(),
		guard:   newGuard(),
		answers: newAnswers(cfg.DB, cfg.Now),
		streams: newStreams(),
		pace:    usualPace(),
		buffers: sync.Pool{New: newBuffer},
	}
	var err error
	if a.site, err = newSite(cfg.PublicURL); err != nil {
		return nil, err
	}
	a.openAPI = sync.OnceValues(a.document)
	a.app = fiber.New(fiber.Config{
		Immutable:                    true,
		CaseSensitive:                true,
		DisableStartupMessage:        true,
		DisablePreParseMultipartForm: true,
		StreamRequestBody:            true,
		RequestMethods:               methods,
		ErrorHandler:                 a.fiberError,
	})
	a.huma = newHuma(cfg, a.adapter)
	if err := a.addPages(); err != nil {
		return nil, err
	}
	return a, a.err
}

// Err is the first mistake that was made in registering operations: a route
// without a rule, two alike, two types of one name. Serve returns it too.
func (a *API) Err() error { return a.err }

// Routes lists what is registered, sorted by path and method.
func (a *API) Routes() []Route {
	out := make([]Route, 0, len(a.routes))
	for _, r := range a.routes {
		out = append(out, Route{Method: r.Method, Path: r.Path, ID: r.ID, Tag: r.Tag, Access: r.Access, Style: r.Style, Stream: r.stream, Socket: r.socket, Hidden: r.hidden})
	}
	slices.SortFunc(out, func(x, y Route) int {
		return strings.Compare(x.Path+" "+x.Method, y.Path+" "+y.Method)
	})
	return out
}

// Served lists what the server really answers to, as "METHOD /path/{part}",
// sorted: for tests that hold it against Routes and the OpenAPI document. It
// ends the registration.
func (a *API) Served() []string {
	a.built.Do(a.build)
	var out []string
	for _, r := range a.app.GetRoutes() {
		out = append(out, r.Method+" "+fiberParam.ReplaceAllString(r.Path, "{$1}"))
	}
	slices.Sort(out)
	return slices.Compact(out)
}

var fiberParam = regexp.MustCompile(`:([a-zA-Z_]+)`)

// fail keeps the first mistake.
func (a *API) fail(op Operation, err error) {
	if a.err == nil {
		a.err = fmt.Errorf("httpapi: %s %s (%s): %w", op.Method, op.Path, op.ID, err)
	}
}

// add checks an operation and makes its route; nil after a mistake.
func (a *API) add(op Operation) *route {
	op, err := op.complete()
	if err != nil {
		a.fail(op, err)
		return nil
	}
	for _, r := range a.routes {
		if r.ID == op.ID || (r.Method == op.Method && r.Path == op.Path) {
			a.fail(op, fmt.Errorf("is registered already, as %s %s (%s)", r.Method, r.Path, r.ID))
			return nil
		}
	}
	r := &route{Operation: op}
	a.routes = append(a.routes, r)
	return r
}

// build puts the routes into Fiber, fixed segments before parameters, so that
// the order of registration doesn't matter.
func (a *API) build() {
	sorted := slices.Clone(a.routes)
	slices.SortStableFunc(sorted, func(x, y *route) int { return strings.Compare(x.order(), y.order()) })
	for _, r := range sorted {
		handler := a.handler(r)
		a.app.Add(r.Method, r.fiberPath(), handler)
		if r.Method == fiber.MethodGet && !r.stream && a.withoutHead(r) {
			a.app.Add(fiber.MethodHead, r.fiberPath(), handler)
		}
	}
	a.route = a.app.Handler()
}

// register runs f, which calls huma, and turns its panics about types into a
// mistake of the operation.
func (a *API) register(op Operation, f func()) (ok bool) {
	defer func() {
		if r := recover(); r != nil {
			a.fail(op, fmt.Errorf("%v", r))
		}
	}()
	f()
	return true
}

func newHuma(cfg Config, ad *adapter) humaAPI {
	title := cfg.Title
	if title == "" {
		title = "Berth"
	}
	return humaAPI{huma.NewAPI(huma.Config{
		OpenAPI: &huma.OpenAPI{
			OpenAPI: "3.1.0",
			Info:    &huma.Info{Title: title, Version: cfg.Version},
			Components: &huma.Components{
				Schemas: huma.NewMapRegistry("#/components/schemas/", huma.DefaultSchemaNamer),
				SecuritySchemes: map[string]*huma.SecurityScheme{
					"apiKey": {Type: "apiKey", In: "header", Name: "x-api-key"},
					"bearer": {Type: "http", Scheme: "bearer"},
					"session": {Type: "apiKey", In: "cookie", Name: cookieName,
						Description: "The panel's login; with https its name begins with __Host-. Calls other than GET send what GET /session gave as csrf in X-Csrf-Token."},
				},
			},
		},
	}, ad)}
}
