package server

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/berth-panel/berth/shared/problem"
	"github.com/berth-panel/berth/shared/wire"
)

// certificates are scripted.
type certificates struct {
	mu        sync.Mutex
	installed []string
	fail      error
}

func (c *certificates) Request() (string, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return "a request", c.fail
}

func (c *certificates) Install(text string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.fail == nil {
		c.installed = append(c.installed, text)
	}
	return c.fail
}

func TestCertificateCalls(t *testing.T) {
	t.Parallel()
	b := setup(t)
	call := func(method, body string) (int, string) {
		t.Helper()
		r, err := http.NewRequestWithContext(t.Context(), method, "https://"+b.addr+wire.PathCertificate, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		res, err := b.client.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = res.Body.Close() }()
		text, err := io.ReadAll(res.Body)
		if err != nil {
			t.Fatal(err)
		}
		return res.StatusCode, string(text)
	}
	for _, method := range []string{http.MethodPost, http.MethodPut} { // a door without them
		if status, text := call(method, "{}"); status != http.StatusNotFound {
			t.Errorf("%s: %d %s", method, status, text)
		}
	}
	held := &certificates{}
	b.door.Certificates = held
	if status, text := call(http.MethodPost, ""); status != http.StatusOK || text != "{\"csr\":\"a request\"}\n" {
		t.Errorf("%d %s", status, text)
	}
	if status, text := call(http.MethodPut, `{"certificate":"PEM"}`); status != http.StatusNoContent || text != "" || len(held.installed) != 1 || held.installed[0] != "PEM" {
		t.Errorf("%d %s, %q", status, text, held.installed)
	}
	for body, want := range map[string]int{`{`: 400, `{"certificate":"PEM","more":1}`: 400, ``: 400} {
		if status, text := call(http.MethodPut, body); status != want {
			t.Errorf("%.40q: %d %s", body, status, text)
		}
	}
	if status, _ := call(http.MethodGet, ""); status != http.StatusMethodNotAllowed {
		t.Errorf("GET: %d", status)
	}
	held.fail = problem.New(problem.Conflict, "not mine")
	if status, text := call(http.MethodPut, `{"certificate":"PEM"}`); status != http.StatusConflict || !strings.Contains(text, "not mine") {
		t.Errorf("%d %s", status, text)
	}
	held.fail = errors.New("the disk at /secret is full")
	if status, text := call(http.MethodPost, ""); status != http.StatusInternalServerError || strings.Contains(text, "/secret") {
		t.Errorf("%d %s", status, text)
	}
	if len(held.installed) != 1 {
		t.Errorf("installed %d times", len(held.installed))
	}
}

// FuzzAck: an acknowledgement is either understood or ends the stream; what is
// understood is a number.
func FuzzAck(f *testing.F) {
	f.Add([]byte(`{"seq":1}`))
	f.Add([]byte(`{"seq":-1}`))
	f.Add([]byte(`{"seq":1e99}`))
	f.Add([]byte(`[]`))
	f.Fuzz(func(t *testing.T, text []byte) {
		var ack wire.Ack
		if json.Unmarshal(text, &ack) != nil {
			return
		}
		again, err := json.Marshal(ack)
		if err != nil {
			t.Fatal(err)
		}
		var second wire.Ack
		if err := json.Unmarshal(again, &second); err != nil || second != ack {
			t.Fatalf("%s became %+v, then %+v", text, ack, second)
		}
	})
}
