package docker

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"time"

	"github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/container"

	"github.com/berth-panel/berth/agent/runtime"
)

// attachment is a hijacked connection. Docker frames both streams into one unless
// the container has a terminal.
type attachment struct {
	net.Conn
	in     *bufio.Reader
	tty    bool
	stderr bool // of the frame under way
	left   int  // of it
}

// Attach opens the container's streams.
func (e *Engine) Attach(ctx context.Context, id runtime.ContainerID) (runtime.Attachment, error) {
	c, err := e.own(ctx, id)
	if err != nil {
		return nil, err
	}
	conn, in, err := e.attach(ctx, c.ID)
	switch {
	case err == nil:
		return &attachment{Conn: conn, in: in, tty: c.Config.Tty}, nil
	case errdefs.IsNotFound(err):
		return nil, missing(err)
	}
	return nil, failure(ctx, err, runtime.Unknown, "the container engine does not give the container's console")
}

// attach obeys its context, which the client's does not once it has dialled.
func (e *Engine) attach(ctx context.Context, id string) (net.Conn, *bufio.Reader, error) {
	type result struct {
		conn net.Conn
		in   *bufio.Reader
		err  error
	}
	done := make(chan result, 1)
	go func() {
		r, err := e.api.ContainerAttach(ctx, id, container.AttachOptions{Stream: true, Stdin: true, Stdout: true, Stderr: true})
		done <- result{r.Conn, r.Reader, err}
	}()
	select {
	case r := <-done:
		return r.conn, r.in, r.err
	case <-ctx.Done():
		go func() {
			if r := <-done; r.err == nil {
				_ = r.conn.Close()
			}
		}()
		return nil, nil, ctx.Err()
	}
}

// The header of a frame: which stream, three zeros, and the length.
const (
	frameHeader = 8
	frameStderr = 2
)

func (a *attachment) Read(p []byte) (n int, stderr bool, err error) {
	if a.tty {
		n, err = a.in.Read(p)
		return n, false, err
	}
	for a.left == 0 {
		if a.stderr, a.left, err = readHeader(a.in); err != nil {
			return 0, false, err
		}
	}
	n, err = a.in.Read(p[:min(len(p), a.left)])
	a.left -= n
	return n, a.stderr, err
}

// readHeader reads what stands before a frame.
func readHeader(in io.Reader) (stderr bool, size int, err error) {
	var header [frameHeader]byte
	if _, err := io.ReadFull(in, header[:]); err != nil {
		if errors.Is(err, io.ErrUnexpectedEOF) {
			err = io.EOF
		}
		return false, 0, err
	}
	return header[0] == frameStderr, int(binary.BigEndian.Uint32(header[4:])), nil
}

// Log reads the container's log.
func (e *Engine) Log(ctx context.Context, id runtime.ContainerID, which runtime.LogRange, handle func(runtime.LogPart) error) error {
	c, err := e.own(ctx, id)
	if err != nil {
		return err
	}
	options := container.LogsOptions{ShowStdout: true, ShowStderr: true, Timestamps: true}
	if !which.Since.IsZero() {
		options.Since = fmt.Sprintf("%d.%09d", which.Since.Unix(), which.Since.Nanosecond())
	}
	if which.Last > 0 {
		options.Tail = fmt.Sprint(which.Last)
	}
	stream, err := e.api.ContainerLogs(ctx, c.ID, options)
	switch {
	case errdefs.IsNotFound(err):
		return missing(err)
	case err != nil:
		return failure(ctx, err, runtime.Unknown, "the container engine does not give the container's log")
	}
	defer func() { _ = stream.Close() }()
	in := bufio.NewReaderSize(stream, 2*runtime.LogPartSize)
	if c.Config.Tty {
		err = readTerminalLog(in, endLines(handle))
	} else {
		err = readFramedLog(in, endLines(handle))
	}
	var own handlerError
	if errors.As(err, &own) {
		return own.error
	}
	return failure(ctx, err, runtime.Unknown, "the container engine broke off the container's log")
}

// endLines gives a part that is not a whole buffer of the engine's the end of line
// that its log lost: the driver "local" forgets that of a line in several parts.
func endLines(handle func(runtime.LogPart) error) func(runtime.LogPart) error {
	return func(p runtime.LogPart) error {
		if len(p.Text) != runtime.LogPartSize && !bytes.HasSuffix(p.Text, []byte("\n")) {
			p.Text = append(p.Text[:len(p.Text):len(p.Text)], '\n')
		}
		return handle(p)
	}
}

