package login

import (
	"time"

	"github.com/berth-panel/berth/controller/event"
	"github.com/berth-panel/berth/controller/identity"
	"github.com/berth-panel/berth/shared/ident"
	"github.com/berth-panel/berth/shared/problem"
	"github.com/berth-panel/berth/shared/turnstile"
)

// The facts of this room. The subject is the session's or the passkey's id, else
// the user's.
const (
	SessionStarted       event.Type = "session.started"
	SessionEnded         event.Type = "session.ended"
	SessionRefused       event.Type = "session.refused"
	SecondFactorSet      event.Type = "second_factor.set"
	SecondFactorRemoved  event.Type = "second_factor.removed"
	SecondFactorReset    event.Type = "second_factor.reset"
	RecoveryCodesMade    event.Type = "second_factor.recovery_codes_made"
	RecoveryCodeConsumed event.Type = "second_factor.recovery_code_used"
	PasskeyAdded         event.Type = "passkey.added"
	PasskeyRenamed       event.Type = "passkey.renamed"
	PasskeyRemoved       event.Type = "passkey.removed"
)

// Means is what a session began with.
type Means string

// The means.
const (
	ByPassword Means = "password"
	ByPasskey  Means = "passkey"
	ByOIDC     Means = "oidc" // another login, which is trusted to have asked for enough
	ByLink     Means = "link" // a one-time link: no way past a second factor
)

// The times and caps.
const (
	Idle         = 14 * 24 * time.Hour // without use
	Life         = 90 * 24 * time.Hour // in all
	ProofLife    = 10 * time.Minute    // of a proof, for what changes how one logs in
	CeremonyLife = 5 * time.Minute     // from a challenge to its answer

	sessionsEach  = 50 // of one user; the one that was unused the longest makes room
	passkeysEach  = 20
	recoveryCodes = 10
	maxAttempt    = 254 // bytes of a name that is tried
)

// codePace slows down who guesses codes; whoever gets so far has the password.
var codePace = turnstile.Pace{Free: 5, First: time.Second, Most: 5 * time.Minute, Forget: 24 * time.Hour, Places: 10_000}

// Session is a login without its cookie.
type Session struct {
	ID       ident.Session
	User     ident.User
	Means    Means
	Address  string // where it began
	Browser  string // User-Agent, shortened
	Created  time.Time
	Proved   time.Time // when its user last proved who he is
	LastSeen time.Time // up to half a minute late
	Expires  time.Time // whatever happens
}

// over says whether the session has ended by itself.
func (s Session) over(now time.Time) bool {
	return !now.Before(s.Expires) || now.Sub(s.LastSeen) >= Idle
}

// Begun is a new session with its cookie, which is nowhere else.
type Begun struct {
	Session
	Cookie string
}

// Attempt is a try to log in by password.
type Attempt struct {
	Name         string // username or email
	Password     string
	Code         string // of the authenticator app; "" none
	RecoveryCode string // instead; "" none
}

// Factors is what a user has besides his password.
type Factors struct {
	TOTP          bool
	Passkeys      int
	RecoveryCodes int // that are left
}

// Any says whether the password alone is not enough.
func (f Factors) Any() bool { return f.TOTP || f.Passkeys > 0 }

// ways are the names of what helps, as a login's refusal tells them.
func (f Factors) ways() []problem.Field {
	var out []problem.Field
	add := func(there bool, name string) {
		if there {
			out = append(out, problem.Field{Field: "second_factor", Message: name})
		}
	}
	add(f.TOTP, "totp")
	add(f.RecoveryCodes > 0, "recovery")
	add(f.Passkeys > 0, "passkey")
	return out
}

// Passkey is a key of a device, without what checks it.
type Passkey struct {
	ID       string
	User     ident.User
	Name     string
	Created  time.Time
	LastUsed *time.Time
}

// Setup is the secret of an authenticator app on its way to the device.
type Setup struct {
	Secret string // base32
	URI    string // otpauth://…, for a QR code
}

func wrong() *problem.Problem {
	return problem.New(problem.Unauthorized, "the name or the password is wrong")
}

func loggedOut() *problem.Problem {
	return problem.New(problem.Unauthorized, "the login has ended: log in again")
}

func refusedFactor(f Factors, text string) *problem.Problem {
	p := problem.New(problem.Unauthorized, "%s", text)
	p.Fields = f.ways()
	return p
}

// unproved tells a page what to ask for.
func unproved(f Factors) *problem.Problem {
	p := problem.New(problem.Forbidden, "prove that it is you: with your password (and a code, where you have a second factor) or with a passkey (POST /api/v1/me/prove), or log in again")
	add := func(there bool, name string) {
		if there {
			p.Fields = append(p.Fields, problem.Field{Field: "proof", Message: name})
		}
	}
	// Where there is a second factor, the password goes with one of the codes.
	add(!f.Any() || f.TOTP || f.RecoveryCodes > 0, "password")
	add(f.TOTP, "totp")
	add(f.Any() && f.RecoveryCodes > 0, "recovery")
	add(f.Passkeys > 0, "passkey")
	return p
}

// Users are the accounts (controller/identity).
var _ Users = (*identity.Service)(nil)
