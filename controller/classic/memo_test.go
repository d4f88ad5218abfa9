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

// clock is the moment of a test's memo.
type clock struct{ at atomic.Pointer[moment] }

func (c *clock) set(version uint64, online string) { c.at.Store(&moment{version, online}) }

func newClocked() (*memo, *clock) {
	c := &clock{}
	c.set(1, "")
	return newMemo(func() moment { return *c.at.Load() }), c
}

func mustGet(t *testing.T, m *memo, name string, render func() ([]byte, error), want string) {
	t.Helper()
	got, err := m.get(t.Context(), name, render)
	if err != nil || string(got) != want {
		t.Errorf("%s: %q, %v; want %q", name, got, err, want)
	}
}

func TestMemoRendersOnceForAVersion(t *testing.T) {
	t.Parallel()
	m, c := newClocked()
	mustGet(t, m, "a", text("one"), "one")
	mustGet(t, m, "a", never(t), "one")
	c.set(2, "")
	mustGet(t, m, "a", text("two"), "two")
	mustGet(t, m, "a", never(t), "two")
	mustGet(t, m, "b", text("other"), "other")
	mustGet(t, m, "a", never(t), "two")
}

// A node may come or go without a commit.
func TestMemoRendersAgainWhenANodeComes(t *testing.T) {
	t.Parallel()
	m, c := newClocked()
	for n, online := range []string{"", "a", "a,b", ""} {
		c.set(7, online)
		mustGet(t, m, "x", text(fmt.Sprint(n)), fmt.Sprint(n))
		mustGet(t, m, "x", never(t), fmt.Sprint(n))
	}
}

func TestMemoRendersOnceForManyAtATime(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m, _ := newClocked()
		var renders atomic.Int32
		release := make(chan struct{})
		var all sync.WaitGroup
		for range 20 {
			all.Go(func() {
				got, err := m.get(t.Context(), "a", func() ([]byte, error) {
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

// Whoever asks after a commit must not get what was begun before it; all who
// come while that is being made share the next one.
func TestMemoDoesNotJoinAnOlderRendering(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m, c := newClocked()
		release := make(chan struct{})
		var all sync.WaitGroup
		all.Go(func() {
			mustGet(t, m, "a", func() ([]byte, error) { <-release; return []byte("old"), nil }, "old")
		})
		synctest.Wait()
		var renders atomic.Int32
		for version := range uint64(20) { // each after a commit of its own, the last without one
			c.set(min(version+2, 20), fmt.Sprint(version%2))
			all.Go(func() {
				mustGet(t, m, "a", func() ([]byte, error) { renders.Add(1); return []byte("new"), nil }, "new")
			})
			synctest.Wait()
		}
		if n := renders.Load(); n != 0 {
			t.Errorf("%d were rendered beside the first", n)
		}
		close(release)
		all.Wait()
		if n := renders.Load(); n != 1 {
			t.Errorf("rendered %d times for those who came meanwhile", n)
		}
		mustGet(t, m, "a", never(t), "new")
		if kept := cap(m.entries["a"].body); m.bytes != kept {
			t.Errorf("%d bytes are counted for %d", m.bytes, kept)
		}
	})
}

func TestMemoOthersTryThemselvesWhenOneFails(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m, _ := newClocked()
		release := make(chan struct{})
		var first sync.WaitGroup
		first.Go(func() {
			_, err := m.get(t.Context(), "a", func() ([]byte, error) { <-release; return nil, context.Canceled })
			if !errors.Is(err, context.Canceled) {
				t.Errorf("the first got %v", err)
			}
		})
		synctest.Wait()
		var second sync.WaitGroup
		second.Go(func() { mustGet(t, m, "a", text("mine"), "mine") })
		synctest.Wait()
		close(release)
		first.Wait()
		second.Wait()
	})
}

func TestMemoSurvivesAPanic(t *testing.T) {
	t.Parallel()
	m, _ := newClocked()
	func() {
		defer func() {
			if recover() == nil {
				t.Error("the panic was swallowed")
			}
		}()
		_, _ = m.get(t.Context(), "a", func() ([]byte, error) { panic("in the middle") })
	}()
	mustGet(t, m, "a", text("after"), "after")
}

func TestMemoWaitingEndsWithTheCaller(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m, _ := newClocked()
		release := make(chan struct{})
		var first sync.WaitGroup
		first.Go(func() {
			mustGet(t, m, "a", func() ([]byte, error) { <-release; return []byte("one"), nil }, "one")
		})
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := m.get(ctx, "a", never(t)); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v", err)
		}
		close(release)
		first.Wait()
	})
}

func TestMemoIsBounded(t *testing.T) {
	t.Parallel()
	m, _ := newClocked()
	m.most = 1000
	for n := range 200 {
		big := strings.Repeat("x", 300)
		mustGet(t, m, fmt.Sprint(n), text(big), big)
		if m.bytes > m.most || len(m.entries) > 3 {
			t.Fatalf("%d bytes in %d entries are kept", m.bytes, len(m.entries))
		}
	}
	mustGet(t, m, "199", never(t), strings.Repeat("x", 300)) // the newest is kept
	huge := strings.Repeat("x", 2000)
	mustGet(t, m, "huge", text(huge), huge)
	if m.bytes != 0 || len(m.entries) != 0 {
		t.Errorf("%d bytes in %d entries are kept after one that is too large", m.bytes, len(m.entries))
	}
	for n := range 3 * memoEntries {
		mustGet(t, m, fmt.Sprint("small", n), text(""), "")
	}
	if len(m.entries) != memoEntries {
		t.Errorf("%d entries are kept", len(m.entries))
	}
}

func TestMemoForgetsWhenNobodyAsks(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m, _ := newClocked()
		mustGet(t, m, "a", text("one"), "one")
		time.Sleep(memoIdle - time.Second)
		synctest.Wait()
		mustGet(t, m, "a", never(t), "one")
		time.Sleep(memoIdle + time.Second)
		synctest.Wait()
		if len(m.entries) != 0 || m.bytes != 0 {
			t.Errorf("%d entries, %d bytes after a minute without a question", len(m.entries), m.bytes)
		}
		mustGet(t, m, "a", text("two"), "two")
	})
}
