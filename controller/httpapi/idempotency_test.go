package httpapi_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/berth-panel/berth/controller/access"
	"github.com/berth-panel/berth/controller/httpapi"
	"github.com/berth-panel/berth/controller/store"
	"github.com/berth-panel/berth/shared/problem"
)

type TokenView struct {
	ID    string `json:"id"`
	Token string `json:"token,omitempty"`
}

func (v TokenView) Redacted() any { return TokenView{ID: v.ID} }

type TokenBody struct {
	Do string `json:"do"`
}

// mint registers an idempotent operation that does as its body says.
type mint struct {
	ran     atomic.Int64
	entered chan struct{} // when a call waits
	release chan struct{}
	one     [3]chan struct{} // releases the call of that number
}

func newMint() *mint {
	m := &mint{entered: make(chan struct{}, 100), release: make(chan struct{})}
	for n := range m.one {
		m.one[n] = make(chan struct{})
	}
	return m
}

func (m *mint) register(a *httpapi.API) {
	op := httpapi.Operation{ID: "mint", Method: "POST", Path: "/api/v1/tokens", Access: access.Needs(access.ScopeWrite), Status: 201, Idempotent: true}
	httpapi.Handle(a, op, func(ctx context.Context, in *struct{ Body TokenBody }) (TokenView, error) {
		n := m.ran.Add(1)
		switch in.Body.Do {
		case "wait":
			m.entered <- struct{}{}
			select {
			case <-m.release:
			case <-m.one[n%3]:
			case <-ctx.Done():
			}
		case "break":
			return TokenView{}, errors.New("broken")
		case "panic":
			panic("panic")
		case "busy":
			return TokenView{}, problem.New(problem.ResourceBusy, "busy")
		case "conflict":
			return TokenView{}, problem.New(problem.Conflict, "conflict %d", n)
		}
		return TokenView{ID: fmt.Sprint(n), Token: "secret-token"}, nil
	})
}

func idem(k string) header { return header{"Idempotency-Key", k} }

func TestReplay(t *testing.T) {
	t.Parallel()
	m := newMint()
	b := setup(t, m.register)
	first := b.do("POST", "/api/v1/tokens", `{"do":""}`, key("write"), idem("k"))
	if first.status != 201 || !strings.Contains(first.body, "secret-token") || first.header.Get("Idempotency-Replayed") != "" {
		t.Fatalf("%d %s", first.status, first.body)
	}
	again := b.do("POST", "/api/v1/tokens", `{"do":""}`, key("write"), idem("k"))
	if again.status != 201 || again.body != `{"success":true,"data":{"id":"1"}}` || again.header.Get("Idempotency-Replayed") != "true" {
		t.Fatalf("%d %v %s", again.status, again.header, again.body)
	}
	if again.header.Get("X-Request-Id") == first.header.Get("X-Request-Id") {
		t.Error("the request id was replayed")
	}
	for what, a := range map[string]answer{
		"another body": b.do("POST", "/api/v1/tokens", `{"do": ""}`, key("write"), idem("k")),
		"another rule": b.do("POST", "/api/v1/tokens", `{"do":"x"}`, key("write"), idem("k")),
	} {
		if a.status != 422 || a.code(t) != "VALIDATION_ERROR" || a.fields(t) != "Idempotency-Key" {
			t.Errorf("%s: %d %s", what, a.status, a.body)
		}
	}
	if a := b.do("POST", "/api/v1/tokens", `{"do":""}`, key("admin"), idem("k")); a.status != 201 || !strings.Contains(a.body, `"id":"2"`) {
		t.Errorf("another API key: %d %s", a.status, a.body)
	}
	if m.ran.Load() != 2 {
		t.Errorf("the handler ran %d times", m.ran.Load())
	}
	b.clock.add(24 * time.Hour)
	if a := b.do("POST", "/api/v1/tokens", `{"do":""}`, key("write"), idem("k")); !strings.Contains(a.body, `"id":"3"`) {
		t.Errorf("after a day: %s", a.body)
	}
	if n := b.answers(); n != 1 {
		t.Errorf("%d rows are left after a day", n)
	}
}

// answers counts the rows.
func (b *bundle) answers() int {
	b.t.Helper()
	n, err := store.Count(b.t.Context(), b.db.Snapshot(), `SELECT COUNT(*) FROM idempotent_answers`)
	if err != nil {
		b.t.Fatal(err)
	}
	return n
}

