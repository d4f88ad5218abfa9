package identity

import (
	"fmt"
	"strings"

	"github.com/berth-panel/berth/shared/problem"
)

// Quota is what a user's instances may have at most, together; nil is no limit.
type Quota struct {
	Instances *int64
	MemoryMiB *int64
	NanoCPUs  *int64
	DiskMiB   *int64
}

// Use is what a user's instances have, without those that are being deleted.
type Use struct {
	Instances int64
	MemoryMiB int64
	NanoCPUs  int64
	DiskMiB   int64
}

// Plus gives the two together.
func (u Use) Plus(o Use) Use {
	return Use{u.Instances + o.Instances, u.MemoryMiB + o.MemoryMiB, u.NanoCPUs + o.NanoCPUs, u.DiskMiB + o.DiskMiB}
}

// quotaMost is far more than anybody has of anything, and far from overflowing.
const quotaMost = int64(1) << 50

func (q Quota) check() error {
	for field, limit := range map[string]*int64{"instances": q.Instances, "memory": q.MemoryMiB, "cpu": q.NanoCPUs, "disk": q.DiskMiB} {
		if limit != nil && (*limit < 0 || *limit > quotaMost) {
			return problem.Invalid("quota."+field, "0 or more, or null for no limit")
		}
	}
	return nil
}

// same says whether the two limit alike.
func (q Quota) same(o Quota) bool {
	equal := func(a, b *int64) bool { return (a == nil) == (b == nil) && (a == nil || *a == *b) }
	return equal(q.Instances, o.Instances) && equal(q.MemoryMiB, o.MemoryMiB) && equal(q.NanoCPUs, o.NanoCPUs) && equal(q.DiskMiB, o.DiskMiB)
}

// Allows is nil when what is used and more of it fit in the user's quota. Only what
// grows is looked at: who has more than a quota that was lowered keeps it, and may
// shrink. Else InsufficientResources, with a field for each limit that is in the
// way.
func (u User) Allows(used, more Use) error {
	var fields []problem.Field
	look := func(name, unit string, limit *int64, used, more int64, show func(int64) string) {
		if limit == nil || more <= 0 || used+more <= *limit {
			return
		}
		fields = append(fields, problem.Field{Field: name, Message: fmt.Sprintf("%s%s of %s%s are used, and %s%s more are needed",
			show(used), unit, show(*limit), unit, show(more), unit)})
	}
	number := func(n int64) string { return fmt.Sprint(n) }
	cores := func(n int64) string { return fmt.Sprint(float64(n) / 1e9) }
	look("instances", "", u.Quota.Instances, used.Instances, more.Instances, number)
	look("memory", " MiB", u.Quota.MemoryMiB, used.MemoryMiB, more.MemoryMiB, number)
	look("cpu", " cores", u.Quota.NanoCPUs, used.NanoCPUs, more.NanoCPUs, cores)
	look("disk", " MiB", u.Quota.DiskMiB, used.DiskMiB, more.DiskMiB, number)
	if len(fields) == 0 {
		return nil
	}
	sentences := make([]string, len(fields))
	for n, f := range fields {
		sentences[n] = f.Field + ": " + f.Message
	}
	p := problem.New(problem.InsufficientResources, "the quota of user %s is not enough (%s): raise it, or delete or shrink an instance", u.Username, strings.Join(sentences, "; "))
	p.Fields = fields
	return p
}
