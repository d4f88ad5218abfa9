package transfer

import (
	"bytes"
	"crypto/tls"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/berth-panel/berth/agent/server"
	"github.com/berth-panel/berth/shared/wire"
)

// BenchmarkList is a page of a folder of 100,000 entries.
func BenchmarkList(b *testing.B) {
	n := setup(b)
	for i := range 100_000 {
		must(b, os.WriteFile(filepath.Join(n.data, fmt.Sprintf("world-%06d.dat", (i*7919)%100_000)), nil, 0o644))
	}
	for _, sort := range []wire.FileSort{wire.SortName, wire.SortMTime} {
		b.Run(string(sort), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				n.json("POST", "list", wire.FileQuery{Path: ".", Sort: sort, Page: 50, Limit: 100}).good(b, nil)
			}
		})
	}
}

const benchSize = 256 << 20

// tlsDoor is the agent's own door with TLS, as the controller reaches it.
func (n *node) tlsDoor() (url string, client *http.Client) {
	n.t.Helper()
	door := server.New(server.Options{Rooms: map[string]server.Live{"files": n.store}, Log: slog.New(slog.DiscardHandler), Now: time.Now})
	s := httptest.NewUnstartedServer(door)
	s.TLS = &tls.Config{MinVersion: tls.VersionTLS13}
	s.StartTLS()
	n.t.Cleanup(s.Close)
	client = s.Client()
	if t, ok := client.Transport.(*http.Transport); ok {
		t.ReadBufferSize, t.WriteBufferSize = 256<<10, 256<<10
	}
	return s.URL + wire.PathInstances + "/" + string(one) + "/files/", client
}

func roundTrip(b *testing.B, client *http.Client, method, url string, body io.Reader, size int64) {
	b.Helper()
	req, err := http.NewRequest(method, url, body)
	must(b, err)
	if body != nil {
		req.ContentLength = size
	}
	answer, err := client.Do(req)
	must(b, err)
	_, err = io.CopyBuffer(plain{io.Discard}, answer.Body, make([]byte, 256<<10))
	_ = answer.Body.Close()
	must(b, err)
	if answer.StatusCode/100 != 2 {
		b.Fatalf("the answer is %d", answer.StatusCode)
	}
}

// BenchmarkTransfer is 256 MiB through the agent's door, and the same through
// plain net/http, which takes and gives the same file.
func BenchmarkTransfer(b *testing.B) {
	n := setup(b)
	url, client := n.tlsDoor()
	source := filepath.Join(b.TempDir(), "source")
	must(b, os.WriteFile(source, content(1, benchSize), 0o644))
	n.plant("f", string(content(1, benchSize)))
	path := filepath.Join(b.TempDir(), "taken")
	other := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodGet {
			http.ServeFile(w, r, source)
			return
		}
		f, err := os.Create(path)
		must(b, err)
		_, err = io.Copy(f, r.Body)
		must(b, err)
		must(b, f.Close())
	}))
	b.Cleanup(other.Close)
	open := func() *os.File {
		f, err := os.Open(source)
		must(b, err)
		return f
	}
	b.Run("download", func(b *testing.B) {
		b.SetBytes(benchSize)
		for b.Loop() {
			roundTrip(b, client, "GET", url+"content?path=f", nil, 0)
		}
	})
	b.Run("download-plain", func(b *testing.B) {
		b.SetBytes(benchSize)
		for b.Loop() {
			roundTrip(b, other.Client(), "GET", other.URL, nil, 0)
		}
	})
	b.Run("upload", func(b *testing.B) {
		b.SetBytes(benchSize)
		for b.Loop() {
			id := uuid.NewString()
			n.upload(id, wire.FileUpload{Path: "up", Size: benchSize, Overwrite: true})
			f := open()
			roundTrip(b, client, "PATCH", url+"uploads/"+id+"?offset=0", f, benchSize)
			_ = f.Close()
			roundTrip(b, client, "POST", url+"uploads/"+id, bytes.NewReader(nil), 0)
		}
	})
	b.Run("upload-plain", func(b *testing.B) {
		b.SetBytes(benchSize)
		for b.Loop() {
			f := open()
			roundTrip(b, other.Client(), "PUT", other.URL, f, benchSize)
			_ = f.Close()
		}
	})
}
