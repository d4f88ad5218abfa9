package transfer

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"runtime/debug"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/berth-panel/berth/shared/ident"
	"github.com/berth-panel/berth/shared/problem"
	"github.com/berth-panel/berth/shared/wire"
)

// isUUID says whether text is a UUID as we write them: names of parts are made
// of it.
func isUUID(text string) bool {
	id, err := uuid.Parse(text)
	return err == nil && id.String() == text
}

// task is long work. Its methods are safe for concurrent use.
type task struct {
	ctx    context.Context
	cancel context.CancelCauseFunc

	mu    sync.Mutex
	state wire.FileTaskState
	over  time.Time
}

// work is what a task's verb works with. It has one user but its task.
type work struct {
	context.Context
	*site
	task *task
	room *budget
}

var errCancelled = problem.New(problem.Conflict, "it was cancelled")

func (t *task) look() wire.FileTaskState {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.state
}

func (t *task) ended() (time.Time, bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.over, t.state.Done
}

// say tells what the task does; -1 for a percentage that nobody knows.
func (t *task) say(percent int, format string, args ...any) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.state.Percent, t.state.Message = percent, fmt.Sprintf(format, args...)
}

func (t *task) count(files, bytes int64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.state.Files += files
	t.state.Bytes += bytes
}

// reach tells how much of a known whole is done.
func (t *task) reach(done, total int64) {
	if total <= 0 {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.state.Percent = int(min(100, max(0, done)*100/total))
}

func (t *task) end(err error, now time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.state.Done, t.over = true, now
	if err != nil {
		t.state.Failure = problem.From(err)
		t.state.Message = t.state.Failure.Message
		return
	}
	t.state.Percent = 100
}

// verb is what a task does.
type verb func(w *work) error

// verbOf finds what a task asks for, and checks it.
func verbOf(t wire.FileTask) (verb, error) {
	var list []verb
	var failed error
	add := func(v verb, err error) { list, failed = append(list, v), errors.Join(failed, err) }
	if b := t.Delete; b != nil {
		add(func(w *work) error { return w.delete(*b) }, validAll("paths", b.Paths))
	}
	if b := t.Copy; b != nil {
		add(func(w *work) error { return w.copy(*b) }, errors.Join(validAll("paths", b.Paths), valid("to", b.To, true)))
	}
	if b := t.Archive; b != nil {
		add(func(w *work) error { return w.archive(*b) }, errors.Join(checkBundle(b.FileBundle), valid("to", b.To, false)))
	}
	if b := t.Extract; b != nil {
		add(func(w *work) error { return w.extract(*b) }, errors.Join(valid("path", b.Path, false), valid("to", b.To, true)))
	}
	if b := t.Pull; b != nil {
		add(func(w *work) error { return w.pull(*b) }, checkPull(*b))
	}
	if len(list) != 1 {
		return nil, problem.New(problem.Validation, "a task is one of delete, copy, archive, extract and pull")
	}
	if failed != nil {
		return nil, problem.From(failed)
	}
	return list[0], nil
}

func (s *Store) putTask(c *call) error {
	var body wire.FileTask
	if err := c.decode(&body); err != nil {
		return err
	}
	do, err := verbOf(body)
	if err != nil {
		return err
	}
	if err := s.Instances.Writable(c.id); err != nil {
		return err
	}
	select {
	case <-s.ready:
	case <-c.Done():
		return c.Err()
	}
	t, err := s.begun(c.id, c.arg, do)
	if err != nil {
		return err
	}
	return c.answer(http.StatusAccepted, t.look())
}

// begun gives a task, and begins it when it isn't there yet.
func (s *Store) begun(id ident.Instance, name string, do verb) (*task, error) {
	y := s.yard(id)
	y.mu.Lock()
	defer y.mu.Unlock()
	if t := y.tasks[name]; t != nil {
		return t, nil
	}
	if len(y.tasks) >= tasksKept {
		return nil, problem.New(problem.RateLimited, "this instance has had %d file tasks within the last hour: wait for the oldest to be forgotten", tasksKept)
	}
	ctx, cancel := context.WithCancelCause(s.base)
	t := &task{ctx: ctx, cancel: cancel, state: wire.FileTaskState{Percent: -1, Message: "waiting for other work on files"}}
	inside := y.admit() // before the work can end: leave waits for y.mu
	started := s.spawn(func() {
		defer y.leave(inside)
		defer cancel(nil)
		err := s.run(ctx, id, t, do)
		if cause := context.Cause(ctx); cause != nil && err != nil {
			err = cause // what was interrupted fails in many ways
		}
		if errors.Is(err, context.Canceled) {
			err = problem.New(problem.NodeOffline, "the agent is being stopped")
		}
		if p := problem.From(err); p != nil && p.Code == problem.Internal {
			s.Log.Error("a task on files failed", "instance", string(id), "error", err)
		}
		t.end(err, s.Now())
	})
	if !started {
		cancel(nil)
		delete(y.stays, inside)
		return nil, problem.New(problem.NodeOffline, "the agent is being stopped")
	}
	y.tasks[name] = t
	return t, nil
}

// run waits for its turn and does it. What goes wrong in a decoder of archives
// that somebody else wrote is the task's failure, not the agent's end.
func (s *Store) run(ctx context.Context, id ident.Instance, t *task, do verb) (err error) {
	defer func() {
		if p := recover(); p != nil {
			s.Log.Error("a task on files panicked", "instance", string(id), "panic", fmt.Sprint(p), "stack", string(debug.Stack()))
			err = problem.New(problem.Internal, "something went wrong inside the agent; its log says what")
		}
	}()
	y := s.yard(id)
	if err := y.working.enter(ctx); err != nil {
		return err
	}
	defer y.working.leave()
	if err := s.working.enter(ctx); err != nil {
		return err
	}
	defer s.working.leave()
	at, err := s.openParts(id)
	if err != nil {
		return err
	}
	defer at.close()
	room, err := at.room()
	if err != nil {
		return err
	}
	defer room.settle()
	t.say(-1, "under way")
	return at.explain(do(&work{Context: ctx, site: at, task: t, room: room}), "")
}

func (s *Store) find(c *call) (*task, error) {
	y := s.yard(c.id)
	y.mu.Lock()
	defer y.mu.Unlock()
	if t := y.tasks[c.arg]; t != nil {
		return t, nil
	}
	return nil, problem.New(problem.NotFound, "this node knows no such task, maybe not any more")
}

func (s *Store) getTask(c *call) error {
	t, err := s.find(c)
	if err != nil {
		return err
	}
	return c.answer(http.StatusOK, t.look())
}

func (s *Store) deleteTask(c *call) error {
	if t, err := s.find(c); err == nil {
		t.cancel(errCancelled)
	}
	c.flow.WriteHeader(http.StatusNoContent)
	return nil
}

// step is asked between the pieces of a task: whether it may go on.
func (w *work) step() error {
	if w.Err() != nil {
		return context.Cause(w)
	}
	return w.writable()
}
