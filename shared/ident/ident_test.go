package ident_test

import (
	"testing"

	"github.com/berth-panel/berth/shared/ident"
)

func TestInstanceIDs(t *testing.T) {
	t.Parallel()
	seen := map[ident.Instance]bool{}
	for range 100 {
		id := ident.NewInstance()
		if !id.Valid() || seen[id] {
			t.Fatalf("%q is invalid or came twice", id)
		}
		seen[id] = true
	}
	for _, bad := range []ident.Instance{"", "0123456", "012345678", "0123456G", "0123456F", "../../..", "a/b/c/d/", "01234 67"} {
		if bad.Valid() {
			t.Errorf("%q passes", bad)
		}
	}
}
