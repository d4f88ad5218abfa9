package docker

import "syscall"

// filesystem gives the size in bytes of the filesystem that holds the path, and
// what of it is free for anybody; 0 when there is no such path here.
func filesystem(path string) (size, free int64) {
	var s syscall.Statfs_t
	if path == "" || syscall.Statfs(path, &s) != nil {
		return 0, 0
	}
	block := int64(s.Bsize) //nolint:unconvert // an int32 on 32-bit machines
	return int64(s.Blocks) * block, int64(s.Bavail) * block
}
