package identity

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"time"

	"github.com/berth-panel/berth/controller/access"
	"github.com/berth-panel/berth/controller/event"
	"github.com/berth-panel/berth/controller/httpapi"
	"github.com/berth-panel/berth/controller/store"
	"github.com/berth-panel/berth/shared/ident"
	"github.com/berth-panel/berth/shared/problem"
)

// Instances is what a user's deletion needs of the room of the instances. Its
// methods run in the transaction that deletes the user.
type Instances interface {
	// CountOf says how many instances a user owns.
	CountOf(ctx context.Context, q store.Querier, owner ident.User) (int, error)
	// TransferAll gives all of one user's instances to another.
	TransferAll(ctx context.Context, tx *store.Tx, from, to ident.User, by access.Actor) error
	// DeleteAll starts the deletion of all of a user's instances. Until each is
	// gone it belongs to heir.
	DeleteAll(ctx context.Context, tx *store.Tx, owner, heir ident.User, by access.Actor) error
	// UseOf gives what a user's instances have, without those being deleted.
	UseOf(ctx context.Context, q store.Querier, owner ident.User) (Use, error)
}

// Shares is what owners let others do with their instances, which the room of the
// subusers keeps.
type Shares interface {
	// SharedWith gives what a user was given; user "" is everybody who was.
	SharedWith(ctx context.Context, q store.Querier, user ident.User) (map[ident.User]map[ident.Instance][]access.Right, error)
}

// Config is what the service is made of. All must be there.
type Config struct {
	DB     *store.DB
	Events *event.Log
	Logger *slog.Logger
	Now    func() time.Time
	Hash   Cost // of passwords; zero is the usual
}

// Service is users and keys. It is safe for concurrent use. Its methods take the
// caller out of the context (access.With); without one they act as Berth itself
// for users, and refuse for keys.
type Service struct {
	db        *store.DB
	events    *event.Log
	log       *slog.Logger
	now       func() time.Time
	hasher    *hasher
	uses      uses
	instances Instances
	logins    Logins
	links     Links
	shares    Shares
}

// New makes the service.
func New(cfg Config) (*Service, error) {
	if cfg.DB == nil || cfg.Events == nil || cfg.Logger == nil || cfg.Now == nil {
		return nil, errors.New("identity: DB, Events, Logger and Now must be given")
	}
	return &Service{
		db: cfg.DB, events: cfg.Events, log: cfg.Logger, now: cfg.Now, hasher: newHasher(cfg.Hash), uses: uses{at: map[ident.Key]int64{}},
	}, nil
}

// Attach gives the service the room of the instances, before it serves anybody.
// Without it a user who has instances can't be deleted.
func (s *Service) Attach(i Instances) { s.instances = i }

// AttachShares gives the service the room of the subusers, before it serves
// anybody. Without it nothing is shared.
func (s *Service) AttachShares(shares Shares) { s.shares = shares }

// sharedWith is Shares.SharedWith; nothing is shared where there are no subusers.
func (s *Service) sharedWith(ctx context.Context, q store.Querier, user ident.User) (map[ident.User]map[ident.Instance][]access.Right, error) {
	if s.shares == nil {
		return nil, nil
	}
	return s.shares.SharedWith(ctx, q, user)
}

// by is who acts.
func by(ctx context.Context) access.Actor {
	if c := access.From(ctx); c.Known() {
		return c.Actor
	}
	return access.System()
}

// CreateUser makes a user. An id, name or address that is taken is a Conflict;
// of several such calls at a time one succeeds.
func (s *Service) CreateUser(ctx context.Context, n NewUser) (User, error) {
	n, err := n.clean()
	if err != nil {
		return User{}, err
	}
	if err := s.checkProof(ctx); err != nil {
		return User{}, err
	}
	// Looked at before the hash is made, for it is dear, and again in the
	// transaction, for it counts.
	if err := s.db.Read(ctx, func(q store.Querier) error { return checkFree(ctx, q, n.ID, n.Username, n.Email) }); err != nil {
		return User{}, err
	}
	hash := "" // which no password opens
	if n.Password != "" {
		if hash, err = s.hasher.hash(ctx, n.Password); err != nil {
			return User{}, err
		}
	}
	var u User
	err = s.db.Write(ctx, func(tx *store.Tx) error {
		if u, err = s.insert(ctx, tx, n, hash); err != nil {
			return err
		}
		return httpapi.Keep(ctx, tx, viewUser(u))
	})
	return u, err
}

