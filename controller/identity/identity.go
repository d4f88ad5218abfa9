package identity

import (
	"net/mail"
	"net/netip"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/berth-panel/berth/controller/access"
	"github.com/berth-panel/berth/controller/event"
	"github.com/berth-panel/berth/shared/ident"
	"github.com/berth-panel/berth/shared/problem"
)

// The facts of this room. Their subject is the user's or the key's id.
const (
	UserCreated event.Type = "user.created"
	UserUpdated event.Type = "user.updated"
	UserDeleted event.Type = "user.deleted"
	KeyCreated  event.Type = "key.created"
	KeyUpdated  event.Type = "key.updated"
	KeyRevoked  event.Type = "key.revoked"
)

// User is a person or program that has an account. It holds no secret.
type User struct {
	ID       ident.User
	Username string
	Email    string
	Admin    bool
	Verified bool // the address is known to be his
	Disabled bool
	Role     ident.Role // "" none
	Quota    Quota
	Created  time.Time
	Updated  time.Time
}

// Key is an API key without its text.
type Key struct {
	ID        ident.Key
	User      ident.User
	Name      string
	Hint      string // the first characters of its text
	Scopes    []access.Scope
	Dialect   access.Dialect
	RateLimit *int           // calls a minute; 0 none; nil the default
	Expires   *time.Time     // nil never
	LastUsed  *time.Time     // nil never; up to half a minute late
	Addresses []netip.Prefix // from where it may be used; none: from everywhere
	Created   time.Time
}

// Issued is a new key with its text, which is nowhere else and never shown again.
type Issued struct {
	Key
	Text string
}

// NewUser is what it takes to make a user.
type NewUser struct {
	ID       ident.User // "": a UUID is made; else free text of up to 64 printable characters
	Username string     // 1 to 64 printable characters, surrounding space is cut off
	Email    string
	Password string // 8 to 1024 bytes; "" with Invited
	Admin    bool
	Role     ident.Role // "" none
	Quota    Quota
	Verified bool
	Invited  bool // has no password yet: nothing opens until he chooses one by a link
	// AllowShortPassword lets passwords from 1 character on pass, as the classic
	// API's clients send them.
	AllowShortPassword bool
}

// UserChange is what to change of a user; nil fields stay.
type UserChange struct {
	Username, Email, Password *string
	Admin, Verified, Disabled *bool
	Role                      *ident.Role // to "": none
	Quota                     *Quota      // the whole of it
}

// opens says whether the change is one of how somebody gets in or of what he may do,
// which outlasts the login that it is made by. His own name is his to choose.
func (c UserChange) opens(own bool) bool {
	if c.Password != nil || c.Email != nil {
		return true
	}
	return !own && (c.Username != nil || c.Admin != nil || c.Verified != nil || c.Disabled != nil || c.Role != nil)
}

// Fate is what becomes of a deleted user's instances.
type Fate string

// The fates.
const (
	Refuse   Fate = ""         // a user who has instances isn't deleted
	Delete   Fate = "delete"   // they go with him
	Transfer Fate = "transfer" // another user gets them
)

// UserFilter narrows and orders a list of users. Zero fields don't narrow.
type UserFilter struct {
	Search   string // part of the username or the address
	Admin    *bool
	Disabled *bool
	Sort     string // username, email, created_at; with "-" before it falling; "" is username
	Limit    int    // 0: all
	Offset   int
}

// NewKey is what it takes to make a key.
type NewKey struct {
	User      ident.User // "": the caller
	Name      string     // 1 to 100 printable characters
	Scopes    []access.Scope
	Dialect   access.Dialect // "": documented
	RateLimit *int           // nil: the default, or the limit that the caller's own key has
	Expires   *time.Time     // nil: never, or when the caller's own key does
	Addresses []netip.Prefix // none: everywhere, or where the caller's own key may be used
}

// KeyChange is what to change of a key; nil fields stay.
type KeyChange struct {
	Name      *string
	Scopes    []access.Scope
	Dialect   *access.Dialect
	RateLimit **int       // to nil: the default
	Expires   **time.Time // to nil: never
	Addresses *[]netip.Prefix
}

// KeyFilter narrows a list of keys.
type KeyFilter struct {
	User   ident.User // "": of all that the caller may see
	Limit  int        // 0: all
	Offset int
}

const (
	maxName      = 64
	maxKeyName   = 100
	maxEmail     = 254
	minPassword  = 8
	maxPassword  = 1024
	maxRateLimit = 1_000_000
	minGivenKey  = 16
	maxGivenKey  = 200
)

// printable says whether every character of s can be seen (or is a space).
func printable(s string) bool {
	return utf8.ValidString(s) && !strings.ContainsFunc(s, func(r rune) bool { return !unicode.IsPrint(r) })
}

// text checks a name-like field.
func text(field, value string, most int) error {
	switch n := utf8.RuneCountInString(value); {
	case n == 0:
		return problem.Invalid(field, "must not be empty")
	case n > most:
		return problem.Invalid(field, "at most %d characters", most)
	case !printable(value):
		return problem.Invalid(field, "only printable characters")
	}
	return nil
}

