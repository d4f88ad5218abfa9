package login_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/descope/virtualwebauthn"

	"github.com/berth-panel/berth/controller/access"
	"github.com/berth-panel/berth/controller/login"
)

// device is an authenticator with one passkey.
type device struct {
	b    *bundle
	rp   virtualwebauthn.RelyingParty
	auth virtualwebauthn.Authenticator
	key  virtualwebauthn.Credential
}

func (b *bundle) device() *device {
	d := &device{b: b, rp: virtualwebauthn.RelyingParty{Name: "Berth", ID: "localhost", Origin: strings.Replace(b.public, "127.0.0.1", "localhost", 1)},
		auth: virtualwebauthn.NewAuthenticator(), key: newKey()}
	return d
}

// newKey draws until both coordinates of the public key fill their 32 bytes: the
// library leaves leading zeros out, of one key in 128, and such a key is refused,
// rightly.
func newKey() virtualwebauthn.Credential {
	const whole = 77 // bytes of the COSE key
	for {
		if key := virtualwebauthn.NewCredential(virtualwebauthn.KeyTypeEC2); len(key.Key.AttestationData()) == whole {
			return key
		}
	}
}

type challenge struct {
	Ceremony string
	Options  json.RawMessage
}

// add makes a passkey for who is logged in.
func (d *device) add(w *browser, name string) answer {
	d.b.t.Helper()
	var c challenge
	w.call(http.MethodPost, "/me/passkeys/begin", nil).data(http.StatusOK, &c)
	options, err := virtualwebauthn.ParseAttestationOptions(string(c.Options))
	if err != nil {
		d.b.t.Fatal(err)
	}
	d.auth.Options.UserHandle = []byte(options.UserID)
	d.auth.AddCredential(d.key)
	made := virtualwebauthn.CreateAttestationResponse(d.rp, d.auth, d.key, *options)
	return w.call(http.MethodPost, "/me/passkeys/finish", object{"ceremony": c.Ceremony, "name": name, "response": json.RawMessage(made)})
}

// answer answers a challenge.
func (d *device) answer(c challenge) object {
	d.b.t.Helper()
	options, err := virtualwebauthn.ParseAssertionOptions(string(c.Options))
	if err != nil {
		d.b.t.Fatal(err)
	}
	d.key.Counter++
	return object{"ceremony": c.Ceremony, "response": json.RawMessage(virtualwebauthn.CreateAssertionResponse(d.rp, d.auth, d.key, *options))}
}

func (w *browser) challenge() challenge {
	w.b.t.Helper()
	var c challenge
	w.call(http.MethodPost, "/login/passkey/begin", nil).data(http.StatusOK, &c)
	return c
}

func TestPasskeys(t *testing.T) {
	t.Parallel()
	b := setup(t, "")
	w, other, d := b.in("anna"), b.in("anna"), b.device()
	var seen int64
	b.happened(&seen)
	var added struct {
		ID, Name      string
		RecoveryCodes []string `json:"recovery_codes"`
	}
	d.add(w, " my phone ").data(http.StatusCreated, &added)
	if added.Name != "my phone" || len(added.RecoveryCodes) != 10 {
		t.Errorf("%+v", added)
	}
	other.call(http.MethodGet, "/session", nil).is(http.StatusUnauthorized)
	a := b.browser().call(http.MethodPost, "/login", object{"name": "anna", "password": password})
	if a.status != 401 || a.details() != "second_factor=recovery second_factor=passkey" {
		t.Errorf("%d %s", a.status, a.body)
	}
	p := b.browser()
	var v view
	p.call(http.MethodPost, "/login/passkey/finish", d.answer(p.challenge())).data(http.StatusOK, &v)
	if v.User.Username != "anna" || v.Session.Means != "passkey" || v.SecondFactor.Passkeys != 1 || p.session().Session.ID != v.Session.ID {
		t.Errorf("%+v", v)
	}
	w.call(http.MethodPatch, "/me/passkeys/"+added.ID, object{"name": "phone"}).is(http.StatusOK)
	var list []struct {
		Name       string
		LastUsedAt *string `json:"last_used_at"`
	}
	w.call(http.MethodGet, "/me/passkeys", nil).data(http.StatusOK, &list)
	if len(list) != 1 || list[0].Name != "phone" || list[0].LastUsedAt == nil {
		t.Errorf("%+v", list)
	}
	w.call(http.MethodDelete, "/me/passkeys/"+added.ID, nil).is(http.StatusOK)
	p.call(http.MethodPost, "/login/passkey/finish", d.answer(b.browser().challenge())).is(http.StatusUnauthorized)
	b.in("anna")
	want := "second_factor.recovery_codes_made passkey.added session.ended session.started passkey.renamed passkey.removed second_factor.removed session.ended session.refused session.started"
	if got := b.happened(&seen); got != want {
		t.Errorf("%s, want %s", got, want)
	}
}

