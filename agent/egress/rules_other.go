//go:build !linux

package egress

import (
	"errors"
	"net/netip"

	"github.com/berth-panel/berth/shared/ident"
)

var errNotHere = errors.New("this is no Linux")

func (f *Firewall) base() error { return errNotHere }

func (f *Firewall) write(ident.Instance, []netip.Prefix, held, held) error { return errNotHere }

func (f *Firewall) erase(ident.Instance, held) error { return errNotHere }

func (f *Firewall) closeBut(map[uint16]bool) error { return errNotHere }

func (f *Firewall) stands() (bool, error) { return false, errNotHere }

func (f *Firewall) known() []ident.Instance { return nil }

// Uninstall needs Linux.
func Uninstall(ident.Node) error { return errNotHere }