// handlerError is one that is the caller's own.
type handlerError struct{ error }

func (e handlerError) Unwrap() error { return e.error }

// maxFrame bounds a frame of a log: a part with its time.
const maxFrame = 1 << 20

var errLog = errors.New("the engine's log is not as it should be")

func readFramedLog(in *bufio.Reader, handle func(runtime.LogPart) error) error {
	var frame []byte
	for {
		stderr, size, err := readHeader(in)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if size > maxFrame {
			return errLog
		}
		if cap(frame) < size {
			frame = make([]byte, size)
		}
		frame = frame[:size]
		if _, err := io.ReadFull(in, frame); err != nil {
			return err
		}
		at, text, ok := cutTime(frame)
		if !ok {
			return errLog
		}
		if err := handle(runtime.LogPart{At: at, Stderr: stderr, Text: text}); err != nil {
			return handlerError{err}
		}
	}
}

// readTerminalLog reads a log without frames. The parts of a long line stand
// behind each other there, each with its time.
func readTerminalLog(in *bufio.Reader, handle func(runtime.LogPart) error) error {
	for {
		line, err := readLine(in)
		several := false
		for len(line) > 0 {
			at, text, ok := cutTime(line)
			if !ok {
				return errLog
			}
			text, line = cutPart(text, several)
			several = true
			if err := handle(runtime.LogPart{At: at, Text: text}); err != nil {
				return handlerError{err}
			}
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// cutPart gives the part at the beginning and those behind it. Behind a part of
// a long line, several, the end of that line may be missing.
func cutPart(text []byte, several bool) (part, rest []byte) {
	if len(text) > runtime.LogPartSize {
		if _, _, more := cutTime(text[runtime.LogPartSize:]); more {
			return text[:runtime.LogPartSize], text[runtime.LogPartSize:]
		}
	}
	for from := 0; several && from < len(text); {
		i := bytes.Index(text[from:], []byte("Z "))
		if i < 0 {
			break
		}
		from += i + 2
		if begin := from - 2 - (timeLength - 1); begin >= 0 {
			if _, _, more := cutTime(text[begin:]); more {
				return text[:begin], text[begin:]
			}
		}
	}
	return text, nil
}

// maxLogLine bounds the line of a terminal that is read into memory at once.
const maxLogLine = 16 << 20

// readLine gives a line with its end, without one at the end of the log.
func readLine(in *bufio.Reader) ([]byte, error) {
	line, err := in.ReadSlice('\n')
	if !errors.Is(err, bufio.ErrBufferFull) {
		return line, err
	}
	long := bytes.Clone(line)
	for errors.Is(err, bufio.ErrBufferFull) && len(long) < maxLogLine {
		line, err = in.ReadSlice('\n')
		long = append(long, line...)
	}
	if errors.Is(err, bufio.ErrBufferFull) {
		return nil, errLog
	}
	return long, err
}

// timeLength is that of the times which Docker puts before each part.
const timeLength = len("2006-01-02T15:04:05.000000000Z")

func cutTime(part []byte) (time.Time, []byte, bool) {
	if len(part) <= timeLength || part[timeLength] != ' ' || part[timeLength-1] != 'Z' {
		return time.Time{}, nil, false
	}
	at, err := time.Parse(time.RFC3339Nano, string(part[:timeLength]))
	return at, part[timeLength+1:], err == nil
}

// Resize gives the container's terminal a size.
func (e *Engine) Resize(ctx context.Context, id runtime.ContainerID, rows, columns uint16) error {
	c, err := e.own(ctx, id)
	switch {
	case err != nil:
		return err
	case !c.State.Running:
		return runtime.Fail(runtime.Conflict, nil, "the container does not run")
	case !c.Config.Tty:
		return nil
	}
	err = e.api.ContainerResize(ctx, c.ID, container.ResizeOptions{Height: uint(rows), Width: uint(columns)})
	switch {
	case errdefs.IsNotFound(err):
		return missing(err)
	case errdefs.IsConflict(err):
		return runtime.Fail(runtime.Conflict, err, "the container does not run")
	}
	return failure(ctx, err, runtime.Unknown, "the container engine could not resize the terminal")
}
