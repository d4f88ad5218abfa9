//go:build !linux

package docker

// filesystemSize knows nothing elsewhere: agents run on Linux.
func filesystemSize(string) int64 { return 0 }
