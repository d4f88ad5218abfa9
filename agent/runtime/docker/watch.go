package docker

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/docker/docker/api/types/events"
	"github.com/docker/docker/api/types/filters"

	"github.com/berth-panel/berth/agent/runtime"
	"github.com/berth-panel/berth/shared/ident"
)

// maxQueued is how many changes may wait for the handler before Watch gives up
// and lets its caller look at everything again.
const maxQueued = 10_000

// Watch follows the engine's events. The stream is asked for from a moment of
// the engine's own clock before the request, so nothing falls between request
// and subscription; ready is called when the engine has accepted the request.
// The client's own Events can't tell that apart from a refusal, hence the plain
// HTTP request.
func (e *Engine) Watch(ctx context.Context, ready func(), handle func(runtime.Change)) error {
	info, err := e.api.Info(ctx) // settles the API's version, too
	if err != nil {
		return failure(ctx, err, runtime.Unknown, "the container engine does not say what time it is")
	}
	stream, err := e.events(ctx, info.SystemTime)
	if err != nil {
		return err
	}
	if ready != nil {
		ready()
	}
	queue := newChanges(e.queued, moment(info.SystemTime))
	defer e.holds.listen(queue)()
	read := make(chan struct{})
	go func() {
		defer close(read)
		queue.fill(stream, e.holds.hear)
	}()
	defer func() {
		_ = stream.Close()
		<-read
	}()
	for {
		waiting, ended := queue.take()
		for _, c := range waiting {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			handle(c)
		}
		if ended != nil {
			return failure(ctx, ended, runtime.Unreachable, "the container engine broke off its events")
		}
		select {
		case <-queue.news:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// events asks for the stream of this node's container events since a moment,
// and returns once the engine has accepted.
func (e *Engine) events(ctx context.Context, since string) (io.ReadCloser, error) {
	from, err := time.Parse(time.RFC3339Nano, since)
	if err != nil {
		return nil, runtime.Fail(runtime.Unknown, err, "the container engine does not say what time it is")
	}
	filter := e.mine()
	filter.Add("type", string(events.ContainerEventType))
	selected, err := filters.ToJSON(filter)
	if err != nil {
		return nil, fmt.Errorf("selecting events: %w", err)
	}
	query := url.Values{
		"since":   {strconv.FormatInt(from.Unix(), 10) + "." + fmt.Sprintf("%09d", from.Nanosecond())},
		"filters": {selected},
	}
	// The host is a placeholder: the dialler knows the engine's address.
	address := "http://engine/v" + e.api.ClientVersion() + "/events?" + query.Encode()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, address, http.NoBody)
	if err != nil {
		return nil, fmt.Errorf("asking for events: %w", err)
	}
	answer, err := e.raw.Do(request)
	if err != nil {
		return nil, failure(ctx, err, runtime.Unreachable, "the container engine does not answer")
	}
	if answer.StatusCode != http.StatusOK {
		text, _ := io.ReadAll(io.LimitReader(answer.Body, 4<<10))
		_ = answer.Body.Close()
		return nil, runtime.Fail(runtime.Unknown, fmt.Errorf("%s: %s", answer.Status, text), "the container engine refuses to tell its events")
	}
	return answer.Body, nil
}

// changes is the queue between the reader of events and the handler.
type changes struct {
	most  int
	since time.Time     // the engine tells all starts from then on
	news  chan struct{} // holds one when there is something to take
	mu    sync.Mutex
	queue []runtime.Change
	ended error
	begun map[runtime.ContainerID]time.Time // when the last start was that is in the queue, or was
	heard chan struct{}                     // closed at the next start, and at the end
}

func newChanges(most int, since time.Time) *changes {
	return &changes{
		most: most, since: since, news: make(chan struct{}, 1),
		begun: map[runtime.ContainerID]time.Time{}, heard: make(chan struct{}),
	}
}

var errFellBehind = errors.New("changes came faster than they were handled")

// fill reads events until the stream ends, as hear has them.
func (q *changes) fill(stream io.Reader, hear func(runtime.Change) runtime.Change) {
	decoder := json.NewDecoder(stream)
	var last events.Message
	for {
		var m events.Message
		if err := decoder.Decode(&m); err != nil {
			q.end(err)
			return
		}
		// An event of the moment of subscription may come twice.
		if m.TimeNano == last.TimeNano && m.Action == last.Action && m.Actor.ID == last.Actor.ID {
			continue
		}
		last = m
		kind, ok := changeKind(m.Action)
		if !ok {
			continue
		}
		c := runtime.Change{
			Kind:     kind,
			ID:       runtime.ContainerID(m.Actor.ID),
			Instance: ident.Instance(m.Actor.Attributes[labelInstance]),
			Role:     runtime.Role(m.Actor.Attributes[labelRole]),
			At:       time.Unix(0, m.TimeNano),
		}
		if kind == runtime.Signalled {
			c.Signal, _ = strconv.Atoi(m.Actor.Attributes["signal"]) // 0 when the engine doesn't say
		}
		if !q.push(hear(c)) {
			q.end(errFellBehind)
			return
		}
	}
}

// changeKind says what an event means; false for those that change nothing.
func changeKind(action events.Action) (runtime.ChangeKind, bool) {
	switch action {
	case events.ActionStart:
		return runtime.Started, true
	case events.ActionDie:
		return runtime.Died, true
	case events.ActionOOM:
		return runtime.OOM, true
	case events.ActionKill:
		return runtime.Signalled, true
	case events.ActionDestroy:
		return runtime.Removed, true
	case events.ActionCreate, events.ActionPause, events.ActionUnPause, events.ActionRename, events.ActionUpdate:
		return runtime.Other, true
	}
	if strings.HasPrefix(string(action), string(events.ActionHealthStatus)) { // "health_status: healthy"
		return runtime.Other, true
	}
	return "", false
}

func (q *changes) push(c runtime.Change) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.queue) >= q.most {
		return false
	}
	q.queue = append(q.queue, c)
	switch c.Kind {
	case runtime.Started:
		q.begun[c.ID] = c.At
		q.tellHeard()
	case runtime.Removed:
		delete(q.begun, c.ID)
	}
	q.ring()
	return true
}

// awaitStart waits until the engine has told that it started a container at run: a
// program may end, and say so, sooner than that comes. It doesn't wait for what this
// queue is never told.
func (q *changes) awaitStart(ctx context.Context, id runtime.ContainerID, run time.Time) error {
	for {
		q.mu.Lock()
		told, heard := q.ended != nil || run.Before(q.since) || !q.begun[id].Before(run), q.heard
		q.mu.Unlock()
		if told {
			return nil
		}
		select {
		case <-heard:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// tellHeard wakes whoever waits for a start; the caller holds mu.
func (q *changes) tellHeard() {
	close(q.heard)
	q.heard = make(chan struct{})
}

func (q *changes) end(why error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.ended = why
	q.tellHeard()
	q.ring()
}

func (q *changes) ring() {
	select {
	case q.news <- struct{}{}:
	default:
	}
}

// take empties the queue; ended is set once nothing more will come.
func (q *changes) take() (waiting []runtime.Change, ended error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	waiting, q.queue = q.queue, nil
	return waiting, q.ended
}
