package classic

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"testing"

	"github.com/berth-panel/berth/controller/access"
	"github.com/berth-panel/berth/controller/httpapi"
	"github.com/berth-panel/berth/shared/problem"
)

// What the caller can mend is a 400 here; the rest is the door's.
func TestReply(t *testing.T) {
	t.Parallel()
	for code, mine := range map[problem.Code]bool{
		problem.BadRequest: true, problem.Validation: true, problem.Conflict: true, problem.NotFound: true, problem.InsufficientResources: true,
		problem.Unauthorized: false, problem.Forbidden: false, problem.ResourceBusy: false, problem.RateLimited: false, problem.TooLarge: false,
		problem.NodeOffline: false, problem.Internal: false,
	} {
		p := problem.New(code, "why").Because(errors.New("hidden"))
		r, err := reply(httpapi.Reply{}, fmt.Errorf("wrapped: %w", p))
		switch {
		case mine && (err != nil || r.Status != 400 || !reflect.DeepEqual(r.Body, errorView{Error: "why"})):
			t.Errorf("%s: %+v, %v", code, r, err)
		case !mine && !problem.Is(err, code):
			t.Errorf("%s: %+v, %v", code, r, err)
		}
	}
	if _, err := reply(httpapi.Reply{}, context.DeadlineExceeded); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("another error became %v", err)
	}
	if r, err := reply(httpapi.Reply{Status: 201, Body: "x"}, nil); err != nil || r.Status != 201 || r.Body != "x" {
		t.Errorf("an answer became %+v, %v", r, err)
	}
}

func TestRenamed(t *testing.T) {
	t.Parallel()
	names := map[string]string{"id": "userId"}
	for _, c := range []struct {
		err  error
		want string
	}{
		{problem.Invalid("id", "too long"), "userId: too long"},
		{problem.Invalid("email", "odd"), "email: odd"},
		{problem.New(problem.Validation, "id: without a field"), "id: without a field"},
		{&problem.Problem{Code: problem.Validation, Message: "all is wrong", Fields: []problem.Field{{Field: "id"}}}, "all is wrong"},
		{errors.New("id: no problem"), "id: no problem"},
	} {
		got := renamed(c.err, names)
		if p := problem.From(got); p.Code == problem.Validation && p.Message != c.want {
			t.Errorf("%q became %q, want %q", c.err, p.Message, c.want)
		}
		if !errors.Is(got, c.err) {
			t.Errorf("%q is lost", c.err)
		}
	}
}

func TestMiss(t *testing.T) {
	t.Parallel()
	for dialect, want := range map[access.Dialect]int{access.Documented: 400, access.V03: 404, "": 400} {
		r, err := reply(httpapi.Reply{}, miss(access.Caller{Dialect: dialect}, "not there"))
		if err != nil || r.Status != want || !reflect.DeepEqual(r.Body, errorView{Error: "not there"}) {
			t.Errorf("%q: %+v, %v", dialect, r, err)
		}
	}
}
