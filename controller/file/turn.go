package file

import (
	"context"
	"errors"
	"sync"

	"github.com/berth-panel/berth/shared/problem"
)

// turns has the calls about one upload come to its node in the order in which
// they came here. A client whose connection broke asks again while the part that
// it sent before is still on its way: the later call ends the earlier one, which
// must not reach the node after it. Safe for concurrent use.
type turns struct {
	mu sync.Mutex
	of map[string]*turn
}

type turn struct {
	cut  context.CancelCauseFunc
	over chan struct{}
}

func newTurns() turns { return turns{of: map[string]*turn{}} }

// errOvertaken is 423: clients of tus try that again, where after a 409 to HEAD
// some would begin a new upload.
var errOvertaken = problem.New(problem.ResourceBusy, "another call about this upload came and ended this one: ask for the offset and go on there")

// enter ends the call about the upload that is under way, and waits for its end.
// The context that it gives ends when another call comes; the function is to be
// called when the node has answered.
func (t *turns) enter(ctx context.Context, upload string) (context.Context, func(), error) {
	mine, cut := context.WithCancelCause(ctx)
	me := &turn{cut: cut, over: make(chan struct{})}
	t.mu.Lock()
	before := t.of[upload]
	t.of[upload] = me
	t.mu.Unlock()
	var once sync.Once
	leave := func() {
		once.Do(func() {
			t.mu.Lock()
			if t.of[upload] == me {
				delete(t.of, upload)
			}
			t.mu.Unlock()
			close(me.over)
		})
	}
	if before == nil {
		return mine, leave, nil
	}
	before.cut(errOvertaken)
	select {
	case <-before.over:
		return mine, leave, nil
	case <-mine.Done():
		go func() { // whoever waits for us waits for those before us
			<-before.over
			leave()
		}()
		return nil, nil, context.Cause(mine)
	}
}

// overtaken says why a call failed whose turn another one ended: whatever it was at
// then has no better word for that.
func overtaken(mine context.Context, err error) error {
	var said *problem.Problem
	if err == nil || errors.As(err, &said) || !errors.Is(context.Cause(mine), errOvertaken) {
		return err
	}
	return errOvertaken
}
