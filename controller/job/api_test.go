package job_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/berth-panel/berth/controller/access"
	"github.com/berth-panel/berth/controller/httpapi"
	"github.com/berth-panel/berth/controller/job"
	"github.com/berth-panel/berth/controller/store"
)

// everybody is an authenticator that lets an admin in by any key.
type everybody struct{}

func (everybody) Authenticate(context.Context, string) (access.Caller, error) {
	return access.Local(), nil
}

// serve serves the operations of jobs, and gives the address.
func (b *bench) serve(s *job.Service) string {
	b.t.Helper()
	api, err := httpapi.New(httpapi.Config{Authenticator: everybody{}, DB: b.db, Logger: slog.New(slog.DiscardHandler), Now: time.Now, Title: "Berth", Version: "test"})
	if err != nil {
		b.t.Fatal(err)
	}
	s.Mount(api)
	if err := api.Err(); err != nil {
		b.t.Fatal(err)
	}
	ln, err := (&net.ListenConfig{}).Listen(b.t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		b.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(b.t.Context())
	done := make(chan error, 1)
	go func() { done <- api.Serve(ctx, ln) }()
	b.t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			b.t.Error(err)
		}
	})
	return "http://" + ln.Addr().String() + "/api/v1/jobs/"
}

func get(t *testing.T, url string) *http.Response {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("X-Api-Key", "any")
	transport := &http.Transport{}
	t.Cleanup(transport.CloseIdleConnections)
	answer, err := (&http.Client{Transport: transport}).Do(request)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = answer.Body.Close() })
	if answer.StatusCode != http.StatusOK {
		body, _ := io.ReadAll(answer.Body)
		t.Fatalf("%s: %d %s", url, answer.StatusCode, body)
	}
	return answer
}

// The API shows a job's tasks, and the stream each of their changes.
func TestTheAPIShowsTasks(t *testing.T) {
	t.Parallel()
	b := setup(t)
	s := b.service()
	gates := map[string]chan struct{}{"reserve": make(chan struct{}), "copy": make(chan struct{}), "switch": make(chan struct{})}
	s.Register(kind, steps(func(ctx context.Context, j job.Job) (job.Outcome, error) {
		select {
		case <-gates[j.Task]:
		case <-ctx.Done():
		}
		return job.Done, ctx.Err()
	}))
	base := b.serve(s)
	j := b.enqueue(s, job.New{Kind: kind})

	var one struct{ Data job.JobView }
	if err := json.NewDecoder(get(t, base+string(j.ID)).Body).Decode(&one); err != nil {
		t.Fatal(err)
	}
	if v := one.Data; v.Task != "reserve" || fmt.Sprint(v.Tasks) != "[{reserve pending <nil> <nil>} {copy pending <nil> <nil>} {switch pending <nil> <nil>}]" {
		t.Fatalf("%+v", v)
	}

	stream := bufio.NewScanner(get(t, base+string(j.ID)+"/stream").Body)
	b.run(s)
	opened := map[string]bool{}
	var seen, log []string
	name := ""
	for stream.Scan() {
		line := stream.Text()
		if after, is := strings.CutPrefix(line, "event: "); is {
			name = after
		}
		data, is := strings.CutPrefix(line, "data: ")
		switch {
		case is && name == "line":
			var v job.JobLineView
			if err := json.Unmarshal([]byte(data), &v); err != nil {
				t.Fatal(err)
			}
			log = append(log, v.Text)
		case is && name == "job":
			var v job.JobView
			if err := json.Unmarshal([]byte(data), &v); err != nil {
				t.Fatal(err)
			}
			shown := fmt.Sprintf("%s at %q:", v.State, v.Task)
			for _, task := range v.Tasks {
				shown += " " + string(task.State)
				if task.State == job.TaskRunning && !opened[task.Name] {
					opened[task.Name] = true
					close(gates[task.Name]) // seen: it may end
				}
			}
			if !slices.Contains(seen, shown) {
				seen = append(seen, shown)
			}
		}
	}
	for _, want := range []string{
		`running at "reserve": running pending pending`, `running at "copy": done running pending`, `running at "switch": done done running`,
		`succeeded at "": done done done`,
	} {
		if !slices.Contains(seen, want) {
			t.Errorf("the stream did not show %s; it showed %q", want, seen)
		}
	}
	if want := b.texts(s, j.ID); !slices.Equal(log, want) || len(log) != 7 {
		t.Errorf("the stream's log %q, want %q", log, want)
	}
}

func TestTheAPIShowsWhyAndSinceWhenAJobWaits(t *testing.T) {
	t.Parallel()
	b := setup(t)
	s := b.service()
	s.Register(kind, policy(nil))
	base := b.serve(s)
	j := b.enqueue(s, job.New{Kind: kind, Node: "a"})
	if err := b.db.Write(t.Context(), func(tx *store.Tx) error {
		_, err := tx.ExecContext(t.Context(), `UPDATE jobs SET state = 'waiting', waiting_since = 1700000000000, message = 'node a is offline: away' WHERE id = ?`, string(j.ID))
		return err
	}); err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(get(t, base+string(j.ID)).Body)
	if text := string(body); err != nil || !strings.Contains(text, `"waiting_since":"2023-11-14T22:13:20Z"`) || !strings.Contains(text, "node a is offline: away") {
		t.Fatalf("%v: %s", err, text)
	}
}
