package instance_test

import (
	"testing"

	"github.com/berth-panel/berth/controller/access"
	"github.com/berth-panel/berth/controller/instance"
	"github.com/berth-panel/berth/controller/store"
	"github.com/berth-panel/berth/shared/problem"
)

// Jobs go with their instance: who had it before can't order through an old job
// what he may not order himself any more.
func TestJobsGoWithTheInstance(t *testing.T) {
	t.Parallel()
	for how, give := range map[string]func(b *bundle, i instance.Instance, heir access.Caller) error{
		"change": func(b *bundle, i instance.Instance, heir access.Caller) error {
			_, _, err := b.instances.Change(b.t.Context(), b.admin, i.ID, instance.Patch{Owner: &heir.User})
			return err
		},
		"transfer of all": func(b *bundle, _ instance.Instance, heir access.Caller) error {
			return b.db.Write(b.t.Context(), func(tx *store.Tx) error {
				return b.instances.TransferAll(b.t.Context(), tx, b.owner.User, heir.User, b.admin.Actor)
			})
		},
	} {
		t.Run(how, func(t *testing.T) {
			t.Parallel()
			b := setup(t)
			heir := b.user("heir")
			i, ended, err := b.instances.Create(t.Context(), b.admin, b.order())
			if err != nil {
				t.Fatal(err)
			}
			_, living, err := b.instances.Power(t.Context(), b.owner, i.ID, instance.Kill) // ends the deploy
			if err != nil {
				t.Fatal(err)
			}
			if err := give(b, i, heir); err != nil {
				t.Fatal(err)
			}
			if _, err := b.jobs.Retry(t.Context(), b.owner, ended.ID); !problem.Is(err, problem.NotFound) {
				t.Errorf("the former owner retries: %v", err)
			}
			if _, err := b.jobs.Cancel(t.Context(), b.owner, living.ID); !problem.Is(err, problem.NotFound) {
				t.Errorf("the former owner cancels: %v", err)
			}
			if _, err := b.jobs.Get(t.Context(), heir, ended.ID); err != nil {
				t.Errorf("the new owner reads: %v", err)
			}
			if _, err := b.jobs.Cancel(t.Context(), heir, living.ID); err != nil {
				t.Errorf("the new owner cancels: %v", err)
			}
		})
	}
}

func TestNamesThatMislead(t *testing.T) {
	t.Parallel()
	b := setup(t)
	for _, name := range []string{"a\u202eb", "\u200b", "\u200d", "a\u2066b", "a\u2028b", "\ufeffa", "\u00a0x"} {
		if _, _, err := b.instances.Create(t.Context(), b.admin, b.order(func(n *instance.New) { n.Name = name })); !problem.Is(err, problem.Validation) {
			t.Errorf("%q: %v", name, err)
		}
	}
	for _, name := range []string{"Zażółć 日本", "family \U0001F468\u200d\U0001F469\u200d\U0001F466", "می\u200cخواهم"} {
		i, _, err := b.instances.Create(t.Context(), b.admin, b.order(func(n *instance.New) { n.Name = name }))
		if err != nil || i.Name != name {
			t.Errorf("%q: %q, %v", name, i.Name, err)
		}
	}
}
