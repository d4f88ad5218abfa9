package identity

import (
	"context"
	"net/http"
	"strconv"
	"time"

	"github.com/berth-panel/berth/controller/access"
	"github.com/berth-panel/berth/controller/httpapi"
	"github.com/berth-panel/berth/controller/store"
	"github.com/berth-panel/berth/shared/ident"
)

// UserView is a user as /api/v1 shows him.
type UserView struct {
	ID        ident.User  `json:"id"`
	Username  string      `json:"username"`
	Email     string      `json:"email"`
	Admin     bool        `json:"admin"`
	Verified  bool        `json:"verified" doc:"The address is known to be his"`
	Disabled  bool        `json:"disabled" doc:"His keys open nothing"`
	RoleID    *ident.Role `json:"role_id" doc:"null: none"`
	Quota     QuotaView   `json:"quota" doc:"What his instances may have at most, together"`
	CreatedAt time.Time   `json:"created_at"`
	UpdatedAt time.Time   `json:"updated_at"`
}

func viewUser(u User) UserView {
	var role *ident.Role
	if u.Role != "" {
		role = &u.Role
	}
	return UserView{
		RoleID: role, Quota: viewQuota(u.Quota), ID: u.ID, Username: u.Username, Email: u.Email, Admin: u.Admin, Verified: u.Verified, Disabled: u.Disabled,
		CreatedAt: u.Created, UpdatedAt: u.Updated,
	}
}

// KeyView is an API key as /api/v1 shows it.
type KeyView struct {
	ID         ident.Key      `json:"id"`
	UserID     ident.User     `json:"user_id"`
	Name       string         `json:"name"`
	Hint       string         `json:"hint" doc:"The first characters of the key"`
	Scopes     []access.Scope `json:"scopes" enum:"read,write,admin"`
	Dialect    access.Dialect `json:"dialect" enum:"documented,v0.3" doc:"How the classic API answers to it"`
	RateLimit  *int           `json:"rate_limit" doc:"Calls a minute; 0 none; null the default"`
	ExpiresAt  *time.Time     `json:"expires_at" doc:"null: never"`
	Addresses  []string       `json:"addresses" doc:"From where it may be used: addresses and networks; none: from everywhere"`
	LastUsedAt *time.Time     `json:"last_used_at" doc:"Up to half a minute late; null: never"`
	CreatedAt  time.Time      `json:"created_at"`
}

func viewKey(k Key) KeyView {
	return KeyView{
		ID: k.ID, UserID: k.User, Name: k.Name, Hint: k.Hint, Scopes: k.Scopes, Dialect: k.Dialect,
		RateLimit: k.RateLimit, ExpiresAt: k.Expires, LastUsedAt: k.LastUsed, Addresses: showAddresses(k.Addresses), CreatedAt: k.Created,
	}
}

// KeyIssuedView is a new key with its text.
type KeyIssuedView struct {
	KeyView
	Key string `json:"key,omitempty" doc:"The key itself. It is shown only here: not stored, and not repeated to an Idempotency-Key"`
}

// Redacted leaves the key out.
func (v KeyIssuedView) Redacted() any { return KeyIssuedView{KeyView: v.KeyView} }

// Message says what to do with it.
func (v KeyIssuedView) Message() string {
	if v.Key == "" {
		return ""
	}
	return "keep the key: it can't be shown again"
}

// UserDetailView is a user and what he has of his quota.
type UserDetailView struct {
	UserView
	Used *UseView `json:"used,omitempty" doc:"What the user's instances have, of his quota"`
}

// MeView is who calls.
type MeView struct {
	Via    access.Via     `json:"via" enum:"key,session,local" doc:"key: an API key. session: a login of the panel. local: the controller's own socket"`
	Admin  bool           `json:"admin"`
	Scopes []access.Scope `json:"scopes" enum:"read,write,admin"`
	User   *UserView      `json:"user,omitempty"`
	Key    *KeyView       `json:"key,omitempty"`

	RoleName    string              `json:"role_name,omitempty"`
	Permissions []access.Permission `json:"permissions" doc:"What the caller may do with what isn't his; an admin all there is"`
	Used        *UseView            `json:"used,omitempty" doc:"What the user's instances have, of his quota"`
}

