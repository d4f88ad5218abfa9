package arch

import (
	"fmt"
	"path"
	"slices"
	"strings"
)

// A breach is a line that breaks a rule.
type breach struct {
	path string
	line int
	text string
}

func (b breach) String() string { return fmt.Sprintf("%s:%d: %s", b.path, b.line, b.text) }

// A rule looks at one file.
type rule func(s source) []breach

// rules are all that look at one file at a time.
var rules = map[string]rule{
	"sides":    sides,
	"shared":   selfContained,
	"rooms":    rooms,
	"features": features,
	"engines":  engines,
	"doors":    throughDoors,
	"paths":    paths,
	"names":    names,
	"sizes":    sizes,
}

// broken makes the breaches of one import.
func broken(s source, r ref, format string, args ...any) breach {
	return breach{s.path, r.line, "imports " + r.what + ": " + fmt.Sprintf(format, args...)}
}

// ours gives the path of a package of ours from the tree's root: "controller/job".
func ours(imported string) (string, bool) {
	return strings.CutPrefix(imported, module+"/")
}

// sides: controller and agent don't know each other; only the e2e tests see both.
func sides(s source) []breach {
	if below(s.dir(), []string{"controller/e2e"}) {
		return nil
	}
	var found []breach
	for _, r := range s.imports {
		target, ok := ours(r.what)
		if !ok {
			continue
		}
		switch {
		case s.side() == "controller" && below(target, []string{"agent"}):
			found = append(found, broken(s, r, "the controller does not know the agent; what both say is in shared"))
		case s.side() == "agent" && below(target, []string{"controller"}):
			found = append(found, broken(s, r, "the agent does not know the controller; what both say is in shared"))
		}
	}
	return found
}

// selfContained: shared knows the standard library, google/uuid, what the plan
// says beside these, and itself;
// migrations and web know the standard library.
func selfContained(s source) []breach {
	allowed := map[string][]string{
		"shared":     {module + "/shared", "github.com/google/uuid"},
		"migrations": {module + "/migrations"},
		"web":        {module + "/web"},
	}[s.side()]
	if allowed == nil {
		return nil
	}
	allowed = append(allowed, sharedExtras[s.dir()]...)
	var found []breach
	for _, r := range s.imports {
		first, _, _ := strings.Cut(r.what, "/")
		if strings.Contains(first, ".") && !below(r.what, allowed) {
			found = append(found, broken(s, r, "%s knows only the standard library and %s", s.side(), strings.Join(allowed, ", ")))
		}
	}
	return found
}

// rank gives a room of the controller its place: 0 for a base room, the line in
// featureOrder for a feature, one more for those that see all; -1 for a room
// that nobody has given a place.
func rank(room string) int {
	if slices.Contains(baseRooms, room) {
		return 0
	}
	for i, line := range featureOrder {
		if slices.Contains(line, room) {
			return i + 1
		}
	}
	if room == "main" || slices.Contains(topRooms, room) {
		return len(featureOrder) + 1
	}
	return -1
}

// rooms: each room has a place in the plan.
func rooms(s source) []breach {
	known := true
	switch s.side() {
	case "controller":
		known = rank(s.room()) >= 0
	case "agent":
		known = s.room() == "main" || slices.Contains(agentRooms, s.room())
	}
	if known {
		return nil
	}
	return []breach{{s.path, 1, fmt.Sprintf("%s/%s has no place in the plan: give it one in shared/arch/plan_test.go", s.side(), s.room())}}
}

// features: a room of the controller knows rooms of its own rank and below.
func features(s source) []breach {
	if s.side() != "controller" || rank(s.room()) < 0 {
		return nil
	}
	var found []breach
	mine := rank(s.room())
	for _, r := range s.imports {
		target, ok := ours(r.what)
		if !ok || !below(target, []string{"controller"}) {
			continue
		}
		room := source{path: target + "/x.go"}.room()
		theirs := rank(room)
		switch {
		case room == s.room() || theirs <= mine: // also what has no place: rooms tells
		case mine == 0:
			found = append(found, broken(s, r, "%s is a base room and knows no feature", s.room()))
		case theirs > len(featureOrder):
			found = append(found, broken(s, r, "%s wires the rooms; no room knows it", room))
		default:
			found = append(found, broken(s, r, "%s comes before %s in the order of features", s.room(), room))
		}
	}
	return found
}

// engines: rooms speak to agent/runtime; which engine it is, app decides.
func engines(s source) []breach {
	if s.test() || s.room() == "app" || s.room() == "main" || s.side() != "agent" {
		return nil
	}
	var found []breach
	for _, r := range s.imports {
		target, _ := ours(r.what)
		for _, engine := range []string{"agent/runtime/docker", "agent/runtime/fake"} {
			if below(target, []string{engine}) && !below(s.dir(), []string{engine}) {
				found = append(found, broken(s, r, "rooms know agent/runtime's interface; only app knows an engine"))
			}
		}
	}
	return found
}

// throughDoors: what is outside is known to the rooms that stand for it.
func throughDoors(s source) []breach {
	var found []breach
	for _, r := range s.imports {
		for _, d := range doors {
			if !below(r.what, d.imports) || below(s.dir(), d.rooms) || (s.test() && below(s.dir(), d.tests)) {
				continue
			}
			if s.side() == "controller" && matches(d.files, path.Base(s.path)) {
				continue
			}
			where := append(slices.Clone(d.rooms), d.files...)
			if len(where) == 0 {
				where = []string{"no room"}
			}
			found = append(found, broken(s, r, "only %s knows %s", strings.Join(where, ", "), d.name))
		}
	}
	return found
}

// onHost are the functions that take a path of the host.
var onHost = []string{
	"os.Open", "os.OpenFile", "os.OpenRoot", "os.Create", "os.CreateTemp", "os.ReadFile", "os.WriteFile", "os.ReadDir", "os.DirFS", "os.CopyFS",
	"os.Mkdir", "os.MkdirAll", "os.MkdirTemp", "os.Remove", "os.RemoveAll", "os.Rename", "os.Link", "os.Symlink", "os.Readlink", "os.Truncate",
	"os.Stat", "os.Lstat", "os.Chmod", "os.Chown", "os.Lchown", "os.Chtimes",
	"path/filepath.Walk", "path/filepath.WalkDir", "path/filepath.Glob", "path/filepath.EvalSymlinks",
}

// paths: in the agent only the folders of pathRooms name files of the host.
func paths(s source) []breach {
	if s.side() != "agent" || s.test() || pathRooms[s.dir()] != "" {
		return nil
	}
	var found []breach
	for _, r := range s.calls {
		if slices.Contains(onHost, r.what) || strings.HasPrefix(r.what, "io/ioutil.") {
			found = append(found, breach{s.path, r.line, fmt.Sprintf("uses %s: volumes are reached through agent/files and agent/volume only", r.what)})
		}
	}
	return found
}
