package tunnel

import "golang.org/x/sys/unix"

// limitUnsent tells the kernel how much it may take in that it can't send yet.
func limitUnsent(fd, bytes int) {
	_ = unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_NOTSENT_LOWAT, bytes) // without it the queue is as long as the kernel likes
}
