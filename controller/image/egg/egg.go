package egg

// Egg is what a file says, in today's words whatever its version.
type Egg struct {
	Version     Version
	UUID        string
	UpdateURL   string
	Name        string
	Author      string
	Description string
	Icon        string // a data: address
	Tags        []string
	Features    []string
	Images      []Image   // the first is the default
	Commands    []Command // the first is the default
	Files       []File    // patched before each start
	Done        []string  // lines of the console that say that it is up
	Stop        string    // as it stands there: "^C", "^^C", "stop"
	Script      *Script
	Variables   []Variable // in the order of the form

	// Kept is what else the file says and has no meaning here, in the file's own
	// structure; below "variables" and "config.files" by name. Write gives it back.
	Kept map[string]any
	// Ignored are the paths of what is in Kept, sorted.
	Ignored []string
	// Changes are what was read otherwise than it stands there, "field: a sentence".
	Changes []string
}

// Version is the form of a file.
type Version string

// The versions.
const (
	PTDL1 Version = "PTDL_v1"
	PTDL2 Version = "PTDL_v2"
	PLCN1 Version = "PLCN_v1"
	PLCN2 Version = "PLCN_v2"
	PLCN3 Version = "PLCN_v3"
)

var versions = []Version{PTDL1, PTDL2, PLCN1, PLCN2, PLCN3}

// Image is a container image to choose.
type Image struct {
	Label     string // what people choose it by; the reference where there is none
	Reference string
}

// Command is a start command to choose.
type Command struct{ Name, Line string }

// DefaultCommand is what the one command of older versions is called.
const DefaultCommand = "Default"

// File is a file of the volume that is patched before each start.
type File struct {
	Path   string
	Parser string
	Find   []Find
}

// Find is one value of it.
type Find struct {
	Match string
	Value any    // string, float64, bool or nil
	If    string // the old value that is replaced; "" any
}

// Script installs.
type Script struct {
	Text       string // with LF
	Container  string
	Entrypoint string
}

// Variable is one value that an instance takes.
type Variable struct {
	Name        string // for people
	Description string
	Env         string
	Default     string
	Viewable    bool
	Editable    bool
	Rules       []string
	Type        string // "" is text
}

// Reserved are names that a variable must not have: the panel sets them.
var reserved = map[string]bool{
	"P_SERVER_UUID": true, "P_SERVER_LOCATION": true, "P_SERVER_ALLOCATION_LIMIT": true, "SERVER_MEMORY": true, "SERVER_IP": true, "SERVER_PORT": true,
	"ENV": true, "HOME": true, "USER": true, "STARTUP": true, "MODIFIED_STARTUP": true, "SERVER_UUID": true, "UUID": true,
	"INTERNAL_IP": true, "HOSTNAME": true, "TERM": true, "LANG": true, "PWD": true, "TZ": true, "TIMEZONE": true,
}
