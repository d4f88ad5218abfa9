package subuser

import (
	"context"
	"net/http"
	"time"

	"github.com/berth-panel/berth/controller/access"
	"github.com/berth-panel/berth/controller/httpapi"
	"github.com/berth-panel/berth/controller/instance"
	"github.com/berth-panel/berth/shared/ident"
)

// SubuserView is somebody who may use an instance that isn't his.
type SubuserView struct {
	UserID    ident.User     `json:"user_id"`
	Username  string         `json:"username"`
	Rights    []access.Right `json:"rights" doc:"See GET /permissions"`
	CreatedAt time.Time      `json:"created_at"`
	UpdatedAt time.Time      `json:"updated_at"`
}

func view(s Subuser) SubuserView {
	return SubuserView{UserID: s.User, Username: s.Username, Rights: s.Rights, CreatedAt: s.Created, UpdatedAt: s.Updated}
}

// SubuserRightsBody says what a subuser may do.
type SubuserRightsBody struct {
	Rights []access.Right `json:"rights" maxItems:"50" doc:"All of them; instance.see is always among them. Only such as the caller has himself"`
}

// SubuserInviteBody says who shall become a subuser: one of username and email.
type SubuserInviteBody struct {
	SubuserRightsBody
	Username string `json:"username,omitempty" maxLength:"64" doc:"Of who has an account"`
	Email    string `json:"email,omitempty" maxLength:"254" doc:"Who has no account with this address is invited by mail"`
}

// SubuserPath names a subuser of an instance in a path.
type SubuserPath struct {
	instance.InstancePath
	User ident.User `path:"user_id" maxLength:"64"`
}

// Mount registers the operations of subusers.
func (s *Service) Mount(a *httpapi.API) {
	op := func(id, method, path, summary string) httpapi.Operation {
		return httpapi.Operation{ID: id, Method: method, Path: "/api/v1/instances/{id}/subusers" + path, Tag: "subusers", Summary: summary,
			Access: access.Uses(access.EditSubusers)}
	}
	list := op("listSubusers", http.MethodGet, "", "Who else may use an instance, and what for")
	list.Access = access.Shows(access.EditSubusers)
	httpapi.Handle(a, list, s.handleList)
	httpapi.Handle(a, op("inviteSubuser", http.MethodPost, "", "Let somebody use an instance, by his name or address"), s.handleInvite)
	httpapi.Handle(a, op("putSubuser", http.MethodPut, "/{user_id}", "Say what a user may do with an instance"), s.handlePut)
	httpapi.Handle(a, op("deleteSubuser", http.MethodDelete, "/{user_id}", "Take an instance from a subuser; one's own too"), s.handleDelete)
}

func (s *Service) handleList(ctx context.Context, in *instance.InstancePath) ([]SubuserView, error) {
	list, err := s.List(ctx, access.From(ctx), ident.Instance(in.ID))
	views := make([]SubuserView, len(list))
	for n, one := range list {
		views[n] = view(one)
	}
	return views, err
}

func (s *Service) handleInvite(ctx context.Context, in *struct {
	instance.InstancePath
	Body SubuserInviteBody
}) (SubuserView, error) {
	b := in.Body
	one, err := s.Invite(ctx, access.From(ctx), ident.Instance(in.ID), Invitation{Username: b.Username, Email: b.Email, Rights: b.Rights})
	return view(one), err
}

func (s *Service) handlePut(ctx context.Context, in *struct {
	SubuserPath
	Body SubuserRightsBody
}) (SubuserView, error) {
	one, err := s.Put(ctx, access.From(ctx), ident.Instance(in.ID), in.User, in.Body.Rights)
	return view(one), err
}

func (s *Service) handleDelete(ctx context.Context, in *SubuserPath) (httpapi.Done, error) {
	return httpapi.Did("the instance is not shared with this user any more"), s.Remove(ctx, access.From(ctx), ident.Instance(in.ID), in.User)
}
