package identity

import (
	"context"
	"net/http"
	"time"

	"github.com/berth-panel/berth/controller/access"
	"github.com/berth-panel/berth/controller/httpapi"
	"github.com/berth-panel/berth/shared/ident"
)

// RoleView is a role.
type RoleView struct {
	ID          ident.Role          `json:"id"`
	Name        string              `json:"name"`
	Description string              `json:"description"`
	Permissions []access.Permission `json:"permissions" doc:"See GET /permissions"`
	Users       int                 `json:"users" doc:"Who have it"`
	CreatedAt   time.Time           `json:"created_at"`
	UpdatedAt   time.Time           `json:"updated_at"`
}

func viewRole(r Role) RoleView {
	v := RoleView{ID: r.ID, Name: r.Name, Description: r.Description, Permissions: r.Permissions, Users: r.Users, CreatedAt: r.Created, UpdatedAt: r.Updated}
	if v.Permissions == nil {
		v.Permissions = []access.Permission{}
	}
	return v
}

// RoleCreateBody makes a role.
type RoleCreateBody struct {
	Name        string   `json:"name" minLength:"1" maxLength:"64"`
	Description string   `json:"description,omitempty" maxLength:"500"`
	Permissions []string `json:"permissions" maxItems:"50" doc:"Of those that GET /permissions lists and the caller has himself"`
}

// RoleUpdateBody changes a role; what is left out stays.
type RoleUpdateBody struct {
	Name        *string   `json:"name,omitempty" minLength:"1" maxLength:"64"`
	Description *string   `json:"description,omitempty" maxLength:"500"`
	Permissions *[]string `json:"permissions,omitempty" maxItems:"50" doc:"All of them"`
}

// PermissionView is something that a role lets its people do.
type PermissionView struct {
	Permission access.Permission `json:"permission"`
	Text       string            `json:"text" doc:"What it lets somebody do"`
	Scope      access.Scope      `json:"scope" enum:"read,write,admin" doc:"What an API key needs for it at least"`
	Held       bool              `json:"held" doc:"The caller has it, so he may give it"`
}

// RightView is something that a subuser may do with an instance.
type RightView struct {
	Right access.Right `json:"right"`
	Text  string       `json:"text" doc:"What it lets somebody do"`
	Scope access.Scope `json:"scope" enum:"read,write,admin" doc:"What an API key needs for it at least"`
}

// PermissionsView is all that can be given.
type PermissionsView struct {
	Permissions []PermissionView `json:"permissions" doc:"Of roles"`
	Rights      []RightView      `json:"rights" doc:"Of subusers, to an instance"`
}

type rolePath struct {
	ID ident.Role `path:"id"`
}

func (s *Service) registerRoles(a *httpapi.API) {
	roleOp := func(id, method, path, summary string, rule access.Rule) httpapi.Operation {
		o := op(id, method, path, summary, rule)
		o.Tag = "roles"
		return o
	}
	read, write := access.Permits(access.ReadUsers), access.Permits(access.WriteRoles)
	httpapi.Handle(a, roleOp("list-permissions", http.MethodGet, "/permissions", "What roles and subusers can be allowed", access.Needs(access.ScopeRead)), s.getPermissions)
	httpapi.Handle(a, roleOp("list-roles", http.MethodGet, "/roles", "List roles", read), s.getRoles)
	create := roleOp("create-role", http.MethodPost, "/roles", "Make a role", write)
	create.Status, create.Idempotent = http.StatusCreated, true
	httpapi.Handle(a, create, s.postRole)
	httpapi.Handle(a, roleOp("get-role", http.MethodGet, "/roles/{id}", "Get a role", read), s.getRole)
	httpapi.Handle(a, roleOp("update-role", http.MethodPatch, "/roles/{id}", "Change a role, and what its people may do, at once", write), s.patchRole)
	httpapi.Handle(a, roleOp("delete-role", http.MethodDelete, "/roles/{id}", "Delete a role; its people are customers then", write), s.deleteRole)
}

func (s *Service) getPermissions(ctx context.Context, _ *struct{}) (PermissionsView, error) {
	c, v := access.From(ctx), PermissionsView{}
	for _, p := range access.Permissions() {
		v.Permissions = append(v.Permissions, PermissionView{Permission: p, Text: p.Text(), Scope: p.Scope(), Held: c.Holds(p)})
	}
	for _, r := range access.Rights() {
		v.Rights = append(v.Rights, RightView{Right: r, Text: r.Text(), Scope: r.Scope()})
	}
	return v, nil
}

func (s *Service) getRoles(ctx context.Context, _ *struct{}) ([]RoleView, error) {
	list, err := s.Roles(ctx)
	views := make([]RoleView, len(list))
	for n, r := range list {
		views[n] = viewRole(r)
	}
	return views, err
}

func (s *Service) postRole(ctx context.Context, in *struct{ Body RoleCreateBody }) (RoleView, error) {
	permissions, err := access.ParsePermissions(in.Body.Permissions)
	if err != nil {
		return RoleView{}, err
	}
	r, err := s.CreateRole(ctx, Role{Name: in.Body.Name, Description: in.Body.Description, Permissions: permissions})
	return viewRole(r), err
}

func (s *Service) getRole(ctx context.Context, in *rolePath) (RoleView, error) {
	r, err := s.Role(ctx, in.ID)
	return viewRole(r), err
}

func (s *Service) patchRole(ctx context.Context, in *struct {
	ID   ident.Role `path:"id"`
	Body RoleUpdateBody
}) (RoleView, error) {
	r, err := s.UpdateRole(ctx, in.ID, RoleChange{Name: in.Body.Name, Description: in.Body.Description, Permissions: in.Body.Permissions})
	return viewRole(r), err
}

func (s *Service) deleteRole(ctx context.Context, in *rolePath) (httpapi.Done, error) {
	return httpapi.Did("the role is deleted"), s.DeleteRole(ctx, in.ID)
}
