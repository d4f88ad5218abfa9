package supervisor

import (
	"fmt"
	"net"
	"syscall"
)

// peer gives the caller's process as this machine counts.
func peer(conn *net.UnixConn) (int, error) {
	raw, err := conn.SyscallConn()
	if err != nil {
		return 0, fmt.Errorf("find out who calls: %w", err)
	}
	var cred *syscall.Ucred
	var failed error
	if err := raw.Control(func(fd uintptr) {
		cred, failed = syscall.GetsockoptUcred(int(fd), syscall.SOL_SOCKET, syscall.SO_PEERCRED)
	}); err != nil {
		return 0, fmt.Errorf("find out who calls: %w", err)
	}
	if failed != nil {
		return 0, fmt.Errorf("find out who calls: %w", failed)
	}
	return int(cred.Pid), nil
}