func checkID(id ident.User) error {
	s := string(id)
	if err := text("id", s, maxName); err != nil {
		return err
	}
	if s != strings.TrimSpace(s) || s == "." || s == ".." {
		return problem.Invalid("id", "no space around it, and neither . nor ..")
	}
	return nil
}

// checkEmail takes a bare address only: no display name, quotes or comments.
func checkEmail(s string) error {
	if s == "" {
		return problem.Invalid("email", "must not be empty")
	}
	if len(s) > maxEmail {
		return problem.Invalid("email", "at most %d bytes", maxEmail)
	}
	a, err := mail.ParseAddress(s)
	if err != nil || a.Address != s || a.Name != "" || !printable(s) || strings.ContainsAny(s, " []\"") {
		return problem.Invalid("email", "isn't an address like name@example.org")
	}
	return nil
}

func checkPassword(s string, short bool) error {
	least := minPassword
	if short {
		least = 1
	}
	if len(s) < least || len(s) > maxPassword {
		return problem.Invalid("password", "%d to %d bytes", least, maxPassword)
	}
	return nil
}

// clean checks and completes what a user is made of, all but the password's hash.
func (n NewUser) clean() (NewUser, error) {
	n.Username = strings.TrimSpace(n.Username)
	if n.ID == "" {
		n.ID = ident.User(ident.New())
	}
	password := checkPassword(n.Password, n.AllowShortPassword)
	if n.Invited && n.Password == "" {
		password = nil
	}
	for _, err := range []error{checkID(n.ID), n.Quota.check(), text("username", n.Username, maxName), checkEmail(n.Email), password} {
		if err != nil {
			return n, err
		}
	}
	return n, nil
}

// clean checks what is to change.
func (c UserChange) clean() (UserChange, error) {
	if c.Username != nil {
		name := strings.TrimSpace(*c.Username)
		c.Username = &name
		if err := text("username", name, maxName); err != nil {
			return c, err
		}
	}
	if c.Email != nil {
		if err := checkEmail(*c.Email); err != nil {
			return c, err
		}
	}
	if c.Password != nil {
		if err := checkPassword(*c.Password, false); err != nil {
			return c, err
		}
	}
	if c.Quota != nil {
		return c, c.Quota.check()
	}
	return c, nil
}

// apply gives the changed user and the names of what is different.
func (c UserChange) apply(u User) (User, []string) {
	var changed []string
	set := func(name string, target, value *string) {
		if value != nil && *value != *target {
			*target = *value
			changed = append(changed, name)
		}
	}
	flag := func(name string, target, value *bool) {
		if value != nil && *value != *target {
			*target = *value
			changed = append(changed, name)
		}
	}
	set("username", &u.Username, c.Username)
	set("email", &u.Email, c.Email)
	flag("admin", &u.Admin, c.Admin)
	flag("verified", &u.Verified, c.Verified)
	flag("disabled", &u.Disabled, c.Disabled)
	if c.Role != nil && *c.Role != u.Role {
		u.Role, changed = *c.Role, append(changed, "role")
	}
	if c.Quota != nil && !c.Quota.same(u.Quota) {
		u.Quota, changed = *c.Quota, append(changed, "quota")
	}
	if c.Password != nil {
		changed = append(changed, "password")
	}
	return u, changed
}

// mayAdminister says whether the user's keys may have the scope admin.
func (u User) mayAdminister() bool { return u.Admin || u.Role != "" }

// isGuard says whether the user is one of those of whom there must be one.
func (u User) isGuard() bool { return u.Admin && !u.Disabled }

func checkKeyName(s string) error { return text("name", s, maxKeyName) }

func checkDialect(d access.Dialect) error {
	if d != access.Documented && d != access.V03 {
		return problem.Invalid("dialect", "%q is neither %s nor %s", string(d), access.Documented, access.V03)
	}
	return nil
}

func checkRateLimit(n *int) error {
	if n != nil && (*n < 0 || *n > maxRateLimit) {
		return problem.Invalid("rate_limit", "0 (none) to %d calls a minute", maxRateLimit)
	}
	return nil
}

func checkExpiry(at *time.Time, now time.Time) error {
	if at != nil && !at.After(now) {
		return problem.Invalid("expires_at", "must be in the future")
	}
	return nil
}

// checkScopes parses them again, so that one made from plain text can't be odd.
func checkScopes(scopes []access.Scope) ([]access.Scope, error) {
	names := make([]string, len(scopes))
	for i, s := range scopes {
		names[i] = string(s)
	}
	return access.ParseScopes(names)
}

// withoutAdmin is what is left of a key's scopes when its user is no admin and has no role.
func withoutAdmin(scopes []access.Scope) []access.Scope {
	var out []access.Scope
	for _, s := range scopes {
		if s == access.ScopeAdmin {
			s = access.ScopeWrite
		}
		if !slices.Contains(out, s) {
			out = append(out, s)
		}
	}
	return out
}
