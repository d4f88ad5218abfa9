package image

import (
	"encoding/json"
	"slices"

	"github.com/berth-panel/berth/shared/problem"
)

// Reader reads one format of files that define images. Readers are pure: they
// open nothing and are safe for concurrent use.
type Reader interface {
	// Format is the name by which the format is asked for: "egg", "classic", "compose".
	Format() string
	// Reads says whether a text is meant to be of the format, also when it is broken.
	Reads(text []byte) bool
	// Read gives what the file says. An error is a *problem.Problem that names line
	// and field; name is the file's, for texts only.
	Read(name string, text []byte) (Reading, error)
}

// Reading is what a file says.
type Reading struct {
	Format  string // with its version: "PTDL_v2", "classic", "compose"
	Image   Image  // ID and times are empty
	Icon    *Icon
	Changes []string // what was read otherwise than it stands there: "field: a sentence"
	Ignored []string // fields that mean nothing here
	// Names are the file's words for fields of a definition, for what is said about
	// them; without any they are ours.
	Names map[string]string
	// Silent says that the format has no word for these parts of a definition: a
	// later import leaves them as the catalogue has them.
	Silent []Part
}

// Part is something of a definition that not every format can say.
type Part string

// The parts.
const (
	PartSecrets Part = "secrets" // which variables are secret
	PartPull    Part = "pull"
	PartCrash   Part = "crash" // with the time that a start may take
	PartGrace   Part = "grace" // the time that a stop may take
)

// spoken are the fields of a definition that say something of a part.
var spoken = map[Part][]string{
	PartSecrets: {"variables"}, PartPull: {"pull"}, PartCrash: {"crash_policy", "start_timeout_seconds"}, PartGrace: {"stop_grace_seconds"},
}

// silent are the parts of which a file says nothing whose format has no word for
// any: what stands beside its format, see overlay.go, may.
func silent(over map[string]any) []Part {
	var out []Part
	for _, p := range []Part{PartSecrets, PartPull, PartCrash, PartGrace} {
		if !slices.ContainsFunc(spoken[p], func(field string) bool { _, says := over[field]; return says }) {
			out = append(out, p)
		}
	}
	return out
}

// ImportFile is one file to import.
type ImportFile struct {
	Name string `json:"name" maxLength:"1000" doc:"Its name, for the report"`
	Text string `json:"text,omitempty" doc:"What it holds"`
	// Bytes are for texts that are no UTF-8.
	Bytes []byte `json:"bytes,omitempty" doc:"Instead of text, in base64: what it holds in UTF-16 or Windows-1252, which is found out"`
}

// ImportBody is what is to be imported: files, or what an address gives. A body
// of any other form is taken as one file itself.
type ImportBody struct {
	Files []ImportFile `json:"files,omitempty" maxItems:"2000"`
	URL   string       `json:"url,omitempty" maxLength:"4000" doc:"http or https, on the public internet"`
	// ApartFrom lets a folder come in several calls.
	ApartFrom []string `json:"apart_from,omitempty" maxItems:"20000" doc:"Images that earlier calls of the same import have written: no file of this one is taken for a newer form of them"`
}

// ImportStatus is what became of a file.
type ImportStatus string

// The statuses.
const (
	Imported ImportStatus = "imported" // a new image
	Updated  ImportStatus = "updated"  // an image that was there
	Skipped  ImportStatus = "skipped"  // it defines no image at all
	Refused  ImportStatus = "refused"  // it does, but can't be used
)

// ImportReport tells what became of each file, in their order.
type ImportReport struct {
	Files []ImportedFile `json:"files"`
}

// ImportedFile is what became of one file.
type ImportedFile struct {
	File    string       `json:"file"`
	Status  ImportStatus `json:"status" enum:"imported,updated,skipped,refused"`
	Format  string       `json:"format" doc:"PTDL_v1, PTDL_v2, PLCN_v1, PLCN_v2, PLCN_v3, classic or compose; empty when it is none"`
	Name    string       `json:"name" doc:"Of the image"`
	ImageID string       `json:"image_id,omitempty"`
	Changes []string     `json:"changes" doc:"What was taken otherwise than it stands in the file: the field and a sentence"`
	Ignored []string     `json:"ignored" doc:"Fields that mean nothing here"`
	Error   string       `json:"error" doc:"Why it was skipped or refused, with line and field; empty when it wasn't"`

	problem *problem.Problem
}

// Icon is an image's picture.
type Icon struct {
	Type string // one of iconTypes
	Data []byte
}

// Export is an image as a file.
type Export struct {
	Name string // for the file
	Type string // media type
	Text []byte
}

// importAnswer is the envelope, for the OpenAPI document.
type importAnswer struct {
	Success bool         `json:"success"`
	Data    ImportReport `json:"data"`
}

// asBody reads what a call gives, or says that it is a file itself.
func asBody(text []byte) (ImportBody, bool) {
	var keys map[string]json.RawMessage
	if json.Unmarshal(text, &keys) != nil {
		return ImportBody{}, false
	}
	if _, named := keys["name"]; named {
		return ImportBody{}, false
	}
	_, files := keys["files"]
	_, url := keys["url"]
	var b ImportBody
	if !files && !url || json.Unmarshal(text, &b) != nil {
		return ImportBody{}, false
	}
	return b, true
}
