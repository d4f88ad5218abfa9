//go:build !linux

package cgroup

import "github.com/berth-panel/berth/shared/wire"

// Throttle needs Linux.
func (t *Tree) Throttle(int, string, string, wire.Limits) error { return ErrHidden }
