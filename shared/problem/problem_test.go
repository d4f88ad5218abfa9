package problem_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/berth-panel/berth/shared/problem"
)

var errCause = errors.New("the cause with a secret")

func TestTheCauseStaysHidden(t *testing.T) {
	t.Parallel()
	p := problem.New(problem.Conflict, "port %d is taken", 80).Because(errCause)
	if !errors.Is(p, errCause) || !strings.Contains(p.Error(), "secret") {
		t.Fatal("the log does not get the cause")
	}
	b, err := json.Marshal(p)
	if err != nil || string(b) != `{"code":"CONFLICT","message":"port 80 is taken"}` {
		t.Fatalf("%s, %v", b, err)
	}
}

func TestBecauseLeavesTheOriginalAlone(t *testing.T) {
	t.Parallel()
	p := problem.New(problem.Conflict, "x")
	_ = p.Because(errCause)
	if p.Unwrap() != nil {
		t.Fatal("the shared problem got a cause")
	}
}

func TestFrom(t *testing.T) {
	t.Parallel()
	if problem.From(nil) != nil {
		t.Fatal("nothing became a problem")
	}
	wrapped := fmt.Errorf("while deploying: %w", problem.New(problem.NotFound, "no such node"))
	if p := problem.From(wrapped); p.Code != problem.NotFound || p.Message != "no such node" {
		t.Fatalf("%+v", p)
	}
	if p := problem.From(errCause); p.Code != problem.Internal || strings.Contains(p.Message, "secret") || !errors.Is(p, errCause) {
		t.Fatalf("%+v", p)
	}
	if !problem.Is(wrapped, problem.NotFound) || problem.Is(wrapped, problem.Conflict) || problem.Is(nil, problem.NotFound) {
		t.Fatal("Is is wrong")
	}
}

func TestEveryCodeHasItsStatus(t *testing.T) {
	t.Parallel()
	for code, want := range map[problem.Code]int{
		problem.BadRequest: 400, problem.Unauthorized: 401, problem.Forbidden: 403, problem.NotFound: 404, problem.MethodNotAllowed: 405,
		problem.Conflict: 409, problem.TooLarge: 413, problem.UnsupportedMediaType: 415, problem.Validation: 422, problem.ResourceBusy: 423,
		problem.RateLimited: 429, problem.Internal: 500, problem.NodeOffline: 503, problem.InsufficientResources: 507, "NEVER_HEARD_OF": 500,
	} {
		if got := code.Status(); got != want {
			t.Errorf("%s: %d, want %d", code, got, want)
		}
	}
}
