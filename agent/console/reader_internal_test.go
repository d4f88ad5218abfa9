package console

import (
	"testing"

	"github.com/berth-panel/berth/shared/wire"
)

func TestLanding(t *testing.T) {
	t.Parallel()
	for what, c := range map[string]struct{ first, end, want int64 }{
		"a long record":           {80_001, 160_001, 100_001},
		"a few lines":             {11, 21, 11},
		"as many as begin a look": {1, wire.ConsoleBacklog + 1, 1},
		"hardly more":             {1, wire.ConsoleBacklog + 5, 5},
		"nothing":                 {7, 7, 7},
	} {
		got := landing(c.first, c.end)
		if got != c.want {
			t.Errorf("%s: it goes on with line %d, want %d", what, got, c.want)
		}
		if got < c.first || got > c.end {
			t.Errorf("%s: line %d is not kept", what, got)
		}
	}
}