// UserCreateBody makes a user.
type UserCreateBody struct {
	ID       ident.User `json:"id,omitempty" maxLength:"64" doc:"Free text; a UUID when there is none"`
	Username string     `json:"username" minLength:"1" maxLength:"64"`
	Email    string     `json:"email" minLength:"3" maxLength:"254"`
	Password string     `json:"password,omitempty" minLength:"8" maxLength:"1024" doc:"At least 8 bytes. Without one he gets in by an invitation only"`
	Admin    bool       `json:"admin,omitempty"`
	RoleID   ident.Role `json:"role_id,omitempty" maxLength:"64" doc:"None without"`
	Quota    *QuotaView `json:"quota,omitempty" doc:"No limits without"`
	Verified bool       `json:"verified,omitempty"`
}

// UserUpdateBody changes a user; what is left out stays.
type UserUpdateBody struct {
	Username *string                      `json:"username,omitempty" minLength:"1" maxLength:"64"`
	Email    *string                      `json:"email,omitempty" minLength:"3" maxLength:"254"`
	Password *string                      `json:"password,omitempty" minLength:"8" maxLength:"1024"`
	Admin    *bool                        `json:"admin,omitempty"`
	Verified *bool                        `json:"verified,omitempty"`
	Disabled *bool                        `json:"disabled,omitempty"`
	RoleID   httpapi.Optional[ident.Role] `json:"role_id,omitempty" doc:"null: none"`
	Quota    *QuotaView                   `json:"quota,omitempty" doc:"It replaces the whole; what it leaves out, or has as null, has no limit"`
}

// KeyCreateBody makes a key.
type KeyCreateBody struct {
	UserID    ident.User     `json:"user_id,omitempty" maxLength:"64" doc:"Whose key; the caller's without. Another's needs the permission users.write"`
	Name      string         `json:"name" minLength:"1" maxLength:"100"`
	Scopes    []access.Scope `json:"scopes" minItems:"1" maxItems:"3" enum:"read,write,admin" doc:"admin includes write, write includes read"`
	Dialect   access.Dialect `json:"dialect,omitempty" enum:"documented,v0.3"`
	RateLimit *int           `json:"rate_limit,omitempty" minimum:"0" maximum:"1000000" doc:"Calls a minute; 0 none. Only an admin's key of scope admin may set it"`
	ExpiresAt *time.Time     `json:"expires_at,omitempty"`
	Addresses []string       `json:"addresses,omitempty" maxItems:"50" doc:"From where it may be used: addresses such as 192.0.2.7 and networks such as 2001:db8::/32. None: from where the key of the call may"`
}

// KeyUpdateBody changes a key; what is left out stays.
type KeyUpdateBody struct {
	Name      *string                     `json:"name,omitempty" minLength:"1" maxLength:"100"`
	Scopes    []access.Scope              `json:"scopes,omitempty" minItems:"1" maxItems:"3" enum:"read,write,admin"`
	Dialect   *access.Dialect             `json:"dialect,omitempty" enum:"documented,v0.3"`
	RateLimit httpapi.Optional[int]       `json:"rate_limit,omitempty" minimum:"0" maximum:"1000000" doc:"null: the default"`
	ExpiresAt httpapi.Optional[time.Time] `json:"expires_at,omitempty" doc:"null: never"`
	Addresses *[]string                   `json:"addresses,omitempty" maxItems:"50" doc:"All of them; none: from everywhere"`
}

type userPath struct {
	ID ident.User `path:"id"`
}

type keyPath struct {
	ID ident.Key `path:"id"`
}

type userQuery struct {
	httpapi.PageQuery
	Search   string `query:"search" maxLength:"100" doc:"Part of the username or the address"`
	Admin    string `query:"admin" enum:"true,false"`
	Disabled string `query:"disabled" enum:"true,false"`
	Sort     string `query:"sort" enum:"username,-username,email,-email,created_at,-created_at" default:"username"`
}

type deleteUserQuery struct {
	ID        ident.User `path:"id"`
	Instances Fate       `query:"instances" enum:"delete,transfer" doc:"What becomes of the user's instances, when there are any"`
	To        ident.User `query:"to" maxLength:"64" doc:"Who gets them, with instances=transfer"`
}

type keyQuery struct {
	httpapi.PageQuery
	UserID ident.User `query:"user_id" maxLength:"64" doc:"Only that user's, for admins"`
}

// hashTimeout is longer than usual: passwords are hashed two at a time.
const hashTimeout = 90 * time.Second

