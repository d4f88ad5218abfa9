package arch

import (
	"fmt"
	"strings"
	"testing"
)

// A planted file breaks one rule in a way that the rule must see, or is the
// nearest thing to it that is fine (want "").
type planted struct {
	rule string
	path string
	body string // after the package clause
	want string // part of the breach
}

var plantedFiles = []planted{
	{"sides", "controller/fleet/call.go", imports(module + "/agent/server"), "call.go:3: imports " + module + "/agent/server: the controller does not know the agent"},
	{"sides", "agent/app/app.go", imports(module + "/controller/store"), "the agent does not know the controller"},
	{"sides", "controller/fleet/call_test.go", imports(module + "/agent/server"), "the controller does not know the agent"},
	{"sides", "controller/e2e/deploy_test.go", imports(module + "/agent/app"), ""},
	{"sides", "agent/app/app.go", imports(module + "/shared/wire"), ""},

	{"shared", "shared/wire/spec.go", imports("golang.org/x/sync/errgroup"), "shared knows only the standard library"},
	{"shared", "shared/wire/spec.go", imports(module + "/agent/runtime"), "shared knows only the standard library"},
	{"shared", "migrations/embed.go", imports("github.com/google/uuid"), "migrations knows only the standard library"},
	{"shared", "web/embed.go", imports(module + "/controller/app"), "web knows only the standard library"},
	{"shared", "shared/ident/ident.go", imports("crypto/rand", "github.com/google/uuid", module+"/shared/problem"), ""},

	{"rooms", "controller/billing/doc.go", "", "controller/billing has no place in the plan"},
	{"rooms", "agent/telemetry/doc.go", "", "agent/telemetry has no place in the plan"},
	{"rooms", "controller/main.go", "", ""},
	{"rooms", "controller/fleet/fleettest/agent.go", "", ""},

	{"features", "controller/job/service.go", imports(module + "/controller/instance"), "job is a base room and knows no feature"},
	{"features", "controller/store/store.go", imports(module + "/controller/app"), "store is a base room and knows no feature"},
	{"features", "controller/image/service.go", imports(module + "/controller/instance"), "image comes before instance in the order of features"},
	{"features", "controller/identity/service.go", imports(module + "/controller/node"), "identity comes before node"},
	{"features", "controller/classic/api.go", imports(module + "/controller/app"), "app wires the rooms; no room knows it"},
	{"features", "controller/instance/create.go", imports(module+"/controller/node", module+"/controller/image", module+"/controller/job"), ""},
	{"features", "controller/node/service.go", imports(module + "/controller/allocation"), ""},
	{"features", "controller/fleet/fleet_test.go", imports(module + "/controller/fleet/fleettest"), ""},
	{"features", "controller/main.go", imports(module + "/controller/app"), ""},

	{"engines", "agent/instance/manager.go", imports(module + "/agent/runtime/docker"), "only app knows an engine"},
	{"engines", "agent/server/server.go", imports(module + "/agent/runtime/fake"), "only app knows an engine"},
	{"engines", "agent/instance/manager_test.go", imports(module + "/agent/runtime/fake"), ""},
	{"engines", "agent/app/app.go", imports(module + "/agent/runtime/docker"), ""},
	{"engines", "agent/instance/manager.go", imports(module + "/agent/runtime"), ""},

	{"doors", "controller/instance/api.go", imports("github.com/gofiber/fiber/v2"), "only controller/httpapi knows Fiber"},
	{"doors", "controller/app/app.go", imports("github.com/valyala/fasthttp"), "only controller/httpapi knows Fiber"},
	{"doors", "controller/node/api.go", imports("github.com/danielgtaylor/huma/v2"), "only controller/httpapi knows huma"},
	{"doors", "controller/instance/create.go", imports("database/sql"), "only controller/store, store.go, store_*.go knows SQL"},
	{"doors", "agent/journal/store.go", imports("database/sql"), "knows SQL"},
	{"doors", "controller/image/store.go", imports("github.com/mattn/go-sqlite3"), "only controller/store knows the SQLite driver"},
	{"doors", "agent/instance/owner.go", imports("github.com/docker/docker/client"), "only agent/runtime/docker knows the Docker client"},
	{"doors", "agent/instance/owner_test.go", imports("github.com/docker/docker/client"), "only agent/runtime/docker knows the Docker client"},
	{"doors", "agent/files/copy.go", imports("os/exec"), "only agent/update, agent/volume knows other programs"},
	{"doors", "agent/server/server.go", imports("go.etcd.io/bbolt"), "only agent/journal knows"},
	{"doors", "controller/image/store.go", imports("database/sql"), ""},
	{"doors", "controller/image/store_list.go", imports("database/sql"), ""},
	{"doors", "controller/httpapi/adapter.go", imports("github.com/gofiber/fiber/v2", "github.com/danielgtaylor/huma/v2/adapters/humafiber"), ""},
	{"doors", "agent/runtime/docker/start.go", imports("github.com/docker/docker/client", "github.com/docker/go-connections/nat"), ""},
	{"doors", "controller/e2e/engine_test.go", imports("github.com/docker/docker/client", "os/exec"), ""},
	{"doors", "agent/instance/owner.go", imports("github.com/dockerish/client"), ""},

	{"paths", "agent/server/files.go", imports("os") + "func f() { _, _ = os.Open(\"x\") }\n", "files.go:4: uses os.Open: volumes are reached through"},
	{"paths", "agent/archive/zip.go", imports("os") + "var remove = os.RemoveAll\n", "uses os.RemoveAll"},
	{"paths", "agent/archive/zip.go", "import fs \"path/filepath\"\n\nvar walk = fs.WalkDir\n", "uses path/filepath.WalkDir"},
	{"paths", "agent/volume/volume.go", imports("os") + "var remove = os.RemoveAll\n", ""},
	{"paths", "agent/archive/zip.go", imports("os") + "func f(r *os.Root) { _, _ = r.Open(\"x\") }\n", ""},
	{"paths", "agent/install/install_test.go", imports("os") + "var remove = os.RemoveAll\n", ""},
	{"paths", "agent/runtime/runtimetest/probe/probe.go", imports("os") + "var read = os.ReadFile\n", ""},
	{"paths", "controller/secret/file.go", imports("os") + "var read = os.ReadFile\n", ""},

	{"names", "shared/util/x.go", "", "a folder called util says nothing"},
	{"names", "internal/job/job.go", "", "a folder called internal says nothing"},
	{"names", "shared/things/x.go", "", "package things: packages are called by one thing"},
	{"names", "agent/files/x.go", "", ""},
	{"names", "controller/access/x.go", "", ""},

	{"sizes", "controller/job/long.go", strings.Repeat("// more\n", maxLines), fmt.Sprintf("lines, %d at most", maxLines)},
	{"sizes", "controller/job/long_test.go", strings.Repeat("// more\n", maxLines), fmt.Sprintf("lines, %d at most", maxLines)},
	{"sizes", "agent/runtime/docker/net/bridge.go", "", "lies 4 folders deep"},
	{"sizes", "controller/job/short.go", strings.Repeat("// more\n", maxLines-10), ""},
	{"sizes", "agent/runtime/docker/start.go", "", ""},
	{"sizes", "agent/runtime/runtimetest/probe/probe.go", "", ""},
}

