package console

import (
	"context"
	"errors"
	"os"
	"strings"
	"time"

	"github.com/berth-panel/berth/agent/runtime"
	"github.com/berth-panel/berth/shared/problem"
	"github.com/berth-panel/berth/shared/wire"
)

const (
	// stdinWithin is how long a program may take to make room for a line: some
	// hundred KiB before it may wait unread.
	stdinWithin = 3 * time.Second
	maxRef      = 64
	maxSide     = 1000 // of a terminal, in characters
)

func errDown() error {
	return problem.New(problem.Conflict, "the instance does not run: start it first")
}

func errDeaf() error {
	return problem.New(problem.ResourceBusy, "the program does not read its input: try again later")
}

// carryOut does what a message says.
func (c *console) carryOut(ctx context.Context, in wire.ConsoleInput) error {
	switch {
	case len(in.Ref) > maxRef:
		return problem.Invalid("ref", "may be 64 bytes at most")
	case (in.Command == nil) == (in.Size == nil):
		return problem.New(problem.BadRequest, "a message holds either a command or a size")
	case in.Size != nil:
		return c.resize(ctx, *in.Size)
	default:
		return c.command(ctx, *in.Command)
	}
}

func (c *console) resize(ctx context.Context, size wire.ConsoleSize) error {
	if size.Rows < 1 || size.Rows > maxSide || size.Columns < 1 || size.Columns > maxSide {
		return problem.Invalid("size", "must be 1 to %d rows and columns", maxSide)
	}
	stream, box := c.stream()
	if stream == nil {
		return errDown()
	}
	ctx, cancel := context.WithTimeout(ctx, attachWithin)
	defer cancel()
	err := c.room.Engine.Resize(ctx, box, size.Rows, size.Columns)
	switch runtime.ReasonOf(err) {
	case "":
		return nil
	case runtime.Conflict, runtime.Missing:
		return errDown()
	case runtime.Unreachable:
		return problem.New(problem.NodeOffline, "the container engine does not answer").Because(err)
	default:
		return problem.New(problem.Internal, "the terminal could not be resized").Because(err)
	}
}

// stream gives what is attached of an instance that is up; nil when it is not.
func (c *console) stream() (runtime.Attachment, runtime.ContainerID) {
	state, err := c.room.Instances.State(c.id)
	if err != nil {
		return nil, ""
	}
	switch state.Actual {
	case wire.ActualStarting, wire.ActualRunning, wire.ActualStopping:
	default:
		return nil, ""
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.session == nil || c.session.live == nil {
		return nil, ""
	}
	return c.session.live.stream, c.session.box
}

// command writes a line to stdin. It becomes a line of the record first.
func (c *console) command(ctx context.Context, text string) error {
	if len(text) > wire.ConsoleCommand {
		return problem.New(problem.TooLarge, "a command may be %d bytes at most", wire.ConsoleCommand)
	}
	if strings.ContainsAny(text, "\n\r\x00") {
		return problem.Invalid("command", "is one line: it may not hold line ends nor NUL")
	}
	ctx, cancel := context.WithTimeout(ctx, 2*stdinWithin)
	defer cancel()
	select {
	case c.typing <- struct{}{}:
		defer func() { <-c.typing }()
	case <-ctx.Done():
		return errDeaf()
	}
	stream, _ := c.stream()
	if stream == nil {
		return errDown()
	}
	if c.typedTo != stream {
		c.typedTo, c.rest = stream, nil
	}
	now := c.room.Now()
	if err := stream.SetWriteDeadline(now.Add(stdinWithin)); err != nil {
		return errDown()
	}
	if err := c.write(stream, c.rest, true); err != nil {
		return err
	}
	c.add([]entry{{at: now, source: wire.ConsoleIn, text: clean([]byte(text))}})
	return c.write(stream, append([]byte(text), '\n'), false)
}

// write writes all of it. What is left of a line that was taken in part, begun,
// goes before the next one: its beginning must not become that of another.
func (c *console) write(stream runtime.Attachment, p []byte, begun bool) error {
	if len(p) == 0 {
		return nil
	}
	n, err := stream.Write(p)
	c.rest = nil
	if err == nil {
		return nil
	}
	if !errors.Is(err, os.ErrDeadlineExceeded) {
		return errDown()
	}
	if begun || n > 0 {
		c.rest = p[n:]
	}
	return errDeaf()
}
