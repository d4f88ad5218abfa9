package login_test

import (
	"net/http"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pquerna/otp/totp"

	"github.com/berth-panel/berth/controller/access"
	"github.com/berth-panel/berth/controller/login"
	"github.com/berth-panel/berth/controller/store"
	"github.com/berth-panel/berth/shared/problem"
)

// code is what the app shows now.
func (b *bundle) code(secret string) string {
	b.t.Helper()
	text, err := totp.GenerateCode(secret, b.clock.Now())
	if err != nil {
		b.t.Fatal(err)
	}
	return text
}

// withTOTP sets an app up and gives its secret and the recovery codes; the clock
// stands behind the code that was used for it.
func (w *browser) withTOTP() (secret string, recovery []string) {
	w.b.t.Helper()
	var setup struct{ Secret, URI string }
	w.call(http.MethodPost, "/me/totp/begin", nil).data(http.StatusOK, &setup)
	var codes struct {
		RecoveryCodes []string `json:"recovery_codes"`
	}
	w.call(http.MethodPost, "/me/totp/confirm", object{"code": w.b.code(setup.Secret)}).data(http.StatusOK, &codes)
	w.b.clock.Add(time.Minute)
	return setup.Secret, codes.RecoveryCodes
}

func TestTOTP(t *testing.T) {
	t.Parallel()
	b := setup(t, "")
	w, other := b.in("anna"), b.in("anna")
	var seen int64
	b.happened(&seen)
	var begun struct{ Secret, URI string }
	w.call(http.MethodPost, "/me/totp/begin", nil).data(http.StatusOK, &begun)
	if u, err := url.Parse(begun.URI); err != nil || u.Scheme != "otpauth" || u.Query().Get("secret") != begun.Secret || u.Path != "/Berth:anna" {
		t.Errorf("%q", begun.URI)
	}
	b.in("anna") // what isn't confirmed isn't asked for
	w.call(http.MethodPost, "/me/totp/confirm", object{"code": "000000"}).is(http.StatusUnprocessableEntity)
	secret, recovery := w.withTOTP()
	if secret == begun.Secret || len(recovery) != 10 {
		t.Errorf("%d recovery codes", len(recovery))
	}
	other.call(http.MethodGet, "/session", nil).is(http.StatusUnauthorized)
	w.call(http.MethodPost, "/me/totp/begin", nil).is(http.StatusConflict)
	if got, want := b.happened(&seen), "session.started second_factor.recovery_codes_made second_factor.set session.ended session.ended"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
	a := b.browser().call(http.MethodPost, "/login", object{"name": "anna", "password": password})
	a.is(http.StatusUnauthorized)
	if a.details() != "second_factor=totp second_factor=recovery" {
		t.Errorf("%s", a.body)
	}
	wrong := b.browser().call(http.MethodPost, "/login", object{"name": "anna", "password": "wrong", "code": b.code(secret)})
	if wrong.status != 401 || wrong.details() != "" {
		t.Errorf("a wrong password says something of the second factor: %s", wrong.body)
	}
	again := b.code(secret)
	v := b.browser().login("anna", object{"code": again[:3] + " " + again[3:]})
	if !v.SecondFactor.TOTP || v.SecondFactor.RecoveryCodes != 10 {
		t.Errorf("%+v", v)
	}
	b.browser().call(http.MethodPost, "/login", object{"name": "anna", "password": password, "code": again}).is(http.StatusUnauthorized)
	if ok, err := b.users.MayUsePassword(t.Context(), b.anna.ID); ok || err != nil {
		t.Errorf("the password alone is enough for SFTP: %v", err)
	}
	if _, err := b.users.LoginPerson(t.Context(), "anna", password); !problem.Is(err, problem.Forbidden) {
		t.Errorf("the password alone logs in over SFTP: %v", err)
	}
	if people, err := b.users.People(t.Context()); err != nil || len(people) != 1 || people[0].Password != "" {
		t.Errorf("agents would let what the password opened go on: %+v %v", people, err)
	}
	w.call(http.MethodDelete, "/me/totp", nil).is(http.StatusOK)
	w.call(http.MethodDelete, "/me/totp", nil).is(http.StatusNotFound)
	b.in("anna")
	if ok, _ := b.users.MayUsePassword(t.Context(), b.anna.ID); !ok || b.rows("recovery_codes") != 0 {
		t.Error("something of the second factor is left")
	}
}

