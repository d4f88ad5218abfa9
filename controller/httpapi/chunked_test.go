package httpapi_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/berth-panel/berth/controller/access"
	"github.com/berth-panel/berth/controller/httpapi"
)

// A body whose length nobody knows goes out in chunks as large as the pieces that
// are given, up to a buffer, each at once, and the connection stays for the next
// call.
func TestUnsizedBodyGoesInChunksOfItsPieces(t *testing.T) {
	t.Parallel()
	pieces, give := io.Pipe()
	t.Cleanup(func() { _ = pieces.Close() })
	bodies := make(chan io.ReadCloser, 2)
	bodies <- pieces
	bodies <- io.NopCloser(strings.NewReader(""))
	b := setup(t, func(a *httpapi.API) {
		op := httpapi.Operation{ID: "pieces", Method: "GET", Path: "/api/v1/pieces", Tag: "test", Access: access.Needs(access.ScopeRead)}
		httpapi.HandleTransfer(a, op, httpapi.Shape{Gives: "application/octet-stream"}, func(context.Context, *httpapi.Transfer) (httpapi.Answer, error) {
			return httpapi.Answer{Size: -1, Body: <-bodies}, nil
		})
	})
	conn := b.begin(t, "GET /api/v1/pieces HTTP/1.1", "")
	in := bufio.NewReader(conn)
	for nth, n := range []int{1, 300_000, 3, 256 << 10} { // none before the one before has come
		piece := strings.Repeat("x", n)
		go func() { _, _ = io.WriteString(give, piece) }()
		if nth == 0 {
			head(t, in)
		}
		for len(piece) > 0 {
			size := min(len(piece), 256<<10)
			want := fmt.Sprintf("%x\r\n%s\r\n", size, piece[:size])
			got := make([]byte, len(want))
			if _, err := io.ReadFull(in, got); err != nil || string(got) != want {
				t.Fatalf("a piece of %d bytes came as %.10q, %v", n, got, err)
			}
			piece = piece[size:]
		}
	}
	_ = give.Close()
	end := make([]byte, 5)
	for nth := range 2 {
		if _, err := io.ReadFull(in, end); err != nil || string(end) != "0\r\n\r\n" {
			t.Fatalf("the end is %q, %v", end, err)
		}
		if nth == 0 {
			if _, err := io.WriteString(conn, "GET /api/v1/pieces HTTP/1.1\r\nHost: x\r\nX-Api-Key: read\r\n\r\n"); err != nil {
				t.Fatal(err)
			}
			head(t, in)
		}
	}
}

// head reads an answer's headers, which leave its body to be read as it is on the line.
func head(t *testing.T, in *bufio.Reader) {
	t.Helper()
	var text strings.Builder
	for {
		line, err := in.ReadString('\n')
		if err != nil {
			t.Fatalf("%s: %v", &text, err)
		}
		text.WriteString(line)
		if line == "\r\n" {
			break
		}
	}
	res, err := http.ReadResponse(bufio.NewReader(strings.NewReader(text.String())), nil)
	if err != nil {
		t.Fatal(err)
	}
	_ = res.Body.Close()
	if res.StatusCode != 200 || len(res.TransferEncoding) != 1 || res.Header.Get("Content-Length") != "" || res.Close {
		t.Fatalf("%s", &text)
	}
}
