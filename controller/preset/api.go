package preset

import (
	"context"
	"net/http"
	"time"

	"github.com/berth-panel/berth/controller/access"
	"github.com/berth-panel/berth/controller/httpapi"
	"github.com/berth-panel/berth/controller/image"
	"github.com/berth-panel/berth/shared/ident"
)

// PresetView is a preset as the API shows it.
type PresetView struct {
	ID        string    `json:"id"`
	ImageID   string    `json:"image_id"`
	Name      string    `json:"name"`
	CreatedAt time.Time `json:"created_at"`
	UpdatedAt time.Time `json:"updated_at"`
	PresetSettings
}

func (p Preset) view() PresetView {
	return PresetView{ID: string(p.ID), ImageID: string(p.Image), Name: p.Name, CreatedAt: p.CreatedAt, UpdatedAt: p.UpdatedAt, PresetSettings: p.PresetSettings}
}

// PresetBody is a preset to make.
type PresetBody struct {
	Name string `json:"name" minLength:"1" maxLength:"200"`
	PresetSettings
}

// PresetChangeBody names what is to change; what is absent stays.
type PresetChangeBody struct {
	Name     *string         `json:"name,omitempty" minLength:"1" maxLength:"200"`
	Settings *PresetSettings `json:"settings,omitempty" doc:"All of them; what they leave out is left to the deployer"`
}

// PresetPath names a preset of an image in a path.
type PresetPath struct {
	image.ImagePath
	Preset string `path:"preset" doc:"The preset's id"`
}

type createInput struct {
	image.ImagePath
	Body PresetBody
}

type changeInput struct {
	PresetPath
	Body PresetChangeBody
}

// Mount registers the operations of presets.
func (s *Service) Mount(a *httpapi.API) {
	const base, one = "/api/v1/images/{id}/presets", "/api/v1/images/{id}/presets/{preset}"
	op := func(id, method, path, summary string, rule access.Rule) httpapi.Operation {
		return httpapi.Operation{ID: id, Method: method, Path: path, Tag: "images", Summary: summary, Access: rule}
	}
	read, write := access.Needs(access.ScopeRead), access.Permits(access.WriteImages)
	httpapi.Handle(a, op("listPresets", http.MethodGet, base, "List the settings that instances of an image can be made with", read), s.handleList)
	create := op("createPreset", http.MethodPost, base, "Keep settings under a name", write)
	create.Status, create.Idempotent = http.StatusCreated, true
	httpapi.Handle(a, create, s.handleCreate)
	httpapi.Handle(a, op("getPreset", http.MethodGet, one, "Get a preset", read), s.handleGet)
	httpapi.Handle(a, op("changePreset", http.MethodPatch, one, "Change a preset; no instance changes", write), s.handleChange)
	httpapi.Handle(a, op("deletePreset", http.MethodDelete, one, "Delete a preset; no instance changes", write), s.handleDelete)
}

func (s *Service) handleList(ctx context.Context, in *image.ImagePath) ([]PresetView, error) {
	presets, err := s.List(ctx, access.From(ctx), ident.Image(in.ID))
	views := make([]PresetView, len(presets))
	for n, p := range presets {
		views[n] = p.view()
	}
	return views, err
}

func (s *Service) handleCreate(ctx context.Context, in *createInput) (PresetView, error) {
	p, err := s.Create(ctx, access.From(ctx), Preset{Image: ident.Image(in.ID), Name: in.Body.Name, PresetSettings: in.Body.PresetSettings})
	return p.view(), err
}

func (s *Service) handleGet(ctx context.Context, in *PresetPath) (PresetView, error) {
	p, err := s.Get(ctx, access.From(ctx), ident.Image(in.ID), ident.Preset(in.Preset))
	return p.view(), err
}

func (s *Service) handleChange(ctx context.Context, in *changeInput) (PresetView, error) {
	p, err := s.Change(ctx, access.From(ctx), ident.Image(in.ID), ident.Preset(in.Preset), func(p *Preset) {
		if in.Body.Name != nil {
			p.Name = *in.Body.Name
		}
		if in.Body.Settings != nil {
			p.PresetSettings = *in.Body.Settings
		}
	})
	return p.view(), err
}

func (s *Service) handleDelete(ctx context.Context, in *PresetPath) (httpapi.Done, error) {
	return httpapi.Did("the preset is deleted"), s.Delete(ctx, access.From(ctx), ident.Image(in.ID), ident.Preset(in.Preset))
}
