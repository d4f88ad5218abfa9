package classic

import (
	"context"
	"net/http"
	"strconv"

	"github.com/berth-panel/berth/controller/access"
	"github.com/berth-panel/berth/controller/httpapi"
	"github.com/berth-panel/berth/controller/identity"
	"github.com/berth-panel/berth/controller/instance"
	"github.com/berth-panel/berth/controller/store"
	"github.com/berth-panel/berth/shared/ident"
	"github.com/berth-panel/berth/shared/problem"
)

const textUserNotFound = "User not found"

// ClassicUser is a user as the classic API shows him.
type ClassicUser struct {
	UserID   string   `json:"userId"`
	Username string   `json:"username"`
	Email    string   `json:"email"`
	AccessTo []string `json:"accessTo" doc:"The ids of his instances"`
	Admin    bool     `json:"admin"`
	Verified bool     `json:"verified"`
}

// ClassicNewUser is the answer of create-user.
type ClassicNewUser struct {
	UserID   string `json:"userId"`
	Username string `json:"username"`
	Email    string `json:"email"`
	Admin    bool   `json:"admin"`
}

func (s *Service) listUsers(ctx context.Context, _ access.Caller, _ *httpapi.Request) (httpapi.Reply, error) {
	raw, err := s.memo.get(ctx, "users", func() ([]byte, error) { return s.renderUsers(ctx) })
	return httpapi.Reply{Raw: raw}, err
}

func (s *Service) renderUsers(ctx context.Context) ([]byte, error) {
	users, _, err := s.Users.Users(ctx, identity.UserFilter{Sort: "created_at"})
	if err != nil {
		return nil, err
	}
	var owned map[ident.User][]ident.Instance
	err = s.DB.Read(ctx, func(q store.Querier) error {
		owned, err = s.Instances.IDsByOwner(ctx, q)
		return err
	})
	if err != nil {
		return nil, err
	}
	return appendList(grow(len(users), 200), len(users), func(b []byte, n int) []byte {
		return appendUser(b, users[n], owned[users[n].ID])
	}), nil
}

func appendUser(b []byte, u identity.User, instances []ident.Instance) []byte {
	b = appendText(append(b, `{"userId":`...), string(u.ID))
	b = appendText(append(b, `,"username":`...), u.Username)
	b = appendText(append(b, `,"email":`...), u.Email)
	b = appendList(append(b, `,"accessTo":`...), len(instances), func(b []byte, n int) []byte { return appendText(b, string(instances[n])) })
	b = strconv.AppendBool(append(b, `,"admin":`...), u.Admin)
	b = strconv.AppendBool(append(b, `,"verified":`...), u.Verified)
	return append(b, '}')
}

func (s *Service) getUser(ctx context.Context, c access.Caller, r *httpapi.Request) (httpapi.Reply, error) {
	b, err := readBody(r)
	if err != nil {
		return httpapi.Reply{}, err
	}
	if len(b.missing("type", "value")) > 0 {
		return httpapi.Reply{}, badRequest("Type and value are required")
	}
	value, err := b.text("value")
	if err != nil {
		return httpapi.Reply{}, err
	}
	kind, err := b.text("type")
	find := map[string]func(context.Context, string) (identity.User, error){"email": s.Users.UserByEmail, "username": s.Users.UserByUsername}[kind]
	if err != nil || find == nil {
		return httpapi.Reply{}, badRequest(`Invalid search type. Use "email" or "username".`)
	}
	u, err := find(ctx, value)
	if problem.Is(err, problem.NotFound) {
		return httpapi.Reply{}, miss(c, textUserNotFound)
	}
	if err != nil {
		return httpapi.Reply{}, err
	}
	owned, _, err := s.Instances.List(ctx, c, instance.Filter{Owner: u.ID})
	if err != nil {
		return httpapi.Reply{}, err
	}
	ids := make([]ident.Instance, len(owned))
	for n, l := range owned {
		ids[n] = l.ID
	}
	return httpapi.Reply{Status: byDialect(c, http.StatusCreated, http.StatusOK), Raw: appendUser(nil, u, ids)}, nil
}

func (s *Service) createUser(ctx context.Context, _ access.Caller, r *httpapi.Request) (httpapi.Reply, error) {
	b, err := readBody(r)
	if err != nil {
		return httpapi.Reply{}, err
	}
	if len(b.missing("username", "email", "password")) > 0 {
		return httpapi.Reply{}, badRequest("Username, email, and password are required")
	}
	// Anything but a plain true makes no admin.
	n := identity.NewUser{Admin: string(b.raw("admin")) == "true", AllowShortPassword: true}
	id := ""
	err = b.texts(textField{"username", &n.Username}, textField{"email", &n.Email}, textField{"password", &n.Password}, textField{"userId", &id})
	if err != nil {
		return httpapi.Reply{}, err
	}
	n.ID = ident.User(id)
	u, err := s.Users.CreateUser(ctx, n)
	if problem.Is(err, problem.Conflict) {
		return httpapi.Reply{}, refuse(http.StatusConflict, "User already exists")
	}
	if err != nil {
		return httpapi.Reply{}, renamed(err, map[string]string{"id": "userId"})
	}
	return httpapi.Reply{Body: ClassicNewUser{UserID: string(u.ID), Username: u.Username, Email: u.Email, Admin: u.Admin}}, nil
}

// resetPassword answers every address alike: nobody learns from it which ones
// there are.
func (s *Service) resetPassword(_ context.Context, _ access.Caller, r *httpapi.Request) (httpapi.Reply, error) {
	b, err := readBody(r)
	if err != nil {
		return httpapi.Reply{}, err
	}
	if len(b.missing("email")) > 0 {
		return httpapi.Reply{}, badRequest("Email is required")
	}
	if _, err := b.text("email"); err != nil {
		return httpapi.Reply{}, err
	}
	return httpapi.Reply{}, badRequest("Passwords can't be reset by mail: mail is not set up on this panel; an admin can set a new password")
}
