package httpapi_test

import (
	"bufio"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"

	"github.com/berth-panel/berth/controller/access"
	"github.com/berth-panel/berth/controller/httpapi"
	"github.com/berth-panel/berth/shared/problem"
)

// endless gives zeroes until it is closed.
type endless struct{ closed chan struct{} }

func (e endless) Read(p []byte) (int, error) {
	select {
	case <-e.closed:
		return 0, io.ErrClosedPipe
	default:
		clear(p)
		return len(p), nil
	}
}

func (e endless) Close() error {
	close(e.closed)
	return nil
}

// transfers registers what the tests send to; over gets how the body of a call
// to "sink" ended, source is what "endless" gives.
type transfers struct {
	over   chan error
	ended  chan error
	source endless
}

const transferLimit = 8 << 20

func (x *transfers) register(a *httpapi.API) {
	op := func(id, method, path string, rule access.Rule) httpapi.Operation {
		return httpapi.Operation{ID: id, Method: method, Path: path, Tag: "test", Access: rule, BodyLimit: transferLimit,
			Params: []httpapi.Param{{Name: "path", Doc: "Where", Required: true}, {Name: "Upload-Offset", In: "header", Integer: true}}}
	}
	write, read := access.Needs(access.ScopeWrite), access.Needs(access.ScopeRead)
	unwanted := op("unwanted", "PATCH", "/api/v1/unwanted", write)
	httpapi.HandleTransfer(a, unwanted, httpapi.Shape{Takes: "application/offset+octet-stream"},
		func(_ context.Context, t *httpapi.Transfer) (httpapi.Answer, error) {
			_, err := io.ReadFull(t.Body, make([]byte, min(t.Size, 50_000)))
			body, ok := t.Body.(interface{ Interrupt() })
			if err != nil || !ok {
				return httpapi.Answer{}, errors.Join(err, errors.New("the body can't be interrupted"))
			}
			go body.Interrupt()
			_, err = io.Copy(io.Discard, t.Body)
			body.Interrupt() // again, which waits for the other
			x.over <- err
			return httpapi.Answer{}, problem.New(problem.Conflict, "not wanted")
		})
	httpapi.HandleTransfer(a, op("sink", "PATCH", "/api/v1/sink/{id}", write), httpapi.Shape{Takes: "application/offset+octet-stream", Statuses: []int{204}},
		func(_ context.Context, t *httpapi.Transfer) (httpapi.Answer, error) {
			sum := sha256.New()
			n, err := io.Copy(sum, t.Body)
			x.over <- err
			if err != nil {
				return httpapi.Answer{}, fmt.Errorf("carry it on: %w", err)
			}
			return httpapi.Answer{Status: 204, Header: map[string]string{
				"Upload-Offset": fmt.Sprint(n), "X-Sum": hex.EncodeToString(sum.Sum(nil)), "X-Path": t.Query("path"), "X-Id": t.Param("id"), "X-Size": fmt.Sprint(t.Size),
			}}, nil
		})
	httpapi.HandleTransfer(a, op("early", "POST", "/api/v1/early", write), httpapi.Shape{Takes: "application/octet-stream"},
		func(context.Context, *httpapi.Transfer) (httpapi.Answer, error) {
			return httpapi.Answer{}, problem.New(problem.Conflict, "not now")
		})
	httpapi.HandleTransfer(a, op("create", "POST", "/api/v1/sink", write), httpapi.Shape{},
		func(context.Context, *httpapi.Transfer) (httpapi.Answer, error) {
			return httpapi.Answer{Status: 201, Header: map[string]string{"Location": "/api/v1/sink/1"}, Data: map[string]string{"id": "1"}}, nil
		})
	httpapi.HandleTransfer(a, op("offset", "HEAD", "/api/v1/sink/{id}", read), httpapi.Shape{},
		func(context.Context, *httpapi.Transfer) (httpapi.Answer, error) {
			return httpapi.Answer{Header: map[string]string{"Upload-Offset": "70", "Upload-Length": "100"}}, nil
		})
	httpapi.HandleTransfer(a, op("offer", "OPTIONS", "/api/v1/sink", access.Public()), httpapi.Shape{},
		func(context.Context, *httpapi.Transfer) (httpapi.Answer, error) {
			return httpapi.Answer{Status: 204, Header: map[string]string{"Tus-Resumable": "1.0.0", "Tus-Version": "1.0.0"}}, nil
		})
	httpapi.HandleTransfer(a, op("source", "GET", "/api/v1/source/{name}", read), httpapi.Shape{Gives: "application/octet-stream", Statuses: []int{206, 304}}, x.serveSource)
}