// An answer is worth something once, for its own challenge, in time, from this
// panel's page, by who it was made for, and after the holder was asked.
func TestAnswersThatAreNotTaken(t *testing.T) {
	t.Parallel()
	b := setup(t, "")
	b.user("bert", false)
	w, d := b.in("anna"), b.device()
	d.add(w, "phone").is(http.StatusCreated)
	finish := func(body object, want int) {
		t.Helper()
		a := b.browser().call(http.MethodPost, "/login/passkey/finish", body)
		if a.status != want || a.header.Get("Set-Cookie") != "" && want != 200 {
			t.Errorf("got %d, want %d: %s", a.status, want, a.body)
		}
	}
	good := d.answer(b.browser().challenge())
	finish(good, 200)
	finish(good, 409) // again
	old := d.answer(b.browser().challenge())
	b.clock.Add(login.CeremonyLife)
	finish(old, 409)
	swapped := d.answer(b.browser().challenge())
	swapped["ceremony"] = b.browser().challenge().Ceremony
	finish(swapped, 401)
	copied := *d
	finish(d.answer(b.browser().challenge()), 200)
	finish(copied.answer(b.browser().challenge()), 401) // its counter runs backwards
	elsewhere := *d
	elsewhere.rp.Origin = "https://evil.test"
	finish(elsewhere.answer(b.browser().challenge()), 401)
	elsewhere.rp = d.rp
	elsewhere.rp.ID = "evil.test"
	finish(elsewhere.answer(b.browser().challenge()), 401)
	unasked := *d
	unasked.auth.Options.UserNotVerified = true
	finish(unasked.answer(b.browser().challenge()), 401)
	handle := *d
	handle.auth.Options.UserHandle = []byte("somebody")
	finish(handle.answer(b.browser().challenge()), 401)
}

// Of many at once that send the same answer, one gets in.
func TestAnAnswerWorksOnce(t *testing.T) {
	t.Parallel()
	b := setup(t, "")
	d := b.device()
	d.add(b.in("anna"), "phone").is(http.StatusCreated)
	raw, err := json.Marshal(d.answer(b.browser().challenge()))
	if err != nil {
		t.Fatal(err)
	}
	var body struct {
		Ceremony string
		Response json.RawMessage
	}
	if err := json.Unmarshal(raw, &body); err != nil {
		t.Fatal(err)
	}
	in := login.Answer(body)
	var all sync.WaitGroup
	var won atomic.Int32
	for range 8 {
		all.Go(func() {
			if _, err := b.svc.PasskeyLogin(t.Context(), in); err == nil {
				won.Add(1)
			}
		})
	}
	all.Wait()
	if won.Load() != 1 {
		t.Errorf("%d got in", won.Load())
	}
}

func TestProofByPasskey(t *testing.T) {
	t.Parallel()
	b := setup(t, "")
	b.user("bert", false)
	w, d := b.in("anna"), b.device()
	d.add(w, "phone").is(http.StatusCreated)
	theirs, e := b.in("bert"), b.device()
	e.add(theirs, "phone").is(http.StatusCreated)
	b.clock.Add(login.ProofLife)
	if a := w.call(http.MethodPost, "/me/recovery-codes", nil); a.status != 403 || a.details() != "proof=password proof=recovery proof=passkey" {
		t.Errorf("%d %s", a.status, a.body)
	}
	begin := func() challenge {
		var c challenge
		w.call(http.MethodPost, "/me/prove/passkey", nil).data(http.StatusOK, &c)
		return c
	}
	w.call(http.MethodPost, "/me/prove", object{"passkey": e.answer(begin())}).is(http.StatusUnprocessableEntity) // bert's
	w.call(http.MethodPost, "/me/prove", object{"passkey": d.answer(w.challenge())}).is(http.StatusConflict)      // made to log in
	theirs.call(http.MethodPost, "/me/prove", object{"passkey": d.answer(begin())}).is(http.StatusConflict)       // of another session
	w.call(http.MethodPost, "/me/recovery-codes", nil).is(http.StatusForbidden)
	w.call(http.MethodPost, "/me/prove", object{"passkey": d.answer(begin())}).is(http.StatusOK)
	w.call(http.MethodPost, "/me/recovery-codes", nil).is(http.StatusOK)
	theirs.call(http.MethodPost, "/me/prove/passkey", nil).is(http.StatusOK)
}

func TestChallengesAreBounded(t *testing.T) {
	t.Parallel()
	b := setup(t, "")
	given := 0
	for range 1000 {
		if _, err := b.svc.BeginPasskeyLogin(access.With(t.Context(), access.Caller{Actor: access.Actor{Address: "2001:db8::1"}})); err == nil {
			given++
		}
	}
	if _, err := b.svc.BeginPasskeyLogin(access.With(t.Context(), access.Caller{Actor: access.Actor{Address: "192.0.2.1"}})); err != nil || given != 64 || login.Held(b.svc) != 65 {
		t.Errorf("%d were given, %d are held, another gets %v", given, login.Held(b.svc), err)
	}
	b.clock.Add(login.CeremonyLife)
	if _, err := b.svc.BeginPasskeyLogin(t.Context()); err != nil || login.Held(b.svc) != 1 {
		t.Errorf("%d are held, %v", login.Held(b.svc), err)
	}
}

func FuzzPasskeyAnswer(f *testing.F) {
	b := setup(f, "")
	d := b.device()
	d.add(b.in("anna"), "phone").is(http.StatusCreated)
	raw, err := json.Marshal(d.answer(b.browser().challenge())["response"])
	if err != nil {
		f.Fatal(err)
	}
	f.Add(raw)
	f.Add([]byte(`{"id":"","rawId":"","type":"public-key","response":{}}`))
	f.Fuzz(func(t *testing.T, response []byte) {
		b.clock.Add(time.Second) // nobody has to wait
		c, err := b.svc.BeginPasskeyLogin(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := b.svc.PasskeyLogin(t.Context(), login.Answer{Ceremony: c.Ceremony, Response: response}); err == nil {
			t.Errorf("%q logs in", response)
		}
	})
}

func FuzzCookie(f *testing.F) {
	b := setup(f, "")
	w := b.in("anna")
	f.Add(w.cookie.Value + "x")
	f.Add("")
	f.Fuzz(func(t *testing.T, text string) {
		if _, err := b.svc.Authenticate(t.Context(), text); err == nil && text != w.cookie.Value {
			t.Errorf("%q is a login", text)
		}
	})
}
