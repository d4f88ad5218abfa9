package httpapi

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"net"
	"strings"

	"github.com/berth-panel/berth/shared/problem"
)

// maxDepth is how deep arrays and objects may be nested in a body.
const maxDepth = 64

// prefetched is how much of a body fasthttp has read before the handler runs.
const prefetched = 8 << 10

// readBody reads the request's body within the route's limit. What isn't read
// (a route that takes none, a refusal) is dealt with by drain.
func (k *call) readBody() error {
	if k.route.typed && !k.route.body {
		return nil
	}
	if k.http.Request.Header.ContentLength() > int(k.route.BodyLimit) {
		return tooLarge(k.route.BodyLimit)
	}
	stream := k.http.RequestBodyStream()
	if stream == nil {
		return k.checkBody()
	}
	body, err := io.ReadAll(io.LimitReader(stream, k.route.BodyLimit+1))
	if err != nil {
		k.door.spoiled(k.http)
		var slow net.Error
		if errors.As(err, &slow) && slow.Timeout() {
			return &refusal{Problem: problem.New(problem.BadRequest, "the body didn't arrive in time"), status: 408}
		}
		return problem.New(problem.BadRequest, "the body broke off or is framed wrongly").Because(err)
	}
	if int64(len(body)) > k.route.BodyLimit {
		return tooLarge(k.route.BodyLimit)
	}
	k.body = body
	return k.checkBody()
}

func tooLarge(limit int64) error {
	return problem.New(problem.TooLarge, "the body is too large; %d bytes are the most here", limit)
}

// checkBody refuses what a typed route can't decode, before huma tries.
func (k *call) checkBody() error {
	if !k.route.typed {
		return nil
	}
	if len(bytes.TrimSpace(k.body)) == 0 {
		k.body = nil
		if k.route.needed {
			return problem.New(problem.BadRequest, "a JSON body is needed here and there is none")
		}
		return nil
	}
	if !isJSON(string(k.http.Request.Header.ContentType())) {
		return problem.New(problem.UnsupportedMediaType, "the body must be application/json")
	}
	return checkDepth(k.body)
}

// isJSON says whether a content type means JSON; a missing one is taken as it.
func isJSON(contentType string) bool {
	kind, _, _ := strings.Cut(contentType, ";")
	kind = strings.ToLower(strings.TrimSpace(kind))
	return kind == "" || kind == "application/json" || kind == "text/json" ||
		(strings.HasPrefix(kind, "application/") && strings.HasSuffix(kind, "+json"))
}

// checkDepth looks only at brackets outside of text; whether it is JSON at all
// the decoder will say.
func checkDepth(body []byte) error {
	depth, quoted := 0, false
	for i := 0; i < len(body); i++ {
		switch c := body[i]; {
		case quoted && c == '\\':
			i++
		case c == '"':
			quoted = !quoted
		case quoted:
		case c == '{' || c == '[':
			if depth++; depth > maxDepth {
				return problem.New(problem.BadRequest, "the body is nested deeper than %d levels", maxDepth)
			}
		case c == '}' || c == ']':
			depth--
		}
	}
	return nil
}

// decodeJSON is for routes that decode by themselves.
func decodeJSON(body []byte, v any) error {
	if len(bytes.TrimSpace(body)) == 0 {
		return problem.New(problem.BadRequest, "a JSON body is needed here and there is none")
	}
	if err := checkDepth(body); err != nil {
		return err
	}
	err := json.Unmarshal(body, v)
	var wrong *json.UnmarshalTypeError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &wrong) && wrong.Field != "":
		return problem.Invalid(wrong.Field, "a %s doesn't fit here", wrong.Value)
	case errors.As(err, &wrong):
		return problem.New(problem.BadRequest, "the body must be a JSON object, not a %s", wrong.Value)
	default:
		return problem.New(problem.BadRequest, "the body is not JSON: %s", err)
	}
}

// drain makes sure that the rest of a body that nobody read isn't taken for the
// next request on the connection: the connection ends after this answer. Up to
// prefetched bytes are off the wire already.
func (k *call) drain() {
	length := k.http.Request.Header.ContentLength()
	if k.body != nil || k.complete || k.http.RequestBodyStream() == nil || (length >= 0 && length <= prefetched) {
		return
	}
	k.door.spoiled(k.http)
}