func (x *transfers) serveSource(ctx context.Context, t *httpapi.Transfer) (httpapi.Answer, error) {
	text := strings.Repeat("0123456789", 200_000)
	body := func(s string) io.ReadCloser { return io.NopCloser(strings.NewReader(s)) }
	switch t.Param("name") {
	case "part":
		return httpapi.Answer{Status: 206, Type: "text/plain", Header: map[string]string{"Content-Range": "bytes 1-2/10", "ETag": `"1"`}, Size: 2, Body: body("12")}, nil
	case "same":
		return httpapi.Answer{Status: 304, Header: map[string]string{"ETag": `"1"`}}, nil
	case "outside":
		return httpapi.Answer{Status: 416, Header: map[string]string{"Content-Range": "bytes */10"}}, nil
	case "whole":
		return httpapi.Answer{Size: int64(len(text)), Body: body(text)}, nil
	case "unsized":
		return httpapi.Answer{Size: -1, Body: body(text)}, nil
	case "torn":
		return httpapi.Answer{Size: -1, Body: io.NopCloser(io.MultiReader(strings.NewReader(text), failing{}))}, nil
	default:
		context.AfterFunc(ctx, func() { x.ended <- ctx.Err() })
		return httpapi.Answer{Size: -1, Body: x.source}, nil
	}
}

type failing struct{}

func (failing) Read([]byte) (int, error) { return 0, errors.New("a broken disk") }

func transferring(t *testing.T, options ...option) (*bundle, *transfers) {
	t.Helper()
	x := &transfers{over: make(chan error, 10), ended: make(chan error, 10), source: endless{make(chan struct{})}}
	return setup(t, x.register, options...), x
}

func (b *bundle) send(t *testing.T, method, path string, body io.Reader, headers ...header) (*http.Response, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, b.url+path, body)
	if err != nil {
		t.Fatal(err)
	}
	for _, h := range headers {
		req.Header.Set(h[0], h[1])
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatalf("%s %s: %v", method, path, err)
	}
	defer func() { _ = res.Body.Close() }()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatalf("%s %s: %v", method, path, err)
	}
	return res, string(text)
}

func TestUploadIsStreamed(t *testing.T) {
	t.Parallel()
	b, x := transferring(t)
	text := strings.Repeat("abcdefgh", 700_000)
	sum := sha256.Sum256([]byte(text))
	bodies := map[string]io.Reader{"5600000": strings.NewReader(text), "-1": io.MultiReader(strings.NewReader(text))} // the second is sent in chunks
	for size, body := range bodies {
		res, _ := b.send(t, "PATCH", "/api/v1/sink/7%2F8?path=a%20b", body, key("write"))
		if err := <-x.over; err != nil {
			t.Error(err)
		}
		h := res.Header
		if res.StatusCode != 204 || h.Get("X-Sum") != hex.EncodeToString(sum[:]) || h.Get("Upload-Offset") != "5600000" || h.Get("X-Path") != "a b" ||
			h.Get("X-Id") != "7/8" || h.Get("X-Size") != size || res.Close {
			t.Errorf("size %s: %d %v, closed: %t", size, res.StatusCode, h, res.Close)
		}
	}
	res, _ := b.send(t, "PATCH", "/api/v1/sink/1", nil, key("write"))
	if err := <-x.over; err != nil || res.Header.Get("Upload-Offset") != "0" {
		t.Errorf("without a body: %v, %v", res.Header, err)
	}
}

