package job

import "time"

// TaskState is where a task is in its life.
//
//	pending → running → done | failed | cancelled
//	pending → skipped
type TaskState string

// The states of a task. One that runs when its job ends takes the job's end;
// what would have come after it was skipped.
const (
	TaskPending   TaskState = "pending"
	TaskRunning   TaskState = "running" // also while its job waits between two calls
	TaskDone      TaskState = "done"
	TaskFailed    TaskState = "failed"
	TaskCancelled TaskState = "cancelled"
	TaskSkipped   TaskState = "skipped" // the job ended before it
)

// TaskRecord is what is kept of one task of a job.
type TaskRecord struct {
	Name       string
	State      TaskState
	StartedAt  *time.Time
	FinishedAt *time.Time
}

// current gives the position of the task that a job is at: the first one that
// is neither done nor skipped, or -1.
func current(tasks []TaskRecord) int {
	for i, t := range tasks {
		if t.State != TaskDone && t.State != TaskSkipped {
			return i
		}
	}
	return -1
}

// taskEnd is how the running task of a job ends that ended as end. A job that
// succeeds while one runs was ended from outside: what it was about is true.
func taskEnd(end State) TaskState {
	switch end {
	case Failed:
		return TaskFailed
	case Cancelled:
		return TaskCancelled
	default:
		return TaskDone
	}
}