func TestSecretIsNeverStored(t *testing.T) {
	t.Parallel()
	b := setup(t, newMint().register)
	b.do("POST", "/api/v1/tokens", `{"do":""}`, key("write"), idem("k"))
	n, err := store.Count(t.Context(), b.db.Snapshot(), `SELECT COUNT(*) FROM idempotent_answers WHERE instr(body, 'secret-token') > 0`)
	if err != nil || n != 0 || b.answers() != 1 {
		t.Fatalf("%d of %d rows hold the secret, %v", n, b.answers(), err)
	}
}

func TestWhatIsStored(t *testing.T) {
	t.Parallel()
	for do, want := range map[string]struct {
		status, runs int
	}{
		"":         {201, 1},
		"conflict": {409, 1},
		"break":    {500, 2},
		"panic":    {500, 2},
		"busy":     {423, 2},
	} {
		t.Run("do "+do, func(t *testing.T) {
			t.Parallel()
			m := newMint()
			b := setup(t, m.register)
			for range 2 {
				if a := b.do("POST", "/api/v1/tokens", `{"do":"`+do+`"}`, key("write"), idem("k")); a.status != want.status {
					t.Fatalf("%d %s", a.status, a.body)
				}
			}
			if int(m.ran.Load()) != want.runs {
				t.Fatalf("ran %d times", m.ran.Load())
			}
		})
	}
}

func TestBadInputUnderAnIdempotencyKey(t *testing.T) {
	t.Parallel()
	m := newMint()
	b := setup(t, m.register)
	for range 2 {
		if a := b.do("POST", "/api/v1/tokens", `{}`, key("write"), idem("k")); a.status != 422 || a.fields(t) != "do" {
			t.Fatalf("%d %s", a.status, a.body)
		}
	}
	for _, k := range []string{strings.Repeat("x", 256), "é"} {
		if a := b.do("POST", "/api/v1/tokens", `{"do":""}`, key("write"), idem(k)); a.status != 422 || a.fields(t) != "Idempotency-Key" {
			t.Fatalf("%d %s", a.status, a.body)
		}
	}
	if a := b.do("POST", "/api/v1/tokens", `{"do":""}`, key("read"), idem("r")); a.status != 403 {
		t.Fatal(a.body)
	}
	if b.answers() != 1 || m.ran.Load() != 0 {
		t.Fatalf("%d rows, ran %d times", b.answers(), m.ran.Load())
	}
}

func TestParallelCallsUnderOneKey(t *testing.T) {
	t.Parallel()
	m := newMint()
	b := setup(t, m.register)
	done := make(chan answer, 1)
	go func() { done <- b.do("POST", "/api/v1/tokens", `{"do":"wait"}`, key("write"), idem("k")) }()
	<-m.entered
	var wg sync.WaitGroup
	for range 20 {
		wg.Go(func() {
			if a := b.do("POST", "/api/v1/tokens", `{"do":"wait"}`, key("write"), idem("k")); a.status != 409 || a.code(t) != "CONFLICT" {
				t.Errorf("%d %s", a.status, a.body)
			}
		})
	}
	wg.Wait()
	close(m.release)
	if a := <-done; a.status != 201 {
		t.Fatalf("%d %s", a.status, a.body)
	}
	if a := b.do("POST", "/api/v1/tokens", `{"do":"wait"}`, key("write"), idem("k")); a.status != 201 || a.header.Get("Idempotency-Replayed") != "true" {
		t.Fatalf("%d %s", a.status, a.body)
	}
	if m.ran.Load() != 1 {
		t.Fatalf("ran %d times", m.ran.Load())
	}
}

// A controller that died in the middle leaves a row without a status.
func TestCallThatWasCutOffMayBeTakenOver(t *testing.T) {
	t.Parallel()
	m := newMint()
	b := setup(t, m.register)
	b.do("POST", "/api/v1/tokens", `{"do":""}`, key("write"), idem("k"))
	if err := b.db.Write(t.Context(), func(tx *store.Tx) error {
		_, err := tx.ExecContext(t.Context(), `UPDATE idempotent_answers SET status = NULL, body = NULL`)
		return err
	}); err != nil {
		t.Fatal(err)
	}
	b.clock.add(39 * time.Second)
	if a := b.do("POST", "/api/v1/tokens", `{"do":""}`, key("write"), idem("k")); a.status != 409 {
		t.Fatalf("%d %s", a.status, a.body)
	}
	b.clock.add(time.Second) // the timeout of 30 s and a margin
	if a := b.do("POST", "/api/v1/tokens", `{"do":""}`, key("write"), idem("k")); a.status != 201 || !strings.Contains(a.body, `"id":"2"`) {
		t.Fatalf("%d %s", a.status, a.body)
	}
}

