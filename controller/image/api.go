package image

import (
	"context"
	"net/http"
	"time"

	"github.com/berth-panel/berth/controller/access"
	"github.com/berth-panel/berth/controller/httpapi"
	"github.com/berth-panel/berth/shared/ident"
)

// ImageView is an image as the API shows it.
type ImageView struct {
	ID        string    `json:"id"`
	Name      string    `json:"name"`
	CreatedAt time.Time `json:"created_at"`
	UpdatedAt time.Time `json:"updated_at"`
	Icon      bool      `json:"icon,omitempty" doc:"It has a picture: GET /images/{id}/icon"`
	Definition
}

// View shows the image, to who may change it too: without the defaults of secrets.
func (i Image) View() ImageView {
	i = i.Shown(false)
	return ImageView{ID: string(i.ID), Name: i.Name, CreatedAt: i.CreatedAt, UpdatedAt: i.UpdatedAt, Icon: i.HasIcon, Definition: i.Definition}
}

// ImageBody is an image to make: its name and its definition.
type ImageBody struct {
	Name string `json:"name" minLength:"1" maxLength:"200"`
	Definition
}

// ImageChangeBody names what is to change; what is absent stays.
type ImageChangeBody struct {
	Name       *string     `json:"name,omitempty" minLength:"1" maxLength:"200"`
	Definition *Definition `json:"definition,omitempty" doc:"The whole new definition"`
}

type createInput struct{ Body ImageBody }

// ImagePath names an image in a path.
type ImagePath struct {
	ID string `path:"id" doc:"The image's id"`
}

type changeInput struct {
	ImagePath
	Body ImageChangeBody
}

type listQuery struct {
	httpapi.PageQuery
	Search string `query:"search" maxLength:"200" doc:"Part of the name, the author or a tag"`
	Sort   string `query:"sort" enum:"name,-name,created_at,-created_at" default:"created_at"`
}

// Mount registers the catalogue's operations.
func (s *Service) Mount(a *httpapi.API) {
	const base, tag = "/api/v1/images", "images"
	read, write := access.Needs(access.ScopeRead), access.Permits(access.WriteImages)
	httpapi.HandlePage(a, httpapi.Operation{ID: "listImages", Method: http.MethodGet, Path: base, Tag: tag, Access: read,
		Summary: "List the catalogue"}, s.handleList)
	httpapi.Handle(a, httpapi.Operation{ID: "createImage", Method: http.MethodPost, Path: base, Tag: tag, Access: write, Status: http.StatusCreated,
		Idempotent: true, Summary: "Add an image by its fields"}, s.handleCreate)
	s.mountSchema(a)
	httpapi.Handle(a, httpapi.Operation{ID: "getImage", Method: http.MethodGet, Path: base + "/{id}", Tag: tag, Access: read,
		Summary: "Get an image"}, s.handleGet)
	httpapi.Handle(a, httpapi.Operation{ID: "changeImage", Method: http.MethodPatch, Path: base + "/{id}", Tag: tag, Access: write,
		Summary: "Change an image"}, s.handleChange)
	httpapi.Handle(a, httpapi.Operation{ID: "deleteImage", Method: http.MethodDelete, Path: base + "/{id}", Tag: tag, Access: write,
		Summary: "Delete an image that no instance uses"}, s.handleDelete)
	s.mountImport(a)
}

func (s *Service) handleList(ctx context.Context, in *listQuery) (httpapi.Page[ImageView], error) {
	images, total, err := s.List(ctx, Filter{Search: in.Search, Sort: in.Sort, Limit: in.Limit, Off: in.Offset()})
	page := httpapi.Page[ImageView]{Items: []ImageView{}, Total: total}
	for _, i := range images {
		page.Items = append(page.Items, i.Shown(!staff(access.From(ctx))).View())
	}
	return page, err
}

func (s *Service) handleCreate(ctx context.Context, in *createInput) (ImageView, error) {
	i, err := s.Create(ctx, access.From(ctx), Image{Name: in.Body.Name, Definition: in.Body.Definition})
	return i.View(), err
}

func (s *Service) handleGet(ctx context.Context, in *ImagePath) (ImageView, error) {
	i, err := s.Get(ctx, ident.Image(in.ID))
	return i.Shown(!staff(access.From(ctx))).View(), err
}

func (s *Service) handleChange(ctx context.Context, in *changeInput) (ImageView, error) {
	i, err := s.Change(ctx, access.From(ctx), ident.Image(in.ID), func(i *Image) error {
		if in.Body.Name != nil {
			i.Name = *in.Body.Name
		}
		if in.Body.Definition != nil {
			before := i.Definition
			i.Definition = *in.Body.Definition
			i.keepSecrets(before)
		}
		return nil
	})
	return i.View(), err
}

func (s *Service) handleDelete(ctx context.Context, in *ImagePath) (httpapi.Done, error) {
	return httpapi.Did("the image is deleted"), s.Delete(ctx, access.From(ctx), ident.Image(in.ID))
}