// Mount puts this room's operations on the API.
func (s *Service) Mount(a *httpapi.API) {
	s.registerUsers(a)
	s.registerKeys(a)
	s.registerSSHKeys(a)
	s.registerRoles(a)
}

func op(id, method, path, summary string, rule access.Rule) httpapi.Operation {
	return httpapi.Operation{ID: id, Method: method, Path: "/api/v1" + path, Summary: summary, Access: rule, Tag: "users"}
}

func (s *Service) registerUsers(a *httpapi.API) {
	create := op("create-user", http.MethodPost, "/users", "Make a user", access.Permits(access.WriteUsers))
	create.Status, create.Idempotent, create.Timeout = http.StatusCreated, true, hashTimeout
	httpapi.Handle(a, create, s.postUser)
	httpapi.HandlePage(a, op("list-users", http.MethodGet, "/users", "List users", access.Permits(access.ReadUsers)), s.getUsers)
	httpapi.Handle(a, op("get-user", http.MethodGet, "/users/{id}", "Get a user", access.Permits(access.ReadUsers)), s.getUser)
	update := op("update-user", http.MethodPatch, "/users/{id}", "Change a user", access.Permits(access.WriteUsers))
	update.Timeout = hashTimeout
	httpapi.Handle(a, update, s.patchUser)
	httpapi.Handle(a, op("delete-user", http.MethodDelete, "/users/{id}", "Delete a user and his keys", access.Permits(access.WriteUsers)), s.deleteUser)
	httpapi.Handle(a, op("get-me", http.MethodGet, "/me", "Who is calling", access.Needs(access.ScopeRead)), s.getMe)
}

func (s *Service) registerKeys(a *httpapi.API) {
	keyOp := func(id, method, path, summary string, scope access.Scope) httpapi.Operation {
		o := op(id, method, path, summary, access.Needs(scope))
		o.Tag = "keys"
		return o
	}
	create := keyOp("create-key", http.MethodPost, "/keys", "Make an API key", access.ScopeWrite)
	create.Status, create.Idempotent = http.StatusCreated, true
	create.Description = "The key is in this answer and nowhere else. It can't do more, or for longer, than the key of the call."
	httpapi.Handle(a, create, s.postKey)
	httpapi.HandlePage(a, keyOp("list-keys", http.MethodGet, "/keys", "List API keys", access.ScopeRead), s.getKeys)
	httpapi.Handle(a, keyOp("get-key", http.MethodGet, "/keys/{id}", "Get an API key", access.ScopeRead), s.getKey)
	httpapi.Handle(a, keyOp("update-key", http.MethodPatch, "/keys/{id}", "Change an API key", access.ScopeWrite), s.patchKey)
	httpapi.Handle(a, keyOp("revoke-key", http.MethodDelete, "/keys/{id}", "Revoke an API key at once", access.ScopeWrite), s.deleteKey)
}

func (s *Service) postUser(ctx context.Context, in *struct{ Body UserCreateBody }) (UserView, error) {
	b := in.Body
	u, err := s.CreateUser(ctx, NewUser{ID: b.ID, Username: b.Username, Email: b.Email, Password: b.Password, Admin: b.Admin, Verified: b.Verified,
		Role: b.RoleID, Quota: b.Quota.quota(), Invited: b.Password == ""})
	return viewUser(u), err
}

func (s *Service) getUsers(ctx context.Context, in *userQuery) (httpapi.Page[UserView], error) {
	list, total, err := s.Users(ctx, UserFilter{
		Search: in.Search, Admin: flag(in.Admin), Disabled: flag(in.Disabled), Sort: in.Sort, Limit: in.Limit, Offset: in.Offset(),
	})
	page := httpapi.Page[UserView]{Items: make([]UserView, len(list)), Total: total}
	for i, u := range list {
		page.Items[i] = viewUser(u)
	}
	return page, err
}

// flag reads true, false or nothing.
func flag(s string) *bool {
	b, err := strconv.ParseBool(s)
	if err != nil {
		return nil
	}
	return &b
}

func (s *Service) getUser(ctx context.Context, in *userPath) (UserDetailView, error) {
	var v UserDetailView
	err := s.db.Read(ctx, func(q store.Querier) error {
		u, err := Lookup(ctx, q, in.ID)
		if err != nil {
			return err
		}
		v.UserView = viewUser(u)
		v.Used, err = s.useOf(ctx, q, u.ID)
		return err
	})
	return v, err
}

