package fleet

import (
	"bytes"
	"errors"
	"io"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// TestTheSideThatStandsStillIsCut: which of the two it is decides what is said.
func TestTheSideThatStandsStillIsCut(t *testing.T) {
	t.Parallel()
	for _, source := range []bool{true, false} {
		synctest.Test(t, func(t *testing.T) {
			r, w := io.Pipe()
			var count atomic.Int64
			s := &flow{from: r, count: &count}
			var from, to atomic.Pointer[error]
			stop := s.watch(func(err error) { from.Store(&err); _ = w.CloseWithError(err) }, func(err error) { to.Store(&err) })
			go func() {
				for range 5 { // slow, but it flows
					time.Sleep(idleLimit - time.Second)
					_, _ = w.Write([]byte("x"))
				}
			}()
			for range 5 {
				if _, err := s.Read(make([]byte, 10)); err != nil {
					t.Fatal(err)
				}
			}
			if source {
				_, err := s.Read(make([]byte, 10))
				if got := from.Load(); got == nil || !errors.Is(*got, errIdleFrom) || to.Load() != nil || s.broke() == nil || !errors.Is(err, errIdleFrom) {
					t.Errorf("the source stands still: %v", err)
				}
			} else {
				time.Sleep(idleLimit + time.Second) // nobody reads on
				if got := to.Load(); got == nil || !errors.Is(*got, errIdleTo) || from.Load() != nil || s.broke() != nil {
					t.Error("the target stands still, and is not cut")
				}
			}
			stop()
			if count.Load() != 5 {
				t.Errorf("%d bytes were counted", count.Load())
			}
		})
	}
}

func TestAnEndIsNoFailure(t *testing.T) {
	t.Parallel()
	var count atomic.Int64
	s := &flow{from: bytes.NewReader([]byte("all")), count: &count}
	if text, err := io.ReadAll(s); err != nil || string(text) != "all" || s.broke() != nil || count.Load() != 3 {
		t.Errorf("%q, %v, %v", text, err, s.broke())
	}
}