func (s *Service) insert(ctx context.Context, tx *store.Tx, n NewUser, hash string) (User, error) {
	if err := checkFree(ctx, tx, n.ID, n.Username, n.Email); err != nil {
		return User{}, err
	}
	if err := checkGiven(ctx, tx, n.Admin, n.Role); err != nil {
		return User{}, err
	}
	now := s.now().UTC().Truncate(time.Millisecond)
	u := User{ID: n.ID, Username: n.Username, Email: n.Email, Admin: n.Admin, Verified: n.Verified, Role: n.Role, Quota: n.Quota, Created: now, Updated: now}
	if err := insertUser(ctx, tx, u, hash); err != nil {
		return User{}, err
	}
	return u, s.append(ctx, tx, UserCreated, u.ID, string(u.ID), map[string]any{"username": u.Username, "admin": u.Admin})
}

// append writes an event of this room; owner may see it.
func (s *Service) append(ctx context.Context, tx *store.Tx, t event.Type, owner ident.User, subject string, data any) error {
	return s.events.Append(ctx, tx, event.Event{Type: t, Owner: owner, Subject: subject, Actor: by(ctx)}, data)
}

// checkFree is nil when nobody has the id, name or address.
func checkFree(ctx context.Context, q store.Querier, id ident.User, username, email string) error {
	taken, err := whoHas(ctx, q, id, username, email)
	if err != nil || taken == "" {
		return err
	}
	return problem.New(problem.Conflict, "a user with this %s exists already", taken)
}

// UpdateUser changes a user. The last enabled admin can't be demoted or disabled:
// a Conflict. A user who stops being an admin loses the scope admin of his keys.
func (s *Service) UpdateUser(ctx context.Context, id ident.User, c UserChange) (User, error) {
	c, err := c.clean()
	if err != nil {
		return User{}, err
	}
	if c.opens(access.From(ctx).User == id) {
		if err := s.checkProof(ctx); err != nil {
			return User{}, err
		}
	}
	var hash string
	if c.Password != nil {
		if _, err := s.User(ctx, id); err != nil {
			return User{}, err // before the dear hash
		}
		if hash, err = s.hasher.hash(ctx, *c.Password); err != nil {
			return User{}, err
		}
	}
	var after User
	err = s.db.Write(ctx, func(tx *store.Tx) error {
		before, err := Lookup(ctx, tx, id)
		if err != nil {
			return err
		}
		var changed []string
		if after, changed = c.apply(before); len(changed) == 0 {
			return nil
		}
		after.Updated = s.now().UTC().Truncate(time.Millisecond)
		if err := mayChange(ctx, tx, before, after, changed); err != nil {
			return err
		}
		if err := s.checkChange(ctx, tx, before, after); err != nil {
			return err
		}
		if err := updateUser(ctx, tx, after, hash); err != nil {
			return err
		}
		if err := s.endLogins(ctx, tx, after, changed); err != nil {
			return err
		}
		if before.mayAdminister() && !after.mayAdminister() {
			if err := demoteKeys(ctx, tx, id); err != nil {
				return err
			}
		}
		return s.append(ctx, tx, UserUpdated, id, string(id), map[string]any{"changed": changed})
	})
	return after, err
}

// mayChange is nil when the caller may make of the one user the other: he may do
// all that either may. His own role and limits are another's to change.
func mayChange(ctx context.Context, tx *store.Tx, before, after User, changed []string) error {
	if err := coversUser(ctx, tx, before); err != nil {
		return err
	}
	c := access.From(ctx)
	if c.User == before.ID && !c.Admin {
		for _, own := range []string{"role", "quota", "admin"} {
			if slices.Contains(changed, own) {
				return problem.New(problem.Forbidden, "nobody but an admin changes his own %s: ask somebody else who may", own)
			}
		}
	}
	return checkGiven(ctx, tx, after.Admin, after.Role)
}