// useOf is nil where nothing has instances.
func (s *Service) useOf(ctx context.Context, q store.Querier, user ident.User) (*UseView, error) {
	if s.instances == nil {
		return nil, nil
	}
	used, err := s.instances.UseOf(ctx, q, user)
	if err != nil {
		return nil, err
	}
	use := viewUse(used)
	return &use, nil
}

func (s *Service) patchUser(ctx context.Context, in *struct {
	ID   ident.User `path:"id"`
	Body UserUpdateBody
}) (UserView, error) {
	u, err := s.UpdateUser(ctx, in.ID, in.Body.change())
	return viewUser(u), err
}

func (s *Service) deleteUser(ctx context.Context, in *deleteUserQuery) (httpapi.Done, error) {
	return httpapi.Did("the user is deleted"), s.DeleteUser(ctx, in.ID, in.Instances, in.To)
}

func (s *Service) getMe(ctx context.Context, _ *struct{}) (MeView, error) { return s.Me(ctx) }

// Me shows the caller to himself: who he is, what he may do, and what he has of his
// quota.
func (s *Service) Me(ctx context.Context) (MeView, error) {
	c := access.From(ctx)
	me := MeView{Via: c.Via, Admin: c.Admin, Scopes: c.Scopes, Permissions: c.Held()}
	if c.User == "" {
		return me, nil
	}
	err := s.db.Read(ctx, func(q store.Querier) error {
		u, err := Lookup(ctx, q, c.User)
		if err != nil {
			return err
		}
		view := viewUser(u)
		me.User = &view
		if u.Role != "" {
			r, err := LookupRole(ctx, q, u.Role)
			if err != nil {
				return err
			}
			me.RoleName = r.Name
		}
		if c.Key != "" {
			k, err := findKey(ctx, q, c.Key)
			if err != nil {
				return err
			}
			key := viewKey(k)
			me.Key = &key
		}
		me.Used, err = s.useOf(ctx, q, c.User)
		return err
	})
	return me, err
}

func (s *Service) postKey(ctx context.Context, in *struct{ Body KeyCreateBody }) (KeyIssuedView, error) {
	b := in.Body
	from, err := parseAddresses(b.Addresses)
	if err != nil {
		return KeyIssuedView{}, err
	}
	k, err := s.CreateKey(ctx, NewKey{User: b.UserID, Addresses: from, Name: b.Name, Scopes: b.Scopes, Dialect: b.Dialect, RateLimit: b.RateLimit, Expires: b.ExpiresAt})
	return KeyIssuedView{viewKey(k.Key), k.Text}, err
}

func (s *Service) getKeys(ctx context.Context, in *keyQuery) (httpapi.Page[KeyView], error) {
	list, total, err := s.Keys(ctx, KeyFilter{User: in.UserID, Limit: in.Limit, Offset: in.Offset()})
	page := httpapi.Page[KeyView]{Items: make([]KeyView, len(list)), Total: total}
	for i, k := range list {
		page.Items[i] = viewKey(k)
	}
	return page, err
}

func (s *Service) getKey(ctx context.Context, in *keyPath) (KeyView, error) {
	k, err := s.Key(ctx, in.ID)
	return viewKey(k), err
}

func (s *Service) patchKey(ctx context.Context, in *struct {
	ID   ident.Key `path:"id"`
	Body KeyUpdateBody
}) (KeyView, error) {
	b := in.Body
	c := KeyChange{Name: b.Name, Scopes: b.Scopes, Dialect: b.Dialect}
	if b.RateLimit.Set {
		limit := b.RateLimit.Pointer()
		c.RateLimit = &limit
	}
	if b.ExpiresAt.Set {
		at := b.ExpiresAt.Pointer()
		c.Expires = &at
	}
	if b.Addresses != nil {
		from, err := parseAddresses(*b.Addresses)
		if err != nil {
			return KeyView{}, err
		}
		c.Addresses = &from
	}
	k, err := s.UpdateKey(ctx, in.ID, c)
	return viewKey(k), err
}

func (s *Service) deleteKey(ctx context.Context, in *keyPath) (httpapi.Done, error) {
	return httpapi.Did("the API key is revoked"), s.RevokeKey(ctx, in.ID)
}
