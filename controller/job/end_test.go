package job_test

import (
	"context"
	"testing"

	"github.com/berth-panel/berth/controller/job"
)

// A controller that is told to end before its jobs have begun ends well.
func TestRunThatEndsAtOnce(t *testing.T) {
	t.Parallel()
	s := setup(t).service()
	s.Register(kind, policy(func(context.Context, job.Job) (job.Outcome, error) { return job.Done, nil }))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := s.Run(ctx); err != nil {
		t.Fatal(err)
	}
}