func TestUploadIsRefusedUnread(t *testing.T) {
	t.Parallel()
	b, x := transferring(t)
	large := func() io.Reader { return io.LimitReader(endless{make(chan struct{})}, transferLimit+1) }
	announced := func(n int64) io.Reader { return io.LimitReader(endless{make(chan struct{})}, n) }
	for _, tc := range []struct {
		name, path string
		body       io.Reader
		headers    []header
		status     int
	}{
		{"nobody", "/api/v1/sink/1", announced(1 << 20), nil, 401},
		{"no right", "/api/v1/sink/1", announced(1 << 20), []header{key("read")}, 403},
	} {
		if res, text := b.send(t, "PATCH", tc.path, tc.body, tc.headers...); res.StatusCode != tc.status {
			t.Errorf("%s: %d %s", tc.name, res.StatusCode, text)
		}
	}
	if len(x.over) != 0 {
		t.Error("it was read")
	}
	res, text := b.send(t, "PATCH", "/api/v1/sink/1", strings.NewReader(strings.Repeat("x", transferLimit+1)), key("write"))
	if res.StatusCode != 413 || len(x.over) != 0 {
		t.Errorf("announced too large: %d %s", res.StatusCode, text)
	}
	res, text = b.send(t, "PATCH", "/api/v1/sink/1", large(), key("write"))
	if err := <-x.over; res.StatusCode != 413 || !problem.Is(err, problem.TooLarge) {
		t.Errorf("too large in chunks: %d %s, %v", res.StatusCode, text, err)
	}
	res, text = b.send(t, "POST", "/api/v1/early", announced(4<<20), key("write"))
	if res.StatusCode != 409 || !strings.Contains(text, "not now") || !res.Close {
		t.Errorf("answered early: %d %s, closed %t", res.StatusCode, text, res.Close)
	}
}

