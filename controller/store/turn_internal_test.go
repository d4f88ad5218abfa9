package store

import (
	"context"
	"errors"
	"slices"
	"testing"
	"testing/synctest"
)

// queue has waiters stand in line, in that order, while the turn is taken, and
// gives the order in which they had it.
func queue(t *testing.T, turns *turns, waiters []string, ctx map[string]context.Context) []string {
	t.Helper()
	var order []string
	if err := turns.take(t.Context(), false); err != nil {
		t.Fatal(err)
	}
	for _, w := range waiters {
		c := ctx[w]
		if c == nil {
			c = t.Context()
		}
		go func() {
			if err := turns.take(c, w[0] == 'b'); err != nil {
				return
			}
			order = append(order, w) // whoever has the turn is alone
			turns.pass()
		}()
		synctest.Wait()
	}
	turns.pass()
	synctest.Wait()
	return order
}

func TestTurnsLetThoseGoFirstWhoAreWaitedFor(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		for _, c := range []struct{ waiters, want []string }{
			{[]string{"b1", "b2", "f1", "f2", "f3", "f4", "f5", "f6"}, []string{"f1", "f2", "f3", "f4", "b1", "f5", "f6", "b2"}},
			{[]string{"b1", "f1", "b2"}, []string{"f1", "b1", "b2"}},
			{[]string{"f1", "f2", "f3", "f4", "f5", "b1"}, []string{"f1", "f2", "f3", "f4", "b1", "f5"}},
			{nil, nil},
		} {
			turns := turns{last: func() {}}
			if got := queue(t, &turns, c.waiters, nil); !slices.Equal(got, c.want) {
				t.Errorf("%v had their turns as %v, want %v", c.waiters, got, c.want)
			}
			if turns.taken {
				t.Errorf("after %v nobody gave the turn back", c.waiters)
			}
		}
	})
}

func TestWhoGoesAwayHoldsNobodyUp(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		turns := turns{last: func() {}}
		gone, cancel := context.WithCancel(t.Context())
		cancel()
		got := queue(t, &turns, []string{"f1", "f2", "b1", "b2"}, map[string]context.Context{"f1": gone, "b1": gone})
		if want := []string{"f2", "b2"}; !slices.Equal(got, want) || turns.taken {
			t.Fatalf("%v had turns, want %v; taken: %v", got, want, turns.taken)
		}
	})
}

// TestTurnThatComesTooLateIsPassedOn tries both ends of a race: the turn and the
// cancelling come at once.
func TestTurnThatComesTooLateIsPassedOn(t *testing.T) {
	t.Parallel()
	for range 200 {
		turns := turns{last: func() {}}
		if err := turns.take(t.Context(), false); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		taken := make(chan error)
		go func() {
			err := turns.take(ctx, false)
			if err == nil {
				turns.pass()
			}
			taken <- err
		}()
		go cancel()
		turns.pass()
		if err := <-taken; err != nil && !errors.Is(err, context.Canceled) {
			t.Fatal(err)
		}
		if turns.taken || len(turns.front) > 0 {
			t.Fatal("the turn was lost")
		}
	}
}
