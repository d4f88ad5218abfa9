package cli

import (
	"fmt"
	"testing"
)

func TestTrustedProxies(t *testing.T) {
	t.Parallel()
	list, err := parseProxies([]string{"127.0.0.1", " 10.1.2.3/8", "::ffff:192.0.2.7", "2001:db8::/32"})
	if got, want := fmt.Sprint(list), "[127.0.0.1/32 10.0.0.0/8 192.0.2.7/32 2001:db8::/32]"; err != nil || got != want {
		t.Errorf("%s, %v", got, err)
	}
	for _, bad := range []string{"", "proxy", "10.0.0.0/33", "0.0.0.0/0", "::/0", "fe80::1%eth0"} {
		if list, err := parseProxies([]string{bad}); err == nil {
			t.Errorf("%q is %v", bad, list)
		}
	}
}
