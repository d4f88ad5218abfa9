package allocation

import (
	"fmt"
	"reflect"
	"strings"
	"testing"
)

func TestParsePorts(t *testing.T) {
	t.Parallel()
	two := []Mapping{{Container: 25565, Host: 25565}, {Container: 80, Host: 8080}}
	with := func(n int) []Mapping {
		out := append([]Mapping{}, two...)
		out[n].Primary = true
		return out
	}
	for name, c := range map[string]struct {
		list, primary string
		want          []Mapping
	}{
		"none":                            {"", "", nil},
		"the first is primary":            {"25565:25565,80:8080", "", with(0)},
		"spaces":                          {" 25565 : 25565 , 80:8080 ", " 80 ", with(1)},
		"primary by container port":       {"25565:25565,80:8080", "80", with(1)},
		"primary by host port":            {"25565:25565,80:8080", "8080", with(1)},
		"primary as a mapping":            {"25565:25565,80:8080", "80:8080", with(1)},
		"one container port, two outside": {"80:8080,80:8081", "", []Mapping{{Container: 80, Host: 8080, Primary: true}, {Container: 80, Host: 8081}}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := ParsePorts(c.list, c.primary)
			if err != nil || !reflect.DeepEqual(got, c.want) {
				t.Fatalf("got %+v, %v", got, err)
			}
		})
	}
}

func TestParsePortsRefuses(t *testing.T) {
	t.Parallel()
	many := make([]string, 101)
	for n := range many {
		many[n] = fmt.Sprintf("%d:%d", n+1, n+1)
	}
	for _, c := range []struct{ list, primary, want string }{
		{"80", "", `ports: "80" is not of the form container:host, such as 25565:25565`},
		{"80:", "", `ports: "80:" is not of the form container:host, such as 25565:25565`},
		{":80", "", `ports: ":80" is not of the form container:host, such as 25565:25565`},
		{"80:80,", "", `ports: "" is not of the form container:host, such as 25565:25565`},
		{"99999:1", "", `ports: "99999" is not a port: a number from 1 to 65535`},
		{"1:0", "", `ports: "0" is not a port: a number from 1 to 65535`},
		{"+1:1", "", `ports: "+1" is not a port: a number from 1 to 65535`},
		{"-1:1", "", `ports: "-1" is not a port: a number from 1 to 65535`},
		{"a:1", "", `ports: "a" is not a port: a number from 1 to 65535`},
		{"1:2:3", "", `ports: "2:3" is not a port: a number from 1 to 65535`},
		{"80:8080,81:8080", "", `ports: port 8080 of the node is there twice`},
		{strings.Join(many, ","), "", `ports: at most 100 of them`},
		{"80:8080", "443", `primary: port 443 is not among the ports`},
		{"80:8080", "80:80", `primary: "80:80" is not among the ports`},
		{"80:8080", "x", `primary: "x" is not a port: a number from 1 to 65535`},
		{"", "80", `primary: port 80 is not among the ports`},
	} {
		if _, err := ParsePorts(c.list, c.primary); err == nil || err.Error() != c.want {
			t.Errorf("%.40q, %q: got %v, want %s", c.list, c.primary, err, c.want)
		}
	}
}

func TestParseRanges(t *testing.T) {
	t.Parallel()
	got, err := parseRanges([]string{"8080", "25565-25567", "25567"})
	if err != nil || !reflect.DeepEqual(got, []uint16{8080, 25565, 25566, 25567}) {
		t.Fatalf("got %v, %v", got, err)
	}
	if got, err := parseRanges([]string{"65535-65535"}); err != nil || len(got) != 1 {
		t.Fatalf("the last port: %v, %v", got, err)
	}
	for _, bad := range []string{"", "0", "5-1", "1-70000", "a-b", "1-20000"} {
		if _, err := parseRanges([]string{bad}); err == nil {
			t.Errorf("%q was taken", bad)
		}
	}
}

func TestOverlap(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		a, b string
		want bool
	}{
		{"0.0.0.0", "192.0.2.1", true}, {"192.0.2.1", "::", true}, {"192.0.2.1", "192.0.2.1", true}, {"192.0.2.1", "192.0.2.2", false},
	} {
		if overlap(c.a, c.b) != c.want {
			t.Errorf("%s and %s: %v", c.a, c.b, !c.want)
		}
	}
}
