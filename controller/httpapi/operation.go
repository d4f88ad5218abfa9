package httpapi

import (
	"context"
	"errors"
	"net/http"
	"regexp"
	"strings"
	"time"

	"github.com/berth-panel/berth/controller/access"
)

// Style is the shape of a route's answers.
type Style int

// The styles.
const (
	// Envelope is /api/v1: {"success": true, "data": …}.
	Envelope Style = iota
	// Classic is the rest of /api: bare values, errors as {"error": text}.
	Classic
	// Document is what isn't an API: pages and the OpenAPI document.
	Document
)

func (s Style) String() string {
	switch s {
	case Envelope:
		return "envelope"
	case Classic:
		return "classic"
	default:
		return "document"
	}
}

// Operation describes one route.
type Operation struct {
	ID          string // unique, kebab-case: get-instance
	Method      string
	Path        string // /api/v1/instances/{id}
	Summary     string // a line
	Description string // as long as it must be; Markdown
	Tag         string // the feature
	Access      access.Rule
	Status      int           // of success; 0 is 200
	Idempotent  bool          // honours Idempotency-Key
	BodyLimit   int64         // bytes; 0 is 1 MiB
	Timeout     time.Duration // of the handler's context; 0 is 30 s; a stream has none
	Unlimited   bool          // isn't counted by the rate limiter: health
	Style       Style

	// Accepts and Answers are values of the types that a raw route takes and
	// gives, for the OpenAPI document only. Others ignore them.
	Accepts, Answers any

	// Params are the query and header parameters that a raw route reads by itself,
	// for the OpenAPI document only: those of a typed one come from its input.
	Params []Param
	// Farewell lets a socket end itself when its context does: it has two seconds
	// to say why, before the connection is closed.
	Farewell bool
	// AnyOrigin lets pages of other sites open a socket, where nothing that a
	// browser sends by itself says who calls: it is a public route, whose client
	// must show a key or a ticket.
	AnyOrigin bool
	// SameOrigin refuses a public call from a page of another site: logins. Calls
	// by the panel's cookie are held to it on every route.
	SameOrigin bool
}

// Param is a parameter that a raw route reads by itself.
type Param struct {
	Name     string
	In       string // "" is query; or header
	Doc      string
	Required bool
	Integer  bool
}

// Route is one registered operation, for tests that hold every route.
type Route struct {
	Method, Path string
	ID, Tag      string
	Access       access.Rule
	Style        Style
	Stream       bool // server-sent events, or a WebSocket
	Socket       bool // a WebSocket
	Hidden       bool // not in the OpenAPI document: the document itself and its page
}

const (
	defaultBodyLimit = 1 << 20
	defaultTimeout   = 30 * time.Second
)

var pathForm = regexp.MustCompile(`^(/[a-zA-Z0-9._-]+|/\{[a-z_A-Z]+\})+$`)

// methods are what may be asked for at all; others are refused before routing.
var methods = []string{
	http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete, http.MethodOptions,
}

// complete fills the defaults in and refuses what makes no sense.
func (o Operation) complete() (Operation, error) {
	if o.Status == 0 {
		o.Status = http.StatusOK
	}
	if o.BodyLimit == 0 {
		o.BodyLimit = defaultBodyLimit
	}
	if o.Timeout == 0 {
		o.Timeout = defaultTimeout
	}
	classic := strings.HasPrefix(o.Path, "/api/") && !strings.HasPrefix(o.Path, "/api/v1/")
	switch {
	case o.ID == "":
		return o, errors.New("has no ID")
	case !pathForm.MatchString(o.Path):
		return o, errors.New("the path isn't /like/{this}")
	case o.Method == "" || strings.ToUpper(o.Method) != o.Method:
		return o, errors.New("has no method")
	case o.Access == access.Rule{}:
		return o, errors.New("has no access rule")
	case o.AnyOrigin && !o.Access.IsPublic():
		return o, errors.New("only a public socket may be opened from anywhere")
	case o.Idempotent && o.Access.IsPublic():
		return o, errors.New("a public operation can't be idempotent: its answers would be everybody's")
	case classic != (o.Style == Classic):
		return o, errors.New("the style Classic and paths beneath /api but not /api/v1 belong together")
	}
	return o, nil
}

type route struct {
	Operation
	stream   bool // it has no end of its own: server-sent events, or a WebSocket
	socket   bool // a WebSocket
	hidden   bool
	transfer bool                // the bodies are streams
	raw      bool                // it reads and writes by itself
	typed    bool                // decoded by huma
	body     bool                // takes a JSON body
	needed   bool                // and can't do without
	queries  map[string]struct{} // the parameters that a typed route knows
	run      func(k *call) error // answers k, or gives why not
}

// fiberPath is the path as Fiber writes it.
func (r *route) fiberPath() string {
	return strings.NewReplacer("{", ":", "}", "").Replace(r.Path)
}

// order sorts parameters behind fixed segments.
func (r *route) order() string { return strings.ReplaceAll(r.Path, "{", "\x7f") }

// PageQuery is embedded in the input of a list. What is out of range is refused,
// not clamped.
type PageQuery struct {
	Page  int `query:"page" default:"1" minimum:"1" maximum:"1000000" doc:"Which page, from 1"`
	Limit int `query:"limit" default:"50" minimum:"1" maximum:"500" doc:"How many on a page"`
}

// Offset is how many rows come before the page.
func (q PageQuery) Offset() int { return (q.Page - 1) * q.Limit }

func (q PageQuery) pageQuery() PageQuery { return q }

// Page is one page of a list. T may be json.RawMessage: rows that are JSON
// already go out as they are.
type Page[T any] struct {
	Items []T
	Total int // how many there are on all pages
	// Message is a sentence for people, the envelope's; "" none.
	Message string
}

// Done is the data of an operation that has nothing to give back: {} and a
// message.
type Done struct{ text string }

// Did makes a Done: Did("the key is revoked").
func Did(text string) Done { return Done{text} }

// Message is the sentence.
func (d Done) Message() string { return d.text }

// Messenger is an output with a sentence for people, which becomes the
// envelope's message. An empty one is left out.
type Messenger interface{ Message() string }

// Secret is an output that holds a secret. Redacted gives the same without it:
// that is what an idempotent call stores and replays.
type Secret interface{ Redacted() any }

// RequestID is the id of the request that ctx belongs to; "" outside of one.
func RequestID(ctx context.Context) string {
	if k, ok := ctx.Value(callKey{}).(*scope); ok {
		return k.requestID
	}
	return ""
}
