package preset

import (
	"time"

	"github.com/berth-panel/berth/controller/image"
	"github.com/berth-panel/berth/controller/image/name"
	"github.com/berth-panel/berth/shared/ident"
	"github.com/berth-panel/berth/shared/problem"
)

// Preset is settings of an image under a name.
type Preset struct {
	ID        ident.Preset
	Image     ident.Image
	Name      string
	CreatedAt time.Time
	UpdatedAt time.Time
	PresetSettings
}

// PresetSettings are what instances are made with. What is absent is left to the
// deployer. They are kept as JSON.
type PresetSettings struct {
	Reference string            `json:"reference,omitempty" maxLength:"255" doc:"One of the image's"`
	Startup   string            `json:"startup,omitempty" maxLength:"200" doc:"The name of one of the image's start commands"`
	Memory    int64             `json:"memory,omitempty" minimum:"0" maximum:"1073741824" doc:"MiB"`
	CPU       float64           `json:"cpu,omitempty" minimum:"0" maximum:"1024" doc:"Cores"`
	Disk      int64             `json:"disk,omitempty" minimum:"0" maximum:"1073741824" doc:"MiB"`
	Ports     []PresetPort      `json:"ports,omitempty" maxItems:"100" doc:"Ports in the container; each gets a free one of the node's pool"`
	Variables map[string]string `json:"variables,omitempty" doc:"Values of the image's variables, none of them secret"`
}

// PresetPort is one port of the container.
type PresetPort struct {
	Container uint16 `json:"container" minimum:"1" maximum:"65535"`
	Primary   bool   `json:"primary,omitempty" doc:"One of them; the first when none says so"`
}

// check says what is wrong with a preset of the image.
func (p Preset) check(img image.Image) error {
	if err := name.Check(p.Name); err != nil {
		return err
	}
	if p.Reference != "" {
		if err := img.HasReference(p.Reference); err != nil {
			return err
		}
	}
	if err := img.HasStartup(p.Startup); err != nil {
		return err
	}
	primary := false
	for n, port := range p.Ports {
		if port.Container == 0 {
			return problem.Invalid("ports", "number %d must be 1 to 65535", n+1)
		}
		if port.Primary && primary {
			return problem.Invalid("ports", "only one port can be the primary one")
		}
		primary = primary || port.Primary
	}
	return p.checkVariables(img)
}

// checkVariables holds what the preset gives against the image's rules; what it
// leaves to whoever uses it isn't asked for.
func (p Preset) checkVariables(img image.Image) error {
	for name := range p.Variables {
		v, there := img.Variable(name)
		switch {
		case !there:
			return problem.Invalid("variables", "%s has no variable %.80q", img.Name, name)
		case v.IsSecret():
			return problem.Invalid("variables."+name, "a secret isn't kept in a preset; give it when the instance is made")
		}
	}
	_, err := img.Merge(nil, p.Variables)
	return err
}

// without leaves out what may not be shown: variables that are hidden, unless all
// are asked for, and such as were made secret since.
func (s PresetSettings) without(img image.Image, all bool) PresetSettings {
	shown := map[string]string{}
	for name, value := range s.Variables {
		if v, there := img.Variable(name); there && !v.IsSecret() && (all || !v.Hidden) {
			shown[name] = value
		}
	}
	s.Variables = shown
	return s
}
