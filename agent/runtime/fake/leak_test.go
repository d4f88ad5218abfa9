package fake_test

import (
	"testing"

	"go.uber.org/goleak"
)

// TestMain finds goroutines that outlive all tests: a wait, a watch or an attach
// that nobody ended.
func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }
