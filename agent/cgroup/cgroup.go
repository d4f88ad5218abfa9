package cgroup

import (
	"errors"
	"os"
	"path"
	"strconv"
	"strings"
)

// ErrHidden says that this machine shows nothing of the container's groups.
var ErrHidden = errors.New("the container's control groups can't be seen on this machine")

// Tree is where the control groups are mounted. It is safe for concurrent use.
type Tree struct {
	root string // "" on a machine; tests have a tree of files
	v1   map[string]mount
	v2   *mount
}

// mount is one filesystem of control groups: which part of the hierarchy is where.
type mount struct{ root, at string }

// Groups are a container's.
type Groups struct {
	V2 string            // its folder in the unified hierarchy; "" there is none
	V1 map[string]string // controller → its folder in version 1
}

// Open learns where the groups are mounted; root is "", or a folder that stands
// for the root of the machine.
func Open(root string) *Tree {
	t := &Tree{root: root, v1: map[string]mount{}}
	content, err := os.ReadFile(root + "/proc/self/mountinfo")
	if err != nil {
		return t
	}
	for line := range strings.Lines(string(content)) {
		before, after, _ := strings.Cut(line, " - ")
		fields, kind := strings.Fields(before), strings.Fields(after)
		if len(fields) < 5 || len(kind) < 3 {
			continue
		}
		m := mount{root: fields[3], at: fields[4]}
		switch kind[0] {
		case "cgroup2":
			if t.v2 == nil {
				t.v2 = &m
			}
		case "cgroup":
			for option := range strings.SplitSeq(kind[2], ",") {
				if _, there := t.v1[option]; !there {
					t.v1[option] = m
				}
			}
		}
	}
	return t
}

// Find gives the groups of the container whose first process has that number.
// ErrHidden is the failure.
func (t *Tree) Find(pid int, container string) (Groups, error) {
	if pid <= 0 || len(container) < 12 {
		return Groups{}, ErrHidden
	}
	content, err := os.ReadFile(t.root + "/proc/" + strconv.Itoa(pid) + "/cgroup")
	if err != nil {
		return Groups{}, ErrHidden
	}
	g := Groups{V1: map[string]string{}}
	for line := range strings.Lines(string(content)) {
		parts := strings.SplitN(strings.TrimSuffix(line, "\n"), ":", 3)
		if len(parts) != 3 {
			continue
		}
		group := upTo(parts[2], container)
		if group == "" {
			continue
		}
		if parts[1] == "" && t.v2 != nil {
			g.V2 = t.v2.dir(group)
		}
		for name := range strings.SplitSeq(parts[1], ",") {
			if m, mounted := t.v1[name]; mounted {
				if dir := m.dir(group); dir != "" {
					g.V1[name] = dir
				}
			}
		}
	}
	if g.V2 == "" && len(g.V1) == 0 {
		return Groups{}, ErrHidden
	}
	return g, nil
}

// dir is where a group is found; "" when this mount doesn't show it.
func (m mount) dir(group string) string {
	if m.root == "/" {
		return path.Join(m.at, group)
	}
	if rest, ok := strings.CutPrefix(group, m.root); ok && (rest == "" || rest[0] == '/') {
		return path.Join(m.at, rest)
	}
	return ""
}

// upTo cuts a group's path behind the part that names the container: what runs
// inside may have made groups of its own. "" when no part does, or the path is none
// that begins at the hierarchy's root as we see it.
func upTo(group, id string) string {
	if !strings.HasPrefix(group, "/") {
		return ""
	}
	at := 0
	for part := range strings.SplitSeq(group[1:], "/") {
		at += 1 + len(part)
		switch {
		case part == ".." || part == ".":
			return ""
		case part == id || part == "docker-"+id+".scope" || strings.HasSuffix(part, "-"+id+".scope"):
			return group[:at]
		}
	}
	return ""
}
