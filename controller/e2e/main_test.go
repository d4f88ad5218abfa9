package e2e

import (
	"os"
	"testing"
)

// TestMain lets the test's own program be other programs, for tests that need
// them as processes: the agents of a fleet (fleet_test.go), one to be killed
// (agent_process_test.go), or a controller (crowd_test.go).
func TestMain(m *testing.M) {
	switch {
	case os.Getenv(envFleet) != "":
		os.Exit(beFleet())
	case os.Getenv(envPanel) != "":
		os.Exit(bePanel())
	case os.Getenv(envAgent) != "":
		os.Exit(beAgent())
	}
	os.Exit(m.Run())
}
