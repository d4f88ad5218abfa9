package runtimetest

import (
	"context"
	"net/http"
	"testing"
	"time"
)

// BlindToOOM says whether the engine may miss that memory ran out. On the first
// version of control groups the kernel's word of it and the program's end reach
// the engine by two ways: when the end is there first, the container counts as
// killed and no more. And while one of those groups is not mounted, the engine
// does not listen at all. The kill itself is then all that can be held.
func BlindToOOM(t testing.TB, host string) bool {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	var info struct{ CgroupVersion string }
	if err := call(ctx, host, http.MethodGet, "/info", nil, &info); err != nil {
		t.Fatal(err)
	}
	return info.CgroupVersion == "1"
}
