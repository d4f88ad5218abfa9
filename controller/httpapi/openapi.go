package httpapi

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"github.com/berth-panel/berth/controller/access"
	"github.com/berth-panel/berth/shared/problem"
)

// OpenAPI gives the OpenAPI 3.1 document of every registered operation, indented,
// the same for the same registrations. Register everything before the first call.
func (a *API) OpenAPI() ([]byte, error) { return a.openAPI() }

func (a *API) document() ([]byte, error) {
	if a.err != nil {
		return nil, a.err
	}
	doc := a.huma.OpenAPI()
	schemas := doc.Components.Schemas.Map()
	for _, unused := range []string{"ErrorModel", "ErrorDetail"} { // huma registers its own errors, which nobody gets
		delete(schemas, unused)
	}
	raw, err := json.Marshal(doc)
	if err != nil {
		return nil, fmt.Errorf("marshal the OpenAPI document: %w", err)
	}
	// Once through a map: its keys are marshalled in order, whatever order
	// operations were registered in.
	var v any
	if err := json.Unmarshal(raw, &v); err != nil {
		return nil, fmt.Errorf("read the OpenAPI document: %w", err)
	}
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	if err := enc.Encode(v); err != nil {
		return nil, fmt.Errorf("indent the OpenAPI document: %w", err)
	}
	return b.Bytes(), nil
}

// describe begins the OpenAPI entry of a route.
func (a *API) describe(r *route, responses map[string]*huma.Response) *huma.Operation {
	op := &huma.Operation{
		OperationID: r.ID, Method: r.Method, Path: r.Path,
		Summary: r.Summary, Description: r.Description,
		DefaultStatus: r.Status, Responses: responses,
		MaxBodyBytes: -1, BodyReadTimeout: -1, // the body has been read, within its limit, before huma sees it
		Extensions: map[string]any{"x-berth-rule": r.Access.String()},
	}
	for _, p := range r.Params {
		op.Parameters = append(op.Parameters, p.describe())
	}
	if r.raw || r.socket || r.transfer {
		for _, name := range paramNames(r.Path) {
			op.Parameters = append(op.Parameters, &huma.Param{Name: name, In: "path", Required: true, Schema: &huma.Schema{Type: huma.TypeString}})
		}
	}
	if r.Tag != "" {
		op.Tags = []string{r.Tag}
	}
	if r.Access.IsPublic() {
		op.Security = []map[string][]string{}
	} else {
		op.Security = []map[string][]string{{"apiKey": {}}, {"bearer": {}}, {"session": {}}}
		if r.Access == access.LoggedIn() {
			op.Security = op.Security[2:]
		}
	}
	return op
}

func (p Param) describe() *huma.Param {
	out := &huma.Param{Name: p.Name, In: p.In, Description: p.Doc, Required: p.Required, Schema: &huma.Schema{Type: huma.TypeString}}
	if p.In == "" {
		out.In = "query"
	}
	if p.Integer {
		out.Schema = &huma.Schema{Type: huma.TypeInteger, Format: "int64"}
	}
	return out
}

// schemaOf describes a type; named structs go into the components.
func (a *API) schemaOf(t reflect.Type, hint string) *huma.Schema {
	return a.huma.OpenAPI().Components.Schemas.Schema(t, true, hint)
}

// envelopeSchema is the success of a typed operation; nil after a mistake.
func (a *API) envelopeSchema(r *route, data reflect.Type) map[string]*huma.Response {
	var out map[string]*huma.Response
	a.register(r.Operation, func() {
		out = a.responses(r, a.envelope(a.schemaOf(data, r.ID+"Data"), reflect.PointerTo(data).Implements(reflect.TypeFor[Messenger]())))
	})
	return out
}

// pageSchema is the success of a list.
func (a *API) pageSchema(r *route, item reflect.Type) map[string]*huma.Response {
	var out map[string]*huma.Response
	a.register(r.Operation, func() {
		s := a.envelope(&huma.Schema{Type: huma.TypeArray, Items: a.schemaOf(item, r.ID+"Item")}, false)
		number := &huma.Schema{Type: huma.TypeInteger}
		s.Properties["pagination"] = &huma.Schema{
			Type:       huma.TypeObject,
			Properties: map[string]*huma.Schema{"page": number, "limit": number, "total": number, "pages": number},
			Required:   []string{"page", "limit", "total", "pages"},
		}
		s.Required = append(s.Required, "pagination")
		out = a.responses(r, s)
	})
	return out
}

func (a *API) envelope(data *huma.Schema, message bool) *huma.Schema {
	s := &huma.Schema{
		Type:       huma.TypeObject,
		Properties: map[string]*huma.Schema{"success": {Type: huma.TypeBoolean, Enum: []any{true}}, "data": data},
		Required:   []string{"success", "data"},
	}
	if message {
		s.Properties["message"] = &huma.Schema{Type: huma.TypeString, Description: "A sentence for people"}
	}
	return s
}