// imports writes an import declaration from line 3 on.
func imports(targets ...string) string {
	var b strings.Builder
	for _, target := range targets {
		fmt.Fprintf(&b, "import _ %q\n", target)
	}
	text := b.String()
	if len(targets) == 1 && targets[0] == "os" { // used below
		text = "import \"os\"\n"
	}
	return text
}

// plant makes the source of a file with that path and body.
func plant(t *testing.T, name, body string) source {
	t.Helper()
	parts := strings.Split(name, "/")
	pkg := parts[len(parts)-2]
	if len(parts) == 2 && parts[1] == "main.go" {
		pkg = "main"
	}
	s, err := parse(name, []byte("package "+pkg+"\n\n"+body))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestRulesFindWhatIsPlanted(t *testing.T) {
	t.Parallel()
	tried := map[string]int{}
	for _, p := range plantedFiles {
		if p.want != "" {
			tried[p.rule]++
		}
		t.Run(p.rule+" "+p.path, func(t *testing.T) {
			t.Parallel()
			found := rules[p.rule](plant(t, p.path, p.body))
			switch {
			case p.want == "" && len(found) > 0:
				t.Errorf("found a breach where there is none: %s", found[0])
			case p.want != "" && len(found) == 0:
				t.Errorf("found nothing, want %q", p.want)
			case p.want != "" && !strings.Contains(found[0].String(), p.want):
				t.Errorf("found %q, want %q in it", found[0], p.want)
			}
		})
	}
	for name := range rules {
		if tried[name] == 0 {
			t.Errorf("no violation of the rule %q is planted", name)
		}
	}
}

func TestRulesFindAWrongPackageName(t *testing.T) {
	t.Parallel()
	s, err := parse("controller/job/job.go", []byte("package work\n"))
	if err != nil {
		t.Fatal(err)
	}
	if found := names(s); len(found) != 1 || !strings.Contains(found[0].text, "package work is in a folder called job") {
		t.Errorf("found %v", found)
	}
}

func TestGeneratedFilesMayBeLong(t *testing.T) {
	t.Parallel()
	s, err := parse("shared/wire/gen.go", []byte("// Code generated by a program. DO NOT EDIT.\n\npackage wire\n"+strings.Repeat("// more\n", maxLines)))
	if err != nil {
		t.Fatal(err)
	}
	if found := sizes(s); len(found) != 0 {
		t.Errorf("found %v", found)
	}
}

func TestUndocumentedPackagesAreFound(t *testing.T) {
	t.Parallel()
	bare := plant(t, "controller/job/job.go", "")
	said, err := parse("controller/job/doc.go", []byte("// Package job is work.\npackage job\n"))
	if err != nil {
		t.Fatal(err)
	}
	if found := undocumented([]source{bare}); len(found) != 1 {
		t.Errorf("a package without a comment: found %v", found)
	}
	if found := undocumented([]source{bare, said}); len(found) != 0 {
		t.Errorf("a package with one: found %v", found)
	}
}

func TestStrangersAreFound(t *testing.T) {
	t.Parallel()
	found := strangers([]string{"controller", "README.md", "bin", "data2", "scripts"}, []string{"bin", "data*"})
	if len(found) != 1 || found[0].path != "scripts" {
		t.Errorf("found %v, want scripts alone", found)
	}
}
