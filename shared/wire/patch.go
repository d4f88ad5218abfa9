package wire

import "encoding/json"

// Patch changes one file of the volume before each start: settings that the
// instance's limits, ports and variables decide. Values are put in by the
// controller; an agent expands nothing. A file that isn't there yet is made where
// its parser can begin with nothing (PatchFile can't).
//
// The source of the parsers' rules is the eggs' config.files; see agent/patch.
type Patch struct {
	Path   string      `json:"path"` // relative to the volume's root, slashes
	Parser PatchParser `json:"parser"`
	Set    []PatchSet  `json:"set"` // in order
}

// PatchParser is how a file is read and written.
type PatchParser string

// The parsers.
const (
	PatchFile       PatchParser = "file"       // lines: one that begins with Match is replaced as a whole
	PatchProperties PatchParser = "properties" // Java's
	PatchINI        PatchParser = "ini"
	PatchJSON       PatchParser = "json"
	PatchYAML       PatchParser = "yaml"
	PatchXML        PatchParser = "xml"
	PatchTOML       PatchParser = "toml"
)

// PatchMost is how large a file may be that is patched, in bytes.
const PatchMost = 64 << 20

// PatchSet sets one value, or all that a wildcard names.
type PatchSet struct {
	// Match is the beginning of a line (PatchFile), or a path of keys with dots
	// between them, "*" for every one of its level, "[0]" or a number for an element;
	// a "\" before one of .[]*'"~\ has it be a letter like any other.
	Match string `json:"match"`
	// Value is JSON: text, a number, true or false, or null. In the text that replaces
	// what an expression matches, $1 or ${1} is its first group and $$ a $.
	Value json.RawMessage `json:"value"`
	// If says which old value is replaced: exactly that text, or "regex:" and an
	// expression of RE2 whose matches are replaced; "" is whatever there is.
	If string `json:"if,omitempty"`
}

// Script installs a volume before the first start: a program in a container of
// its own, in the same sandbox as instances and as its root, with the volume at
// /mnt/server and itself at /mnt/install/install.sh. It has the instance's memory
// and processor, but no less than 1 GiB and one core, and reaches what the instance
// may reach. Its exit code decides.
type Script struct {
	Image      string   `json:"image"`      // reference
	Entrypoint string   `json:"entrypoint"` // "bash", "ash", "/bin/sh"; run as [entrypoint, script]
	Text       string   `json:"text"`       // with LF at the ends of lines
	Env        []string `json:"env"`        // "NAME=value", complete and in order
	// WithinSeconds is how long it may take: 0 is two hours.
	WithinSeconds int `json:"within_seconds,omitempty"`
}