// begin sends a request's head by hand and the beginning of its body.
func (b *bundle) begin(t *testing.T, head, body string) net.Conn {
	t.Helper()
	conn, err := net.Dial("tcp", b.addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	if _, err := io.WriteString(conn, head+"\r\nHost: x\r\nX-Api-Key: write\r\n\r\n"+body); err != nil {
		t.Fatal(err)
	}
	return conn
}

func TestStalledUploadIsCut(t *testing.T) {
	t.Parallel()
	b, x := transferring(t, hurried)
	conn := b.begin(t, "PATCH /api/v1/sink/1 HTTP/1.1\r\nContent-Length: 1000000", strings.Repeat("x", 100_000))
	res, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	if over := <-x.over; res.StatusCode != 408 || over == nil || !res.Close {
		t.Errorf("%d, %v", res.StatusCode, over)
	}
}

// A body that nobody wants any more is waited for no longer, and the answer is
// what the handler says.
func TestUploadIsInterrupted(t *testing.T) {
	t.Parallel()
	b, x := transferring(t)
	conn := b.begin(t, "PATCH /api/v1/unwanted HTTP/1.1\r\nContent-Length: 1000000", strings.Repeat("x", 100_000))
	res, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	if over := <-x.over; over == nil || problem.Is(over, problem.BadRequest) || res.StatusCode != 409 || !res.Close {
		t.Errorf("%d, %v", res.StatusCode, over)
	}
	// One that has come as a whole leaves the connection to the next call.
	conn = b.begin(t, "PATCH /api/v1/unwanted HTTP/1.1\r\nContent-Length: 5", "hello")
	in := bufio.NewReader(conn)
	for range 2 {
		if res, err = http.ReadResponse(in, nil); err != nil {
			t.Fatal(err)
		}
		_, _ = io.Copy(io.Discard, res.Body)
		_ = res.Body.Close()
		if over := <-x.over; over != nil || res.StatusCode != 409 || res.Close {
			t.Errorf("%d, %v", res.StatusCode, over)
		}
		if _, err := io.WriteString(conn, "PATCH /api/v1/unwanted HTTP/1.1\r\nHost: x\r\nX-Api-Key: write\r\nContent-Length: 5\r\n\r\nhello"); err != nil {
			t.Fatal(err)
		}
	}
	<-x.over
}

func TestBrokenUploadIsTold(t *testing.T) {
	t.Parallel()
	b, x := transferring(t)
	conn := b.begin(t, "PATCH /api/v1/sink/1 HTTP/1.1\r\nContent-Length: 1000000", strings.Repeat("x", 100_000))
	_ = conn.Close()
	if err := <-x.over; !problem.Is(err, problem.BadRequest) {
		t.Errorf("%v", err)
	}
	conn = b.begin(t, "PATCH /api/v1/sink/1 HTTP/1.1\r\nTransfer-Encoding: chunked", "5\r\nhello\r\nnonsense\r\n")
	if err := <-x.over; !problem.Is(err, problem.BadRequest) {
		t.Errorf("chunks that are none: %v", err)
	}
	_ = conn.Close()
}

func TestAnswersOfTransfers(t *testing.T) {
	t.Parallel()
	b, _ := transferring(t)
	for _, tc := range []struct {
		method, path string
		status       int
		header, is   string
		length       int
		text         string
	}{
		{"POST", "/api/v1/sink", 201, "Location", "/api/v1/sink/1", -2, `{"success":true,"data":{"id":"1"}}`},
		{"HEAD", "/api/v1/sink/1", 200, "Upload-Offset", "70", -2, ""},
		{"OPTIONS", "/api/v1/sink", 204, "Tus-Resumable", "1.0.0", 0, ""},
		{"GET", "/api/v1/source/part", 206, "Content-Range", "bytes 1-2/10", 2, "12"},
		{"GET", "/api/v1/source/same", 304, "ETag", `"1"`, 0, ""},
		{"GET", "/api/v1/source/outside", 416, "Content-Range", "bytes */10", 0, ""},
		{"HEAD", "/api/v1/source/whole", 200, "Content-Type", "application/octet-stream", 2_000_000, ""},
	} {
		k := key("write")
		if tc.method == "OPTIONS" {
			k = header{"X-Nothing", "here"}
		}
		res, text := b.send(t, tc.method, tc.path, nil, k)
		if res.StatusCode != tc.status || res.Header.Get(tc.header) != tc.is || text != tc.text || (tc.length != -2 && res.ContentLength != int64(tc.length)) {
			t.Errorf("%s %s: %d %d %v %q", tc.method, tc.path, res.StatusCode, res.ContentLength, res.Header, text)
		}
	}
	whole := strings.Repeat("0123456789", 200_000)
	for _, name := range []string{"whole", "unsized"} {
		if res, text := b.send(t, "GET", "/api/v1/source/"+name, nil, key("read")); text != whole || res.Close {
			t.Errorf("%s: %d bytes, %v", name, len(text), res.Header)
		}
	}
	req, _ := http.NewRequestWithContext(t.Context(), "GET", b.url+"/api/v1/source/torn", nil)
	req.Header.Set("X-Api-Key", "read")
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	if _, err := io.ReadAll(res.Body); err == nil {
		t.Error("a part was taken for the whole")
	}
}

func TestDownloadEndsWithItsClient(t *testing.T) {
	t.Parallel()
	b, x := transferring(t)
	conn := b.begin(t, "GET /api/v1/source/endless HTTP/1.1", "")
	if _, err := io.ReadFull(conn, make([]byte, 100_000)); err != nil {
		t.Fatal(err)
	}
	_ = conn.Close()
	<-x.source.closed
	<-x.ended
}

func TestDownloadEndsWithTheServer(t *testing.T) {
	t.Parallel()
	b, x := transferring(t, hurried)
	conn := b.begin(t, "GET /api/v1/source/endless HTTP/1.1", "")
	if _, err := io.ReadFull(conn, make([]byte, 100_000)); err != nil {
		t.Fatal(err)
	}
	go func() { _, _ = io.Copy(io.Discard, conn) }()
	_ = b.stop()
	<-x.ended
	<-x.source.closed
}

func TestTransfersAreDocumented(t *testing.T) {
	t.Parallel()
	b, _ := transferring(t)
	doc, err := b.api.OpenAPI()
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{`"/api/v1/source/{name}"`, `"206"`, `"Upload-Offset"`, `"in": "header"`, `"application/offset+octet-stream"`, `"operationId": "offer"`} {
		if !strings.Contains(string(doc), want) {
			t.Errorf("the document lacks %s", want)
		}
	}
}
