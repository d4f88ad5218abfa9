package runtime

import "time"

// Attachment is a container's streams while somebody is attached to them. Read
// belongs to one goroutine, Write to one at a time; Close may come from any.
type Attachment interface {
	// Read gives what the container printed next, and whether that was on stderr: a
	// terminal's is all on stdout. io.EOF is the end of the stream, which says
	// nothing about the container: it has ended, or the engine has. Who doesn't read
	// holds the container up as soon as the engine's own buffers are full.
	Read(p []byte) (n int, stderr bool, err error)
	// Write writes to stdin. After the deadline it fails with
	// os.ErrDeadlineExceeded and says how much was written.
	Write(p []byte) (int, error)
	// SetWriteDeadline bounds the writes that follow; zero is no bound.
	SetWriteDeadline(t time.Time) error
	// Close detaches. The container's stdin stays open.
	Close() error
}

// LogPart is a piece of what a container printed, as the engine logged it: a line
// with its end, or LogPartSize bytes of a longer one without. What a run printed
// last has an end, whether the program wrote one or not.
type LogPart struct {
	At     time.Time // by the engine's clock
	Stderr bool      // never of a terminal
	Text   []byte    // valid until the handler returns
}

// LogRange says which part of a log is asked for.
type LogRange struct {
	Since time.Time // and what is as old; zero is all
	Last  int       // so many parts at most, the newest; 0 is all
}

// LogPartSize is how much of a line engines log at a time.
const LogPartSize = 16 << 10
