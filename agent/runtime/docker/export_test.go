package docker

import "time"

// SetQueue changes how many changes may wait for a handler of Watch.
func (e *Engine) SetQueue(most int) { e.queued = most }

// SetStdinTimeout changes how long the engine may take to accept a line.
func (e *Engine) SetStdinTimeout(d time.Duration) { e.stdin = d }

// Filesystem is filesystem.
func Filesystem(path string) (size, free int64) { return filesystem(path) }

// SetHold replaces how long a container is held.
func (e *Engine) SetHold(d time.Duration) { e.hold = d }
