package registry

import (
	"context"
	"net/http"
	"time"

	"github.com/berth-panel/berth/controller/access"
	"github.com/berth-panel/berth/controller/httpapi"
	"github.com/berth-panel/berth/shared/ident"
	"github.com/berth-panel/berth/shared/wire"
)

// RegistryView is the login at one registry, without its password.
type RegistryView struct {
	ID        string    `json:"id"`
	Host      string    `json:"host" doc:"As container references begin; docker.io for those without a host"`
	Username  string    `json:"username"`
	Broken    bool      `json:"broken,omitempty" doc:"The password can't be read any more: set it again"`
	CreatedAt time.Time `json:"created_at"`
	UpdatedAt time.Time `json:"updated_at"`
}

func (r Registry) view() RegistryView {
	return RegistryView{ID: string(r.ID), Host: r.Host, Username: r.Username, Broken: r.Broken, CreatedAt: r.CreatedAt, UpdatedAt: r.UpdatedAt}
}

// RegistryBody is a login to keep.
type RegistryBody struct {
	Host     string `json:"host" minLength:"1" maxLength:"255" doc:"As container references begin, such as registry.example.com:5000; docker.io for those without a host"`
	Username string `json:"username" minLength:"1" maxLength:"255"`
	Password string `json:"password" minLength:"1" maxLength:"16384" doc:"Or an access token; never shown again"`
}

// RegistryChangeBody names what is to change; what is absent stays. The host
// can't be changed.
type RegistryChangeBody struct {
	Username *string `json:"username,omitempty" minLength:"1" maxLength:"255"`
	Password *string `json:"password,omitempty" minLength:"1" maxLength:"16384"`
}

// RegistryCheckBody says from where a login is tried.
type RegistryCheckBody struct {
	NodeID string `json:"node_id,omitempty" maxLength:"64" doc:"The node that tries it; any that is online when absent"`
}

// RegistryCheckView is what came of trying a login.
type RegistryCheckView struct {
	Status   wire.RegistryStatus `json:"status" enum:"ok,refused,unreachable,limited,failed" doc:"ok: the registry takes the login; refused: wrong user name or password; unreachable: no answer from there; limited: too many tries for now"`
	Message  string              `json:"message" doc:"A sentence for people"`
	NodeID   string              `json:"node_id" doc:"Who tried it"`
	NodeName string              `json:"node_name"`
}

// RegistryPath names a login in a path.
type RegistryPath struct {
	ID ident.Registry `path:"id" maxLength:"64" doc:"The login's id"`
}

type changeInput struct {
	RegistryPath
	Body RegistryChangeBody
}

type checkInput struct {
	RegistryPath
	Body *RegistryCheckBody
}

// checkTimeout is how long a try may take: engines give up by themselves earlier.
const checkTimeout = time.Minute

// Mount registers the operations of registry logins.
func (s *Service) Mount(a *httpapi.API) {
	const base, tag = "/api/v1/registries", "registries"
	read, write := access.Permits(access.ReadSettings), access.Permits(access.WriteSettings)
	httpapi.Handle(a, httpapi.Operation{ID: "listRegistries", Method: http.MethodGet, Path: base, Tag: tag, Access: read,
		Summary: "List the logins with which nodes pull images"}, s.handleList)
	httpapi.Handle(a, httpapi.Operation{ID: "createRegistry", Method: http.MethodPost, Path: base, Tag: tag, Access: write, Status: http.StatusCreated,
		Idempotent: true, Summary: "Add the login at a registry"}, s.handleAdd)
	httpapi.Handle(a, httpapi.Operation{ID: "getRegistry", Method: http.MethodGet, Path: base + "/{id}", Tag: tag, Access: read,
		Summary: "Get a registry's login, without its password"}, s.handleGet)
	httpapi.Handle(a, httpapi.Operation{ID: "changeRegistry", Method: http.MethodPatch, Path: base + "/{id}", Tag: tag, Access: write,
		Summary: "Change a registry's login"}, s.handleChange)
	httpapi.Handle(a, httpapi.Operation{ID: "deleteRegistry", Method: http.MethodDelete, Path: base + "/{id}", Tag: tag, Access: write,
		Summary: "Forget a registry's login, here and on the nodes"}, s.handleDelete)
	httpapi.Handle(a, httpapi.Operation{ID: "checkRegistry", Method: http.MethodPost, Path: base + "/{id}/check", Tag: tag, Access: write, Timeout: checkTimeout,
		Summary: "Try a registry's login from a node"}, s.handleCheck)
}

func (s *Service) handleList(ctx context.Context, _ *struct{}) ([]RegistryView, error) {
	list, err := s.List(ctx)
	views := make([]RegistryView, len(list))
	for n, r := range list {
		views[n] = r.view()
	}
	return views, err
}

func (s *Service) handleAdd(ctx context.Context, in *struct{ Body RegistryBody }) (RegistryView, error) {
	r, err := s.Add(ctx, access.From(ctx), in.Body.Host, in.Body.Username, in.Body.Password)
	return r.view(), err
}

func (s *Service) handleGet(ctx context.Context, in *RegistryPath) (RegistryView, error) {
	r, err := s.Get(ctx, in.ID)
	return r.view(), err
}

func (s *Service) handleChange(ctx context.Context, in *changeInput) (RegistryView, error) {
	r, err := s.Change(ctx, access.From(ctx), in.ID, in.Body.Username, in.Body.Password)
	return r.view(), err
}

func (s *Service) handleDelete(ctx context.Context, in *RegistryPath) (httpapi.Done, error) {
	return httpapi.Did("the login is forgotten"), s.Delete(ctx, access.From(ctx), in.ID)
}

func (s *Service) handleCheck(ctx context.Context, in *checkInput) (RegistryCheckView, error) {
	var from ident.Node
	if in.Body != nil {
		from = ident.Node(in.Body.NodeID)
	}
	got, err := s.Check(ctx, in.ID, from)
	return RegistryCheckView{Status: got.Status, Message: got.Message, NodeID: string(got.Node.ID), NodeName: got.Node.Name}, err
}