// A neighbouring step is right, for clocks that are off; an older code than the
// last is not.
func TestCodesOfOtherSteps(t *testing.T) {
	t.Parallel()
	b := setup(t, "")
	secret, _ := b.in("anna").withTOTP()
	b.clock.Add(time.Hour)
	try := func(off time.Duration) int {
		text, err := totp.GenerateCode(secret, b.clock.Now().Add(off))
		if err != nil {
			t.Fatal(err)
		}
		return b.browser().call(http.MethodPost, "/login", object{"name": "anna", "password": password, "code": text}).status
	}
	for _, c := range []struct {
		off  time.Duration
		want int
	}{{-time.Minute, 401}, {time.Minute, 401}, {-30 * time.Second, 200}, {30 * time.Second, 200}, {0, 401}, {30 * time.Second, 401}} {
		if got := try(c.off); got != c.want {
			t.Errorf("a code of %v: %d, want %d", c.off, got, c.want)
		}
	}
}

// Of many at once that show the same code, one gets in.
func TestACodeWorksOnce(t *testing.T) {
	t.Parallel()
	b := setup(t, "")
	secret, recovery := b.in("anna").withTOTP()
	for what, in := range []login.Attempt{
		{Name: "anna", Password: password, Code: b.code(secret)}, {Name: "anna", Password: password, RecoveryCode: strings.ToUpper(recovery[3])},
	} {
		before := b.rows("sessions")
		var all sync.WaitGroup
		var entered, refused atomic.Int32
		for n := range 5 {
			all.Go(func() {
				from := access.Caller{Actor: access.Actor{Address: []string{"192.0.2.1", "192.0.2.2", "192.0.2.3", "192.0.2.4", "192.0.2.5"}[n]}}
				_, err := b.svc.Login(access.With(t.Context(), from), in)
				switch {
				case err == nil:
					entered.Add(1)
				case problem.Is(err, problem.Unauthorized):
					refused.Add(1)
				default:
					t.Error(err)
				}
			})
		}
		all.Wait()
		if entered.Load() != 1 || refused.Load() != 4 || b.rows("sessions") != before+1 {
			t.Errorf("%d: %d got in, %d were refused", what, entered.Load(), refused.Load())
		}
		b.clock.Add(24 * time.Hour) // those tries are forgotten
	}
	left, err := store.Count(t.Context(), b.db.Snapshot(), `SELECT COUNT(*) FROM recovery_codes WHERE used_at IS NULL`)
	if err != nil || left != 9 {
		t.Errorf("%d recovery codes are left, %v", left, err)
	}
}

// Whoever has the password and guesses codes waits longer and longer, from wherever
// he comes; the owner gets in in the end.
func TestGuessingCodes(t *testing.T) {
	t.Parallel()
	b := setup(t, "")
	secret, _ := b.in("anna").withTOTP()
	tried := 0
	for n := range 100 {
		from := access.Caller{Actor: access.Actor{Address: "192.0.2." + string(rune('1'+n%9))}}
		_, err := b.svc.Login(access.With(t.Context(), from), login.Attempt{Name: "anna", Password: password, Code: "000000"})
		if problem.Is(err, problem.Unauthorized) {
			tried++
		}
	}
	if tried != 6 {
		t.Errorf("%d codes could be tried at once", tried)
	}
	b.clock.Add(5 * time.Minute)
	b.browser().login("anna", object{"code": b.code(secret)})
}

