//go:build !linux

package docker

// filesystem knows nothing elsewhere: agents run on Linux.
func filesystem(string) (size, free int64) { return 0, 0 }
