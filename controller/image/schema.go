package image

import (
	"context"
	"net/http"

	"github.com/berth-panel/berth/controller/access"
	"github.com/berth-panel/berth/controller/httpapi"
	"github.com/berth-panel/berth/controller/image/rule"
	"github.com/berth-panel/berth/shared/ident"
)

// ImageSchemaView is JSON Schema (2020-12) of the variables of an image: of an
// object with a text for each.
type ImageSchemaView struct {
	Schema      string                         `json:"$schema"`
	Title       string                         `json:"title"`
	Description string                         `json:"description,omitempty"`
	Type        string                         `json:"type" enum:"object"`
	Properties  map[string]rule.VariableSchema `json:"properties"`
	Required    []string                       `json:"required"`
	Additional  bool                           `json:"additionalProperties"`
	Order       []string                       `json:"x-order" doc:"The names in the order of the form"`
}

// SchemaFor is the JSON Schema of the variables as somebody may fill them in: a
// customer sees no hidden one and sets no locked one. Defaults of secrets are left
// out.
func (i Image) SchemaFor(customer bool) ImageSchemaView {
	s := ImageSchemaView{Schema: "https://json-schema.org/draft/2020-12/schema", Title: i.Name, Description: i.Description, Type: "object",
		Properties: map[string]rule.VariableSchema{}, Required: []string{}, Order: []string{}, Additional: !customer}
	for _, v := range i.Variables {
		if customer && v.Hidden {
			continue
		}
		set, _ := v.ruleSet()
		p := set.Schema()
		p.Title, p.Description, p.Rules = v.Label, v.Description, v.Rules
		if p.Title == "" {
			p.Title = v.Name
		}
		p.WriteOnly, p.ReadOnly = v.IsSecret(), customer && v.Locked
		if !v.IsSecret() {
			p.Default = &v.Default
		}
		if set.Required() && v.Default == "" && !p.ReadOnly {
			s.Required = append(s.Required, v.Name)
		}
		s.Properties[v.Name] = p
		s.Order = append(s.Order, v.Name)
	}
	return s
}

func (s *Service) mountSchema(a *httpapi.API) {
	httpapi.Handle(a, httpapi.Operation{ID: "getImageSchema", Method: http.MethodGet, Path: "/api/v1/images/{id}/schema", Tag: "images",
		Access: access.Needs(access.ScopeRead), Summary: "JSON Schema of an image's variables, as the caller may fill them in"}, s.handleSchema)
}

func (s *Service) handleSchema(ctx context.Context, in *ImagePath) (ImageSchemaView, error) {
	i, err := s.Get(ctx, ident.Image(in.ID))
	if err != nil {
		return ImageSchemaView{}, err
	}
	return i.SchemaFor(!staff(access.From(ctx))), nil
}

// staff says whether the caller sees and sets what customers don't.
func staff(c access.Caller) bool {
	return c.Holds(access.WriteImages) || c.Holds(access.WriteInstances)
}
