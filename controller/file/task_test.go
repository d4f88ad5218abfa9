package file_test

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/berth-panel/berth/controller/access"
	"github.com/berth-panel/berth/controller/job"
	"github.com/berth-panel/berth/shared/ident"
	"github.com/berth-panel/berth/shared/problem"
	"github.com/berth-panel/berth/shared/wire"
)

// order asks for long work and gives its job.
func (b *bench) order(verb string, body any) ident.Job {
	b.t.Helper()
	var j struct{ ID ident.Job }
	b.call(b.key, "POST", "/"+verb, body).is(202, &j)
	return j.ID
}

// await waits until a job is as it should be.
func (b *bench) await(id ident.Job, what string, is func(j job.Job) bool) job.Job {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.t.Context(), patience)
	defer cancel()
	j, err := b.jobs.AwaitThat(ctx, id, is)
	if err != nil || !is(j) {
		b.t.Fatalf("the job is not %s: %+v %v", what, j, err)
	}
	return j
}

func (b *bench) ended(id ident.Job, state job.State) job.Job {
	b.t.Helper()
	return b.await(id, string(state), func(j job.Job) bool { return j.State == state })
}

func TestTasks(t *testing.T) {
	t.Parallel()
	b := setup(t)
	for _, c := range []struct {
		verb string
		body map[string]any
		kind string
		fact string
	}{
		{"delete", map[string]any{"paths": []string{"a", "b"}}, "file.delete", `file.deleted {"bytes":5,"count":2,"files":3,"paths":["a","b"]}`},
		{"copy", map[string]any{"paths": []string{"a"}, "to": "."}, "file.copy", `file.copied {"bytes":5,"files":3,"path":"a","to":"."}`},
		{"archive", map[string]any{"folder": "w", "paths": []string{"w/a"}, "format": "zip", "to": "a.zip"}, "file.archive", `file.archived {"bytes":5,"files":3,"folder":"w","path":"w/a","to":"a.zip"}`},
		{"extract", map[string]any{"path": "a.zip"}, "file.extract", `file.extracted {"bytes":5,"files":3,"path":"a.zip","to":"."}`},
		{"pull", map[string]any{"url": "https://me:secret@example.org/x.jar?token=secret", "to": "mods/"}, "file.pull", `file.pulled {"bytes":5,"files":3,"from":"https://example.org/x.jar","to":"mods/"}`},
	} {
		j := b.ended(b.order(c.verb, c.body), job.Succeeded)
		facts := b.facts()
		if string(j.Kind) != c.kind || j.Instance != b.id || facts[len(facts)-1] != c.fact+" by owner" {
			t.Errorf("%s: %+v\n%v", c.verb, j, facts[len(facts)-1])
		}
	}
	if pull := b.volume.tasks; len(pull) != 5 {
		t.Errorf("%d tasks", len(pull))
	}
}

// While one is under way its progress is seen, power is no matter, a second look
// puts it again, and cancelling it reaches the node.
func TestTaskUnderWayAndCancelled(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.volume.do(func() { b.volume.states[""] = wire.FileTaskState{Percent: 40, Message: "7 of 20 files"} })
	id := b.order("delete", map[string]any{"paths": []string{"world"}})
	b.await(id, "at 40", func(j job.Job) bool { return j.Percent == 40 && j.Message == "7 of 20 files" && j.State == job.Running })
	b.volume.do(func() { clear(b.volume.tasks) }) // the agent was restarted
	eventually(t, "the task is put again", func() (again bool) {
		b.volume.do(func() { again = b.volume.tasks[string(id)].Delete != nil })
		return again
	})
	// The instance's one job is still to be had: deployment is alive, a stop would be busy with that and not with files.
	message, _ := b.at(b.key, "POST", "/api/v1/instances/"+string(b.id)+"/stop", nil).refused(423, "RESOURCE_BUSY")
	if !strings.Contains(message, "instance.deploy") {
		t.Error(message)
	}
	b.at(b.key, "POST", "/api/v1/jobs/"+string(id)+"/cancel", nil).is(200, nil)
	eventually(t, "the node has heard", func() (heard bool) {
		b.volume.do(func() { heard = slices.Contains(b.volume.stopped, string(id)) })
		return heard
	})
	if facts := b.facts(); len(facts) != 0 {
		t.Errorf("%v", facts)
	}
	b.volume.do(func() { clear(b.volume.states) })
	var again struct{ ID ident.Job }
	b.at(b.key, "POST", "/api/v1/jobs/"+string(id)+"/retry", nil).is(202, &again)
	b.ended(again.ID, job.Succeeded)
}

