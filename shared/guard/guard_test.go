package guard

import (
	"errors"
	"net/netip"
	"testing"
)

func TestGuard(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]bool{
		"1.1.1.1": true, "93.184.216.34": true, "2606:4700::1111": true, "172.15.0.1": true, "172.32.0.1": true, "100.63.255.255": true, "100.128.0.1": true,
		"0.0.0.0": false, "0.1.2.3": false, "10.1.2.3": false, "127.0.0.1": false, "169.254.169.254": false, "172.16.0.1": false, "172.31.255.255": false,
		"192.168.1.1": false, "100.64.0.1": false, "192.0.0.8": false, "198.18.0.1": false, "224.0.0.1": false, "239.1.1.1": false, "240.0.0.1": false, "255.255.255.255": false,
		"::": false, "::1": false, "fe80::1": false, "fe80::1%eth0": false, "fc00::1": false, "fd00:ec2::254": false, "ff02::1": false, "fec0::1": false,
		"::ffff:1.1.1.1": false, "::ffff:10.0.0.1": false, "::127.0.0.1": false, "64:ff9b::a00:1": false, "64:ff9b:1::1": false, "2002:7f00:1::": false, "2001::1": false, "2001:db8::1": false,
	} {
		if got := (guard{}).allows(netip.MustParseAddr(text)); got != want {
			t.Errorf("%s: allowed=%v, want %v", text, got, want)
		}
	}
	open := guard{allowed: []netip.Prefix{netip.MustParsePrefix("10.1.0.0/16")}}
	for text, want := range map[string]bool{"10.1.2.3": true, "::ffff:10.1.2.3": true, "10.2.0.1": false, "127.0.0.1": false} {
		if got := open.allows(netip.MustParseAddr(text)); got != want {
			t.Errorf("with 10.1.0.0/16 opened, %s: allowed=%v, want %v", text, got, want)
		}
	}
	for _, address := range []string{"", "1.1.1.1", "example.com:80", "[::1]:80"} {
		if err := (guard{}).control("tcp", address, nil); !errors.Is(err, ErrForbidden) {
			t.Errorf("dialling %q: %v", address, err)
		}
	}
}
