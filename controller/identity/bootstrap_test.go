package identity_test

import (
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/berth-panel/berth/controller/access"
	"github.com/berth-panel/berth/controller/identity"
	"github.com/berth-panel/berth/shared/problem"
)

func TestFirstStartGenerates(t *testing.T) {
	t.Parallel()
	b := empty(t)
	first, err := b.svc.Bootstrap(b.ctx(), "", "")
	if err != nil || !first.Created || first.Username != "admin" || len(first.Password) < 16 || !strings.HasPrefix(first.Key, "berth_") {
		t.Fatalf("%+v %v", first, err)
	}
	if u, err := b.svc.Login(b.ctx(), first.Username, first.Password); err != nil || !u.Admin {
		t.Errorf("%+v %v", u, err)
	}
	if c, err := b.svc.Authenticate(b.ctx(), first.Key); err != nil || !c.Admin || !c.Has(access.ScopeAdmin) {
		t.Errorf("%+v %v", c, err)
	}
	before := b.seen()
	again, err := b.svc.Bootstrap(b.ctx(), "another-key-that-is-long", "another password")
	if err != nil || again != (identity.FirstRun{}) || b.seen() != before {
		t.Errorf("a second start: %+v %v", again, err)
	}
}

func TestFirstStartTakesWhatIsGiven(t *testing.T) {
	t.Parallel()
	b := empty(t)
	first, err := b.svc.Bootstrap(b.ctx(), "sixteen-letters!", "password")
	if err != nil || first.Key != "sixteen-letters!" || first.Password != "password" {
		t.Fatalf("%+v %v", first, err)
	}
	if _, err := b.svc.Authenticate(b.ctx(), "sixteen-letters!"); err != nil {
		t.Error(err)
	}
}

func TestFirstStartRefusesWhatIsTooWeak(t *testing.T) {
	t.Parallel()
	b := empty(t)
	for name, tc := range map[string]struct{ key, password, want string }{
		"a short key":      {"fifteen-letters", "password", "BERTH_API_KEY: key: a given API key has 16"},
		"a key with space": {"seventeen letters", "password", "BERTH_API_KEY"},
		"a key of umlauts": {"ääääääääääääääääää", "password", "BERTH_API_KEY"},
		"a huge key":       {strings.Repeat("x", 201), "password", "BERTH_API_KEY"},
		"a short password": {"sixteen-letters!", "seven77", "BERTH_ADMIN_PASSWORD: password: 8 to"},
	} {
		_, err := b.svc.Bootstrap(b.ctx(), tc.key, tc.password)
		if !problem.Is(err, problem.Validation) || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if b.seen() != [3]int{} {
		t.Errorf("something was made: %v", b.seen())
	}
}

func TestParallelFirstStartsMakeOneAdmin(t *testing.T) {
	t.Parallel()
	b := empty(t)
	var created atomic.Int64
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			first, err := b.svc.Bootstrap(b.ctx(), "", "")
			if err != nil {
				t.Error(err)
			}
			if first.Created {
				created.Add(1)
			}
		})
	}
	wg.Wait()
	if created.Load() != 1 || b.seen() != [3]int{1, 1, 2} {
		t.Fatalf("%d, %v", created.Load(), b.seen())
	}
}
