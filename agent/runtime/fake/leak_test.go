package fake_test

import (
	"testing"

	"go.uber.org/goleak"
)

// TestMain finds goroutines that outlive all tests.
func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }
