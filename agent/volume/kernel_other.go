//go:build !linux

package volume

import (
	"errors"
	"os"
)

// Nodes are Linux; elsewhere the agent is only compiled, and volumes are plain
// directories.
var errNotLinux = errors.New("only Linux can do that")

type loop struct {
	path string
	held bool
}

func (l *loop) close()          {}
func (l *loop) exclusive() bool { return false }
func (l *loop) refresh() error  { return errNotLinux }

type mount struct{ at, kind, source, options string }

func (m mount) broken() bool { return false }

func attach(string) (*loop, error)                      { return nil, errNotLinux }
func loopsBeneath(string) ([]string, error)             { return nil, nil }
func detach(string) error                               { return errNotLinux }
func mounts() ([]mount, error)                          { return nil, nil }
func mountAt(string) (mount, bool, error)               { return mount{}, false, nil }
func attemptMount(_, _, _, _ string) error              { return errNotLinux }
func unmount(string, bool) error                        { return nil }
func crossing(string, string) bool                      { return false }
func trim(string) error                                 { return errNotLinux }
func growMounted(string, int64) error                   { return errNotLinux }
func syncAll(string) error                              { return nil }
func guard(string, bool)                                {}
func reflink(_, _ *os.File) error                       { return errNotLinux }
func isXFS(string) bool                                 { return false }
func lockDir(path string) (*os.File, error)             { return os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600) }
func assign(*os.File, uint32, bool) error               { return errNotLinux }
func limitProject(string, uint32, int64) error          { return errNotLinux }
func projectUse(string, uint32) (used int64, err error) { return 0, errNotLinux }
func patiently(try func() error) error                  { return try() }