func TestRecoveryCodes(t *testing.T) {
	t.Parallel()
	b := setup(t, "")
	w := b.in("anna")
	w.call(http.MethodPost, "/me/recovery-codes", nil).is(http.StatusConflict)
	_, old := w.withTOTP()
	var renewed struct {
		RecoveryCodes []string `json:"recovery_codes"`
	}
	w.call(http.MethodPost, "/me/recovery-codes", nil).data(http.StatusOK, &renewed)
	try := func(code string) int {
		return b.browser().call(http.MethodPost, "/login", object{"name": "anna", "password": password, "recovery_code": code}).status
	}
	used := b.browser().call(http.MethodPost, "/login", object{"name": "anna", "password": password, "recovery_code": old[0]})
	if used.status != 401 || strings.Contains(used.body, "wait") || !strings.Contains(used.body, "take another") {
		t.Errorf("%d %s", used.status, used.body)
	}
	if try(old[0]) != 401 || try(renewed.RecoveryCodes[0]) != 200 || try(renewed.RecoveryCodes[0]) != 401 {
		t.Error("old, new, used: not as they should be")
	}
	for _, code := range renewed.RecoveryCodes[1:] {
		b.clock.Add(10 * time.Minute)
		if got := try(strings.ReplaceAll(code, "-", " ")); got != 200 {
			t.Fatalf("%d", got)
		}
	}
	a := b.browser().call(http.MethodPost, "/login", object{"name": "anna", "password": password})
	if a.details() != "second_factor=totp" {
		t.Errorf("%s", a.body)
	}
}

// What changes how one logs in needs a fresh proof.
func TestFactorsNeedAProof(t *testing.T) {
	t.Parallel()
	b := setup(t, "")
	w := b.in("anna")
	secret, _ := w.withTOTP()
	b.clock.Add(login.ProofLife)
	for _, c := range [][2]string{
		{"POST", "/me/totp/begin"}, {"DELETE", "/me/totp"}, {"POST", "/me/recovery-codes"}, {"POST", "/me/passkeys/begin"}, {"DELETE", "/me/passkeys/x"},
	} {
		if a := w.call(c[0], c[1], nil); a.status != http.StatusForbidden || a.details() != "proof=password proof=totp proof=recovery" {
			t.Errorf("%s %s: %d %s", c[0], c[1], a.status, a.body)
		}
	}
	w.call(http.MethodPost, "/me/totp/confirm", object{"code": "123456"}).is(http.StatusForbidden)
	w.call(http.MethodPost, "/me/prove", object{"password": password, "code": b.code(secret)}).is(http.StatusOK)
	w.call(http.MethodDelete, "/me/totp", nil).is(http.StatusOK)
}

// An admin helps who lost his device; who may do less than that user can't.
func TestReset(t *testing.T) {
	t.Parallel()
	b := setup(t, "")
	b.user("root", true)
	w := b.in("anna")
	w.withTOTP()
	w.call(http.MethodDelete, "/users/"+string(b.anna.ID)+"/second-factor", nil).is(http.StatusForbidden)
	root := b.in("root")
	root.call(http.MethodDelete, "/users/nobody/second-factor", nil).is(http.StatusNotFound)
	root.call(http.MethodDelete, "/users/"+string(b.anna.ID)+"/second-factor", nil).is(http.StatusOK)
	w.call(http.MethodGet, "/session", nil).is(http.StatusUnauthorized)
	b.in("anna")
	if n := b.rows("recovery_codes") + b.rows("authenticators"); n != 0 {
		t.Errorf("%d rows are left", n)
	}
	rootUser, err := b.users.UserByUsername(t.Context(), "root")
	if err != nil {
		t.Fatal(err)
	}
	helper := access.Caller{
		Actor: access.Actor{Via: access.ViaSession, User: b.anna.ID}, Permissions: []access.Permission{access.WriteUsers}, Scopes: []access.Scope{access.ScopeAdmin},
	}
	if err := b.svc.Reset(access.With(t.Context(), helper), rootUser.ID); !problem.Is(err, problem.Forbidden) {
		t.Errorf("who may see to users takes an admin's second factor: %v", err)
	}
}

// A link that logs in is no way past a second factor; another login's word is.
func TestOtherWaysIn(t *testing.T) {
	t.Parallel()
	b := setup(t, "")
	b.in("anna").withTOTP()
	before := b.rows("sessions")
	if _, _, err := b.svc.For(login.ByLink).Begin(t.Context(), b.anna.ID); !problem.Is(err, problem.Unauthorized) || b.rows("sessions") != before {
		t.Errorf("a link: %v", err)
	}
	if has, err := b.svc.For(login.ByLink).HasSecondFactor(t.Context(), b.anna.ID); !has || err != nil {
		t.Error(has, err)
	}
	if text, _, err := b.svc.For(login.ByOIDC).Begin(t.Context(), b.anna.ID); text == "" || err != nil {
		t.Errorf("another login: %v", err)
	}
}
