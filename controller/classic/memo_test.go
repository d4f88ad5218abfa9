package classic

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

func text(s string) func() ([]byte, error) { return func() ([]byte, error) { return []byte(s), nil } }

func never(t *testing.T) func() ([]byte, error) {
	return func() ([]byte, error) {
		t.Error("it was rendered again")
		return nil, errors.New("again")
	}
}

func mustGet(t *testing.T, m *memo, name string, version uint64, render func() ([]byte, error), want string) {
	t.Helper()
	got, err := m.get(t.Context(), name, moment{version: version}, render)
	if err != nil || string(got) != want {
		t.Fatalf("%s at %d: %q, %v; want %q", name, version, got, err, want)
	}
}

func TestMemoRendersOnceForAVersion(t *testing.T) {
	t.Parallel()
	m := newMemo()
	mustGet(t, m, "a", 1, text("one"), "one")
	mustGet(t, m, "a", 1, never(t), "one")
	mustGet(t, m, "a", 2, text("two"), "two")
	mustGet(t, m, "a", 1, never(t), "two") // newer than asked for is right too
	mustGet(t, m, "b", 2, text("other"), "other")
	mustGet(t, m, "a", 2, never(t), "two")
}

// A node may come or go without a commit.
func TestMemoRendersAgainWhenANodeComes(t *testing.T) {
	t.Parallel()
	m := newMemo()
	for n, online := range []string{"", "a", "a,b", ""} {
		want := fmt.Sprint(n)
		for range 2 {
			got, err := m.get(t.Context(), "x", moment{7, online}, text(want))
			want = string(got)
			if err != nil || want != fmt.Sprint(n) {
				t.Fatalf("%q: %q, %v", online, got, err)
			}
		}
	}
}

func TestMemoRendersOnceForManyAtATime(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := newMemo()
		var renders atomic.Int32
		release := make(chan struct{})
		var all sync.WaitGroup
		for range 20 {
			all.Go(func() {
				got, err := m.get(t.Context(), "a", moment{version: 1}, func() ([]byte, error) {
					renders.Add(1)
					<-release
					return []byte("one"), nil
				})
				if err != nil || string(got) != "one" {
					t.Errorf("got %q, %v", got, err)
				}
			})
		}
		synctest.Wait() // all but one wait for the one
		close(release)
		all.Wait()
		if n := renders.Load(); n != 1 {
			t.Errorf("rendered %d times", n)
		}
	})
}

// Whoever asks after a commit must not get what was begun before it.
func TestMemoDoesNotJoinAnOlderRendering(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := newMemo()
		release := make(chan struct{})
		var older sync.WaitGroup
		older.Go(func() {
			mustGet(t, m, "a", 1, func() ([]byte, error) { <-release; return []byte("old"), nil }, "old")
		})
		synctest.Wait()
		mustGet(t, m, "a", 2, text("new"), "new")
		close(release)
		older.Wait()
		mustGet(t, m, "a", 2, never(t), "new")
		if kept := cap(m.entries["a"].body); m.bytes != kept {
			t.Errorf("%d bytes are counted for %d", m.bytes, kept)
		}
	})
}

func TestMemoOthersTryThemselvesWhenOneFails(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := newMemo()
		release := make(chan struct{})
		var first sync.WaitGroup
		first.Go(func() {
			_, err := m.get(t.Context(), "a", moment{version: 1}, func() ([]byte, error) { <-release; return nil, context.Canceled })
			if !errors.Is(err, context.Canceled) {
				t.Errorf("the first got %v", err)
			}
		})
		synctest.Wait()
		var second sync.WaitGroup
		second.Go(func() { mustGet(t, m, "a", 1, text("mine"), "mine") })
		synctest.Wait()
		close(release)
		first.Wait()
		second.Wait()
	})
}

func TestMemoSurvivesAPanic(t *testing.T) {
	t.Parallel()
	m := newMemo()
	func() {
		defer func() {
			if recover() == nil {
				t.Error("the panic was swallowed")
			}
		}()
		_, _ = m.get(t.Context(), "a", moment{version: 1}, func() ([]byte, error) { panic("in the middle") })
	}()
	mustGet(t, m, "a", 1, text("after"), "after")
}

func TestMemoWaitingEndsWithTheCaller(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := newMemo()
		release := make(chan struct{})
		var first sync.WaitGroup
		first.Go(func() {
			mustGet(t, m, "a", 1, func() ([]byte, error) { <-release; return []byte("one"), nil }, "one")
		})
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := m.get(ctx, "a", moment{version: 1}, never(t)); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v", err)
		}
		close(release)
		first.Wait()
	})
}

func TestMemoIsBounded(t *testing.T) {
	t.Parallel()
	m := newMemo()
	m.most = 1000
	for n := range 200 {
		big := strings.Repeat("x", 300)
		mustGet(t, m, fmt.Sprint(n), 1, text(big), big)
		if m.bytes > m.most || len(m.entries) > 3 {
			t.Fatalf("%d bytes in %d entries are kept", m.bytes, len(m.entries))
		}
	}
	mustGet(t, m, "199", 1, never(t), strings.Repeat("x", 300)) // the newest is kept
	huge := strings.Repeat("x", 2000)
	mustGet(t, m, "huge", 1, text(huge), huge)
	if m.bytes != 0 || len(m.entries) != 0 {
		t.Errorf("%d bytes in %d entries are kept after one that is too large", m.bytes, len(m.entries))
	}
	for n := range 3 * memoEntries {
		mustGet(t, m, fmt.Sprint("small", n), 1, text(""), "")
	}
	if len(m.entries) != memoEntries {
		t.Errorf("%d entries are kept", len(m.entries))
	}
}

func TestMemoForgetsWhenNobodyAsks(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := newMemo()
		mustGet(t, m, "a", 1, text("one"), "one")
		time.Sleep(memoIdle - time.Second)
		synctest.Wait()
		mustGet(t, m, "a", 1, never(t), "one")
		time.Sleep(memoIdle + time.Second)
		synctest.Wait()
		if len(m.entries) != 0 || m.bytes != 0 {
			t.Errorf("%d entries, %d bytes after a minute without a question", len(m.entries), m.bytes)
		}
		mustGet(t, m, "a", 1, text("two"), "two")
	})
}
