package runtimetest

import (
	"context"
	"net/http"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"
)

// BlindToOOM says whether the engine can't tell that memory ran out. On the first
// version of control groups its runtime refuses to look at any of them when one
// that the kernel has is not mounted; it logs that and goes on.
func BlindToOOM(t testing.TB, host string) bool {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	var info struct{ CgroupVersion string }
	if err := call(ctx, host, http.MethodGet, "/info", nil, &info); err != nil {
		t.Fatal(err)
	}
	if info.CgroupVersion != "1" {
		return false
	}
	mounts, err := os.ReadFile("/proc/mounts")
	if err != nil {
		t.Fatal(err)
	}
	groups, err := os.ReadFile("/proc/cgroups")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(groups)) {
		f := strings.Fields(line)
		if len(f) == 4 && f[3] == "1" && !regexp.MustCompile(`(?m) cgroup \S*\b`+f[0]+`\b`).Match(mounts) {
			t.Logf("the engine can't tell that memory ran out: control group %s is not mounted", f[0])
			return true
		}
	}
	return false
}
