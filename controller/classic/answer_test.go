package classic_test

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"
)

// answer is what came back.
type answer struct {
	t      testing.TB
	call   string
	status int
	header http.Header
	body   string
}

// send calls with a body as it is; "" is none. It may be used on any goroutine.
func (b *bundle) send(key, method, path, body string) (answer, error) {
	a := answer{t: b.t, call: method + " " + path + " " + body}
	request, err := http.NewRequestWithContext(context.Background(), method, b.url+path, strings.NewReader(body))
	if err != nil {
		return a, err
	}
	if body == "" {
		request.Body, request.ContentLength = http.NoBody, 0
	} else {
		request.Header.Set("Content-Type", "application/json")
	}
	if key != "" {
		request.Header.Set("x-api-key", key)
	}
	response, err := b.client.Do(request)
	if err != nil {
		return a, err
	}
	defer func() { _ = response.Body.Close() }()
	content, err := io.ReadAll(response.Body)
	a.status, a.header, a.body = response.StatusCode, response.Header, string(content)
	return a, err
}

// call sends v as JSON (text goes as it is) and checks what every answer must be.
func (b *bundle) call(key, method, path string, v any) answer {
	b.t.Helper()
	body := ""
	switch v := v.(type) {
	case nil:
	case string:
		body = v
	default:
		raw, err := json.Marshal(v)
		if err != nil {
			b.t.Fatal(err)
		}
		body = string(raw)
	}
	a, err := b.send(key, method, path, body)
	if err != nil {
		b.t.Fatalf("%s %s: %v", method, path, err)
	}
	if !json.Valid([]byte(a.body)) || !strings.HasPrefix(a.header.Get("Content-Type"), "application/json") {
		b.t.Fatalf("%s %s: %d is no JSON: %s %.300q", method, path, a.status, a.header.Get("Content-Type"), a.body)
	}
	return a
}

func (b *bundle) get(key, path string) answer {
	b.t.Helper()
	return b.call(key, http.MethodGet, path, nil)
}

func (b *bundle) post(key, path string, v any) answer {
	b.t.Helper()
	return b.call(key, http.MethodPost, path, v)
}

func (b *bundle) delete(key, path string, v any) answer {
	b.t.Helper()
	return b.call(key, http.MethodDelete, path, v)
}

// is checks status and the whole body.
func (a answer) is(status int, body string) {
	a.t.Helper()
	if a.status != status || a.body != body {
		a.t.Errorf("%.200s\n got %d %s\nwant %d %s", a.call, a.status, a.body, status, body)
	}
}

// says checks that it is a refusal with exactly this sentence.
func (a answer) says(status int, sentence string) {
	a.t.Helper()
	var want bytes.Buffer
	enc := json.NewEncoder(&want)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(map[string]string{"error": sentence}); err != nil {
		a.t.Fatal(err)
	}
	a.is(status, strings.TrimSpace(want.String()))
}

// into checks the status and decodes the body.
func (a answer) into(status int, v any) {
	a.t.Helper()
	if a.status != status {
		a.t.Fatalf("%.200s: got %d %s, want %d", a.call, a.status, a.body, status)
	}
	if err := json.Unmarshal([]byte(a.body), v); err != nil {
		a.t.Fatalf("%.200s: %v in %s", a.call, err, a.body)
	}
}

// object is a JSON object.
type object = map[string]any

func (a answer) object(status int) object {
	a.t.Helper()
	var o object
	a.into(status, &o)
	return o
}

func (a answer) list(status int) []object {
	a.t.Helper()
	var l []object
	a.into(status, &l)
	return l
}
