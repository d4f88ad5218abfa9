package arch

// module is the path that all our packages begin with.
const module = "github.com/berth-panel/berth"

// topLevel is all that may lie in the root of the tree, beside what .gitignore
// names.
var topLevel = []string{
	"controller", "agent", "shared", "web", "migrations", "deploy", "docs",
	"go.mod", "go.sum", "Makefile", "README.md", "LICENSE", "CHANGELOG.md", "CONTRIBUTING.md",
	".ci", ".github", ".git", ".gitignore", ".gitattributes", ".golangci.yml",
}

// baseRooms of the controller know no feature: they would be the same in
// another program.
var baseRooms = []string{"store", "access", "event", "job", "httpapi", "fleet", "secret", "setting", "mail", "certificate", "roomtest"}

// featureOrder is the order of the controller's features: each may know those
// of its own line and the lines above.
var featureOrder = [][]string{
	{"identity"},
	{"login"},
	{"invite", "oidc"},
	{"node", "allocation"},
	{"push"},
	{"image"},
	{"preset"},
	{"instance"},
	{"subuser"},
	{"registry"},
	{"grant"},
	{"console", "file", "stats", "sftp"},
	{"live", "activity"},
	{"move"},
	{"release"},
	{"classic"},
}

// topRooms of the controller may know everything on their side, and only each
// other knows them: the wiring, the command line above it, and the e2e tests,
// which alone see both sides.
var topRooms = []string{"app", "cli", "e2e"}

// agentRooms are the agent's. Only app wires them; between them Go's own ban of
// cycles is enough.
var agentRooms = []string{
	"app", "server", "journal", "runtime", "instance", "volume", "files", "install", "demo", "enrol",
	"move", "tunnel", "update", "tidy", "console", "stats", "transfer", "egress", "sftp", "archive", "cgroup", "patch", "registry", "supervisor",
}

// pathRooms are the folders of the agent that may name files of the host, and
// for what. Any other reaches a volume only through agent/files and
// agent/volume, which never leave it.
var pathRooms = map[string]string{
	"agent":                 "its configuration",
	"agent/app":             "the agent's own data directory",
	"agent/demo":            "runs inside its container; its image is made of this very program",
	"agent/cgroup":          "the kernel's control groups and devices",
	"agent/console":         "the records of what instances printed",
	"agent/egress":          "the files that name the node's resolvers",
	"agent/enrol":           "the node's certificate and key",
	"agent/files":           "every access inside a volume, beneath its root",
	"agent/install":         "the scripts of installations, in a folder of their own",
	"agent/journal":         "its database file",
	"agent/runtime/docker":  "a temporary copy of an image on its way to the engine",
	"agent/sftp":            "the door's host key",
	"agent/supervisor/init": "what the kernel tells of its own container",
	"agent/supervisor":      "what containers see of it, and who calls from them",
	"agent/stats":           "the kernel's counters, and the history's file",
	"agent/update":          "the agent's own program",
	"agent/volume":          "makes and removes the roots",
}

// sharedExtras are what folders of shared know beside the standard library and
// google/uuid: where the same code on both sides would be worse.
var sharedExtras = map[string][]string{
	"shared/sshdoor": {"golang.org/x/crypto/ssh", "golang.org/x/sys/cpu", "go.uber.org/goleak"},
}

// A door is something of the outside world that few rooms may know.
type door struct {
	imports []string // import paths, with all below them
	name    string
	rooms   []string // folders, with all below them; nil: none
	files   []string // or file names anywhere in the controller, as path.Match has it
	tests   []string // folders whose tests may know it too; "" is every folder
}

var doors = []door{
	{name: "Fiber", imports: []string{"github.com/gofiber", "github.com/valyala/fasthttp"}, rooms: []string{"controller/httpapi"}, tests: []string{""}},
	{name: "huma", imports: []string{"github.com/danielgtaylor/huma"}, rooms: []string{"controller/httpapi"}},
	{name: "SQL", imports: []string{"database/sql"}, rooms: []string{"controller/store"}, files: []string{"store.go", "store_*.go"}, tests: []string{"controller"}},
	{name: "the SQLite driver", imports: []string{"github.com/mattn/go-sqlite3", "github.com/pressly/goose"}, rooms: []string{"controller/store"}},
	{name: "the Docker client", imports: []string{"github.com/docker"}, rooms: []string{"agent/runtime/docker"}, tests: []string{"controller/e2e"}},
	{name: "the journal's database", imports: []string{"go.etcd.io/bbolt"}, rooms: []string{"agent/journal"}},
	// A release is run once before it takes this program's place; filesystems are
	// made and grown by their own programs.
	{name: "other programs (os/exec)", imports: []string{"os/exec"}, rooms: []string{"agent/update", "agent/volume"}, tests: []string{""}},
	{name: "SSH", imports: []string{"golang.org/x/crypto/ssh", "github.com/pkg/sftp"}, rooms: []string{"shared/sshdoor", "agent/sftp", "controller/sftp", "controller/identity"}, tests: []string{"controller", "agent"}},
	{name: "mail", imports: []string{"github.com/wneessen/go-mail"}, rooms: []string{"controller/mail"}},
	{name: "passkeys", imports: []string{"github.com/go-webauthn"}, rooms: []string{"controller/login"}, tests: []string{"controller"}},
	{name: "OpenID Connect", imports: []string{"github.com/coreos/go-oidc", "golang.org/x/oauth2"}, rooms: []string{"controller/oidc"}},
	{name: "YAML", imports: []string{"github.com/goccy/go-yaml"}, rooms: []string{"controller/image", "agent/patch"}, tests: []string{""}},
	{name: "Compose files", imports: []string{"github.com/compose-spec"}, rooms: []string{"controller/image/compose"}},
	{name: "ACME", imports: []string{"github.com/caddyserver/certmagic", "github.com/mholt/acmez"}, rooms: []string{"controller/certificate"}},
	{name: "the firewall", imports: []string{"github.com/google/nftables", "github.com/vishvananda/netlink"}, rooms: []string{"agent/egress"}, tests: []string{"controller", "agent"}},
}

// maxLines is how long a file may be that people write; maxDepth how many
// folders may lie above it.
const (
	maxLines = 600
	maxDepth = 3
)

// noNames are names that say nothing of what a package is for.
var noNames = []string{
	"internal", "cmd", "pkg", "util", "utils", "helper", "helpers", "common", "misc", "base", "lib", "core", "types", "models", "tools",
}

// plurals are the packages that are called by more than one thing on purpose.
var plurals = []string{"files", "stats", "migrations", "faults"}