func TestTaskThatFails(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.volume.do(func() {
		b.volume.states[""] = wire.FileTaskState{Done: true, Failure: problem.New(problem.InsufficientResources, "the disk of this instance is full (512 MiB)")}
	})
	j := b.ended(b.order("extract", map[string]any{"path": "bomb.zip"}), job.Failed)
	if j.Failure.Code != problem.InsufficientResources || j.Message != "the disk of this instance is full (512 MiB)" {
		t.Errorf("%+v", j.Failure)
	}
	if facts := b.facts(); len(facts) != 0 || len(b.volume.stopped) != 0 {
		t.Errorf("%v %v", facts, b.volume.stopped)
	}
}

// A node that is away is waited for, and the job says so.
func TestTaskWaitsForItsNode(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.agent.Stop()
	eventually(t, "the node is away", func() bool { return !b.fleet.Online(b.node) })
	id := b.order("delete", map[string]any{"paths": []string{"a"}})
	j := b.ended(id, job.Waiting)
	if !strings.Contains(j.Message, "offline") {
		t.Errorf("%+v", j)
	}
	b.agent.Start(t)
	b.online()
	b.ended(id, job.Succeeded)
}

// Full up with tasks, the agent says so; the job waits for its turn.
func TestTaskWaitsForItsTurn(t *testing.T) {
	t.Parallel()
	b := setup(t)
	full := true
	b.volume.do(func() {
		b.volume.refuse = func(r *http.Request) *problem.Problem {
			if full && strings.Contains(r.URL.Path, "/tasks/") {
				return problem.New(problem.ResourceBusy, "two tasks are under way")
			}
			return nil
		}
	})
	id := b.order("delete", map[string]any{"paths": []string{"a"}})
	b.await(id, "waiting for its turn", func(j job.Job) bool {
		return strings.Contains(j.Message, "two tasks are under way") && j.State == job.Running
	})
	b.volume.do(func() { full = false })
	b.ended(id, job.Succeeded)
}

// So many and no more; a suspension ends a customer's, not an admin's.
func TestTasksAreCappedAndEndWithASuspension(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.volume.do(func() { b.volume.states[""] = wire.FileTaskState{Percent: -1} })
	var ids []ident.Job
	for range 7 {
		ids = append(ids, b.order("delete", map[string]any{"paths": []string{"a"}}))
	}
	var byAdmin struct{ ID ident.Job }
	b.call(b.admin, "POST", "/delete", map[string]any{"paths": []string{"b"}}).is(202, &byAdmin)
	b.call(b.key, "POST", "/delete", map[string]any{"paths": []string{"a"}}).refused(423, "RESOURCE_BUSY")
	for _, id := range append(slices.Clone(ids), byAdmin.ID) {
		eventually(t, "it is under way", func() (put bool) {
			b.volume.do(func() { put = b.volume.puts[string(id)] > 0 })
			return put
		})
	}
	b.at(b.admin, "POST", "/api/v1/instances/"+string(b.id)+"/suspend", nil).is(202, nil)
	for _, id := range ids {
		if j := b.ended(id, job.Failed); !strings.Contains(j.Message, "suspended") {
			t.Errorf("%+v", j)
		}
	}
	eventually(t, "the node has heard of all", func() (heard bool) {
		b.volume.do(func() {
			heard = !slices.ContainsFunc(ids, func(id ident.Job) bool { return !slices.Contains(b.volume.stopped, string(id)) })
		})
		return heard
	})
	if j := must(b.jobs.Get(t.Context(), access.Local(), byAdmin.ID))(t); j.State != job.Running && j.State != job.Queued {
		t.Errorf("the admin's: %+v", j)
	}
}

// The same order twice, as a client does that lost the answer, is one job.
func TestOrderOnce(t *testing.T) {
	t.Parallel()
	b := setup(t)
	var first, second struct{ ID ident.Job }
	b.call(b.key, "POST", "/delete", map[string]any{"paths": []string{"a"}}, "Idempotency-Key", "k1").is(202, &first)
	b.call(b.key, "POST", "/delete", map[string]any{"paths": []string{"a"}}, "Idempotency-Key", "k1").is(202, &second)
	if first != second {
		t.Errorf("%v and %v", first, second)
	}
	b.ended(first.ID, job.Succeeded)
}