// checkGiven is nil when there is such a role, and the caller may give it.
func checkGiven(ctx context.Context, tx *store.Tx, admin bool, role ident.Role) error {
	if role == "" {
		return covers(ctx, admin, nil)
	}
	r, err := LookupRole(ctx, tx, role)
	if problem.Is(err, problem.NotFound) {
		return problem.Invalid("role_id", "there is no such role")
	}
	if err != nil {
		return err
	}
	return covers(ctx, admin, r.Permissions)
}

func (s *Service) checkChange(ctx context.Context, tx *store.Tx, before, after User) error {
	if before.isGuard() && !after.isGuard() {
		if err := checkNotLastAdmin(ctx, tx, before.ID); err != nil {
			return err
		}
	}
	if before.Username == after.Username && before.Email == after.Email {
		return nil
	}
	taken, err := nameTakenByAnother(ctx, tx, after.ID, after.Username, after.Email)
	if err != nil || taken == "" {
		return err
	}
	return problem.New(problem.Conflict, "another user has this %s", taken)
}

func checkNotLastAdmin(ctx context.Context, tx *store.Tx, id ident.User) error {
	others, err := countOtherAdmins(ctx, tx, id)
	if err != nil {
		return err
	}
	if others == 0 {
		return problem.New(problem.Conflict, "this is the last enabled admin; make another one first")
	}
	return nil
}

// User gives a user; NotFound when there is none.
func (s *Service) User(ctx context.Context, id ident.User) (User, error) {
	return Lookup(ctx, s.db.Snapshot(), id)
}

// UserByUsername finds a user by his name, without regard to ASCII case; NotFound
// when there is none.
func (s *Service) UserByUsername(ctx context.Context, name string) (User, error) {
	return findUser(ctx, s.db.Snapshot(), "username = ?", name)
}

// UserByEmail finds a user by his address, without regard to ASCII case; NotFound
// when there is none.
func (s *Service) UserByEmail(ctx context.Context, email string) (User, error) {
	return LookupEmail(ctx, s.db.Snapshot(), email)
}

// Users gives the users that match, and how many match in all.
func (s *Service) Users(ctx context.Context, f UserFilter) ([]User, int, error) {
	var list []User
	var total int
	err := s.db.Read(ctx, func(q store.Querier) (err error) {
		list, total, err = listUsers(ctx, q, f)
		return err
	})
	return list, total, err
}

// Lookup gives a user within a transaction or view; NotFound when there is none.
func Lookup(ctx context.Context, q store.Querier, id ident.User) (User, error) {
	return findUser(ctx, q, "id = ?", string(id))
}

// LookupEmail is Lookup by the address, without regard to ASCII case.
func LookupEmail(ctx context.Context, q store.Querier, email string) (User, error) {
	return findUser(ctx, q, "email = ?", email)
}

// Exists says whether there is such a user, enabled or not.
func Exists(ctx context.Context, q store.Querier, id ident.User) (bool, error) {
	n, err := store.Count(ctx, q, `SELECT COUNT(*) FROM users WHERE id = ?`, string(id))
	return n > 0, err
}

// Login gives the user with that name or address, if the password is his and he
// is enabled; else it is Unauthorized, always with the same words and after the
// same work.
func (s *Service) Login(ctx context.Context, name, password string) (User, error) {
	u, _, err := s.login(ctx, name, password)
	return u, err
}

// login is Login, with the hash that the password was checked against.
func (s *Service) login(ctx context.Context, name, password string) (User, string, error) {
	wrong := problem.New(problem.Unauthorized, "the name or the password is wrong")
	if len(password) > maxPassword {
		return User{}, "", wrong
	}
	id, hash, err := findLogin(ctx, s.db.Snapshot(), name)
	if errors.Is(err, store.ErrNoRows) || (err == nil && hash == "") { // nobody, or one who was invited and has no password yet
		_, err := s.hasher.verify(ctx, password, s.hasher.decoy())
		return User{}, "", errors.Join(wrong, err)
	}
	if err != nil {
		return User{}, "", err
	}
	ok, err := s.hasher.verify(ctx, password, hash)
	if err != nil {
		return User{}, "", err
	}
	if !ok {
		return User{}, "", wrong
	}
	u, err := s.User(ctx, id)
	if err != nil || u.Disabled {
		return User{}, "", errors.Join(wrong, err)
	}
	return u, hash, nil
}