func (a *API) responses(r *route, success *huma.Schema) map[string]*huma.Response {
	return map[string]*huma.Response{
		strconv.Itoa(r.Status): {Description: http.StatusText(r.Status), Content: jsonContent(success)},
		"default":              {Description: "An error", Content: jsonContent(a.errorSchema())},
	}
}

func (a *API) rawResponses(r *route) map[string]*huma.Response {
	success := &huma.Schema{}
	if r.Answers != nil {
		success = a.schemaOf(reflect.TypeOf(r.Answers), r.ID+"Answer")
	}
	out := a.responses(r, success)
	if r.Style == Classic {
		out["default"].Content = jsonContent(&huma.Schema{
			Type:       huma.TypeObject,
			Properties: map[string]*huma.Schema{"error": {Type: huma.TypeString}},
			Required:   []string{"error"},
		})
	}
	return out
}

func jsonContent(s *huma.Schema) map[string]*huma.MediaType {
	return map[string]*huma.MediaType{"application/json": {Schema: s}}
}

// errorSchema puts the error of /api/v1 into the components, once.
func (a *API) errorSchema() *huma.Schema {
	const name = "APIError"
	schemas := a.huma.OpenAPI().Components.Schemas.Map()
	if schemas[name] == nil {
		text := &huma.Schema{Type: huma.TypeString}
		schemas[name] = &huma.Schema{
			Type: huma.TypeObject,
			Properties: map[string]*huma.Schema{
				"success":    {Type: huma.TypeBoolean, Enum: []any{false}},
				"request_id": {Type: huma.TypeString, Format: "uuid", Description: "Also in the header X-Request-Id and in the log"},
				"error": {
					Type: huma.TypeObject,
					Properties: map[string]*huma.Schema{
						"code":    {Type: huma.TypeString, Enum: errorCodes()},
						"message": text,
						"details": {Type: huma.TypeArray, Items: &huma.Schema{
							Type:       huma.TypeObject,
							Properties: map[string]*huma.Schema{"field": text, "message": text},
							Required:   []string{"field", "message"},
						}},
					},
					Required: []string{"code", "message"},
				},
			},
			Required: []string{"success", "error", "request_id"},
		}
	}
	return &huma.Schema{Ref: "#/components/schemas/" + name}
}

func errorCodes() []any {
	return []any{
		problem.BadRequest, problem.Unauthorized, problem.Forbidden, problem.NotFound, problem.MethodNotAllowed, problem.Conflict,
		problem.TooLarge, problem.UnsupportedMediaType, problem.Validation, problem.ResourceBusy, problem.RateLimited,
		problem.Internal, problem.NodeOffline, problem.InsufficientResources,
	}
}

func idempotencyParameter() *huma.Param {
	most := 255
	return &huma.Param{
		Name: "Idempotency-Key", In: "header", Schema: &huma.Schema{Type: huma.TypeString, MaxLength: &most},
		Description: "Any text. The same call under the same text within 24 hours is carried out once and gets the first answer, without its secrets, again.",
	}
}

var pathParam = regexp.MustCompile(`\{([a-zA-Z_]+)\}`)

// paramNames are the names in braces.
func paramNames(path string) []string {
	var out []string
	for _, m := range pathParam.FindAllStringSubmatch(path, -1) {
		out = append(out, m[1])
	}
	return out
}

// undocumented lists typed parameters of the path that its input doesn't have,
// which would be read by nobody.
func undocumented(r *route, op *huma.Operation) []string {
	var out []string
	for _, name := range paramNames(r.Path) {
		if !slices.ContainsFunc(op.Parameters, func(p *huma.Param) bool { return p.In == "path" && p.Name == name }) {
			out = append(out, name)
		}
	}
	return out
}

func marshalBytes(v any) ([]byte, error) {
	var b bytes.Buffer
	if err := writeJSON(&b, v); err != nil {
		return nil, fmt.Errorf("marshal the answer: %w", err)
	}
	return b.Bytes(), nil
}

// mediaType is what a file's name says about its content.
func mediaType(name string) string {
	kinds := map[string]string{
		"html": "text/html; charset=utf-8", "css": "text/css; charset=utf-8", "js": "text/javascript; charset=utf-8",
		"mjs": "text/javascript; charset=utf-8", "json": mediaJSON, "map": mediaJSON, "webmanifest": "application/manifest+json",
		"svg": "image/svg+xml", "png": "image/png", "jpg": "image/jpeg", "webp": "image/webp", "ico": "image/x-icon",
		"woff": "font/woff", "woff2": "font/woff2", "ttf": "font/ttf", "txt": "text/plain; charset=utf-8", "wasm": "application/wasm",
	}
	if t, ok := kinds[strings.ToLower(name[strings.LastIndexByte(name, '.')+1:])]; ok {
		return t
	}
	return "application/octet-stream"
}
