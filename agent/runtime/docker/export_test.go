package docker

import "time"

// SetQueue changes how many changes may wait for a handler of Watch.
func (e *Engine) SetQueue(most int) { e.queued = most }

// SetStdinTimeout changes how long the engine may take to accept a line.
func (e *Engine) SetStdinTimeout(d time.Duration) { e.stdin = d }

// FilesystemSize is filesystemSize.
func FilesystemSize(path string) int64 { return filesystemSize(path) }
