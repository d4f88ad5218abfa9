package console

import (
	"context"
	"encoding/json"
	"errors"
	"net/url"
	"strconv"
	"time"

	"github.com/gorilla/websocket"

	"github.com/berth-panel/berth/controller/access"
	"github.com/berth-panel/berth/shared/ident"
	"github.com/berth-panel/berth/shared/problem"
	"github.com/berth-panel/berth/shared/wire"
)

const (
	writeWithin = 10 * time.Second // of an input to a node
	firstWithin = 30 * time.Second // of a stream's first frame
	firstPause  = 100 * time.Millisecond
	frameLimit  = 8 * wire.ConsoleFrameMax // escapes make text longer than it is
)

// frame is a wire.ConsoleFrame whose lines are left as they came.
type frame struct {
	Lines  []json.RawMessage   `json:"lines"`
	Missed *wire.ConsoleMissed `json:"missed"`
	State  *wire.State         `json:"state"`
	Tail   *string             `json:"tail"`
	Error  *wire.ConsoleError  `json:"error"`
	Done   string              `json:"done"`
	Record string              `json:"record"`
	Last   int64               `json:"last"`
}

// errRecord says that the node's record is another one than before.
var errRecord = errors.New("the record began anew")

func path(id ident.Instance) string {
	return wire.PathInstances + "/" + url.PathEscape(string(id)) + "/console"
}

// run follows the node's stream until ctx ends, however often it breaks off.
func (f *feed) run(ctx context.Context) {
	defer close(f.done)
	wait := firstPause
	for ctx.Err() == nil {
		began, err := f.follow(ctx)
		if ctx.Err() != nil {
			return
		}
		if errors.Is(err, errRecord) {
			continue
		}
		f.lost(err)
		if began {
			wait = firstPause
		}
		pause(ctx, wait)
		wait = min(2*wait, f.service.pace.retry)
	}
}

// lost tells that the node can't be reached.
func (f *feed) lost(err error) {
	why := problem.From(err).Message
	if problem.Is(err, problem.Internal) || problem.From(err).Code == problem.Internal {
		why = "the stream from the node broke off"
		f.service.Log.Debug("a console's stream ended", "instance", string(f.id), "error", err)
	}
	f.disconnect(why)
	f.mu.Lock()
	state := f.state
	f.mu.Unlock()
	if state.Node == Offline && state.Message == why {
		return
	}
	f.tell(State{Status: state.Status, Node: Offline, Message: why})
}

// follow is one stream; began says that it gave something.
func (f *feed) follow(ctx context.Context) (began bool, err error) {
	i, err := f.service.Instances.Get(ctx, access.Local(), f.id)
	if err != nil {
		return false, err
	}
	f.mu.Lock()
	if f.state.Status == "" {
		f.state.Status = i.Status()
	}
	resumed, target := f.record != "", path(f.id)
	if resumed {
		target += "?after=" + strconv.FormatInt(f.last, 10)
	}
	f.mu.Unlock()
	conn, err := f.service.Agents.Socket(ctx, i.Node, target)
	if err != nil {
		return false, err
	}
	defer func() { _ = conn.Close() }()
	conn.SetReadLimit(frameLimit)
	if err := conn.SetReadDeadline(soon(firstWithin)); err != nil {
		return false, err
	}
	var first frame
	if err := conn.ReadJSON(&first); err != nil {
		return false, err
	}
	if first.Record == "" {
		return false, errors.New("the node's stream doesn't say which record it is of")
	}
	if err := conn.SetReadDeadline(time.Time{}); err != nil {
		return false, err
	}
	if !f.began(first.Record, first.Last, resumed) {
		return true, errRecord
	}
	ended := make(chan struct{})
	inputs := f.connect()
	written := make(chan struct{})
	go func() {
		defer close(written)
		f.write(conn.Conn, inputs, ended)
	}()
	defer func() { close(ended); _ = conn.Close(); <-written }()
	for next := first; ; {
		if err := f.handle(ctx, next); err != nil {
			return true, err
		}
		next = frame{}
		if err := conn.ReadJSON(&next); err != nil {
			return true, err
		}
	}
}

// write sends inputs; what can't be written ends the stream.
func (f *feed) write(conn *websocket.Conn, inputs <-chan wire.ConsoleInput, ended <-chan struct{}) {
	for {
		select {
		case <-ended:
			return
		case in := <-inputs:
			if conn.SetWriteDeadline(soon(writeWithin)) != nil || conn.WriteJSON(in) != nil {
				_ = conn.Close()
				return
			}
		}
	}
}

func (f *feed) handle(ctx context.Context, in frame) error {
	if in.Missed != nil {
		f.skip(*in.Missed)
	}
	if in.Lines != nil || in.Tail != nil {
		if err := f.take(in.Lines, in.Tail); err != nil {
			return err
		}
	}
	if in.State != nil {
		i, err := f.service.Instances.Get(ctx, access.Local(), f.id)
		if err != nil {
			return err
		}
		f.tell(stateOf(i, *in.State))
	}
	if in.Error != nil {
		f.settle(in.Error.Ref, problem.New(problem.Code(in.Error.Code), "%s", in.Error.Message))
	}
	if in.Done != "" {
		f.settle(in.Done, nil)
	}
	return nil
}

func pause(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}
