package runtime_test

import (
	"errors"
	"fmt"
	"io"
	"testing"

	"github.com/berth-panel/berth/agent/runtime"
)

func TestFailure(t *testing.T) {
	t.Parallel()
	f := runtime.Fail(runtime.PortInUse, io.EOF, "port %d is in use", 80)
	if f.Message != "port 80 is in use" || f.Error() != "port 80 is in use: EOF" || !errors.Is(f, io.EOF) {
		t.Errorf("the failure is %q, its sentence %q", f, f.Message)
	}
	if bare := runtime.Fail(runtime.Missing, nil, "gone"); bare.Error() != "gone" || bare.Unwrap() != nil {
		t.Errorf("without a cause it is %q", bare)
	}
	for _, c := range []struct {
		err  error
		want runtime.Reason
	}{
		{nil, ""}, {io.EOF, runtime.Unknown}, {f, runtime.PortInUse}, {fmt.Errorf("starting: %w", f), runtime.PortInUse},
	} {
		if got := runtime.ReasonOf(c.err); got != c.want {
			t.Errorf("the reason of %v is %q, want %q", c.err, got, c.want)
		}
	}
}

func TestTemporary(t *testing.T) {
	t.Parallel()
	for reason, want := range map[runtime.Reason]bool{
		runtime.Unreachable: true, runtime.RegistryDown: true, runtime.RegistryLimited: true,
		runtime.ImageNotFound: false, runtime.ImageDenied: false, runtime.NoSpace: false, runtime.PortInUse: false, runtime.InvalidSpec: false, runtime.Unknown: false,
	} {
		if reason.Temporary() != want {
			t.Errorf("%s is temporary: %v, want %v", reason, !want, want)
		}
	}
}

func TestNetworkSubnet(t *testing.T) {
	t.Parallel()
	p, err := runtime.NetworkSpec{Name: "berth", Subnet: "172.30.7.9/16"}.Validate()
	if err != nil || p.String() != "172.30.0.0/16" {
		t.Errorf("the subnet is %v, %v", p, err)
	}
	if p, err := (runtime.NetworkSpec{Name: "berth"}).Validate(); err != nil || p.IsValid() {
		t.Errorf("no subnet is %v, %v", p, err)
	}
}

func TestSignalForms(t *testing.T) {
	t.Parallel()
	for signal, ok := range map[string]bool{
		"": true, "SIGTERM": true, "INT": true, "SIGRTMIN+3": true, "USR1": true, "9": true, "15": true,
		"0": false, "-1": false, "sigterm": false, "SIG TERM": false, "SIGINT\n": false, "100": false, "^C": false, ";": false,
	} {
		if err := (runtime.StopSpec{Signal: signal}).Validate(); (err == nil) != ok {
			t.Errorf("signal %q: %v, want it to be good: %v", signal, err, ok)
		}
	}
}