// A slow call that was taken over must not overwrite its successor's answer.
func TestLateFinishDoesNotOverwrite(t *testing.T) {
	t.Parallel()
	m := newMint()
	b := setup(t, m.register)
	late := make(chan answer, 1)
	go func() { late <- b.do("POST", "/api/v1/tokens", `{"do":"wait"}`, key("write"), idem("k")) }()
	<-m.entered
	b.clock.add(time.Minute)
	second := make(chan answer, 1)
	go func() { second <- b.do("POST", "/api/v1/tokens", `{"do":"wait"}`, key("write"), idem("k")) }()
	<-m.entered
	m.one[1] <- struct{}{}
	if a := <-late; !strings.Contains(a.body, `"id":"1"`) {
		t.Fatalf("%d %s", a.status, a.body)
	}
	if a := b.do("POST", "/api/v1/tokens", `{"do":"wait"}`, key("write"), idem("k")); a.status != 409 {
		t.Fatalf("while the second is under way: %d %s", a.status, a.body)
	}
	m.one[2] <- struct{}{}
	<-second
	a := b.do("POST", "/api/v1/tokens", `{"do":"wait"}`, key("write"), idem("k"))
	if a.header.Get("Idempotency-Replayed") != "true" || !strings.Contains(a.body, `"id":"2"`) {
		t.Fatalf("%d %s", a.status, a.body)
	}
}

func TestHeaderMeansNothingElsewhere(t *testing.T) {
	t.Parallel()
	b := setup(t, new(things).register)
	for range 2 {
		a := b.do("PATCH", "/api/v1/things/1", `{}`, key("write"), idem("k"))
		if a.status != 200 || a.header.Get("Idempotency-Replayed") != "" {
			t.Fatalf("%d %s", a.status, a.body)
		}
	}
	if b.answers() != 0 {
		t.Fatal("something was stored")
	}
}

// What is kept in the work's own transaction is answered to a repeat whatever
// became of the first call after its commit; what was rolled back is not.
func TestAnAnswerThatIsKeptOutlivesItsCall(t *testing.T) {
	t.Parallel()
	var db *store.DB
	ran := 0
	b := setup(t, func(a *httpapi.API) {
		op := httpapi.Operation{ID: "keep", Method: "POST", Path: "/api/v1/tokens", Access: access.Needs(access.ScopeWrite), Status: 202, Idempotent: true}
		httpapi.Handle(a, op, func(ctx context.Context, in *struct{ Body TokenBody }) (TokenView, error) {
			ran++
			v := TokenView{ID: fmt.Sprint(ran), Token: "secret-token"}
			err := db.Write(ctx, func(tx *store.Tx) error {
				if err := httpapi.Keep(ctx, tx, v); err != nil || in.Body.Do != "roll back" {
					return err
				}
				return errors.New("broken")
			})
			if in.Body.Do == "die" {
				panic("the end")
			}
			return v, err
		})
	})
	db = b.db
	do := func(body, k string) answer { return b.do("POST", "/api/v1/tokens", body, key("write"), idem(k)) }
	if a := do(`{"do":"die"}`, "k"); a.status != 500 {
		t.Fatalf("%d %s", a.status, a.body)
	}
	if a := do(`{"do":"die"}`, "k"); a.status != 202 || a.body != `{"success":true,"data":{"id":"1"}}` || a.header.Get("Idempotency-Replayed") != "true" || ran != 1 {
		t.Errorf("the repeat: %d %s after %d runs", a.status, a.body, ran)
	}
	if a := do(`{"do":"roll back"}`, "l"); a.status != 500 {
		t.Fatalf("%d %s", a.status, a.body)
	}
	if a := do(`{"do":"roll back"}`, "l"); a.status != 500 || ran != 3 {
		t.Errorf("what was rolled back was kept: %d %s after %d runs", a.status, a.body, ran)
	}
	if a := do(`{"do":""}`, "m"); a.status != 202 || !strings.Contains(a.body, "secret-token") {
		t.Errorf("%d %s", a.status, a.body)
	}
	if a := b.do("POST", "/api/v1/tokens", `{"do":""}`, key("write")); a.status != 202 || ran != 5 {
		t.Errorf("without a key: %d %s", a.status, a.body)
	}
}
