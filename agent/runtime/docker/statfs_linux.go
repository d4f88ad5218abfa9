package docker

import "syscall"

// filesystemSize is the size in bytes of the filesystem that holds the path; 0
// when there is no such path here.
func filesystemSize(path string) int64 {
	var s syscall.Statfs_t
	if path == "" || syscall.Statfs(path, &s) != nil {
		return 0
	}
	return int64(s.Blocks) * int64(s.Bsize) //nolint:unconvert // Bsize is an int32 on 32-bit machines
}
