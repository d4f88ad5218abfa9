package arch

import (
	"bytes"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// A source is what the rules know of a Go file.
type source struct {
	path      string // from the tree's root, with slashes
	pkg       string
	lines     int
	generated bool
	doc       bool // it has the package's comment
	imports   []ref
	calls     []ref // "os.Open": names of other packages that it uses
}

// A ref is something that a file refers to, and where.
type ref struct {
	what string
	line int
}

func (s source) dir() string { return path.Dir(s.path) }

// side is the folder of the root that the file is in.
func (s source) side() string {
	side, _, _ := strings.Cut(s.path, "/")
	return side
}

// test says whether only tests use the file: by its own name, or as part of a
// package (or of a program of one) that is called …test.
func (s source) test() bool {
	return strings.HasSuffix(s.path, "_test.go") || strings.Contains(s.dir()+"/", "test/")
}

// room is the folder below the side: "instance" of agent/instance/owner.go;
// "main" for the files of the side itself.
func (s source) room() string {
	parts := strings.Split(s.dir(), "/")
	if len(parts) < 2 {
		return "main"
	}
	return parts[1]
}

// parse reads one file.
func parse(name string, text []byte) (source, error) {
	set := token.NewFileSet()
	file, err := parser.ParseFile(set, name, text, parser.ParseComments|parser.SkipObjectResolution)
	if err != nil {
		return source{}, err
	}
	s := source{
		path: name, pkg: strings.TrimSuffix(file.Name.Name, "_test"), generated: ast.IsGenerated(file), doc: file.Doc != nil,
		lines: bytes.Count(text, []byte("\n")),
	}
	names := map[string]string{}
	for _, imp := range file.Imports {
		target, err := strconv.Unquote(imp.Path.Value)
		if err != nil {
			return source{}, err
		}
		s.imports = append(s.imports, ref{target, set.Position(imp.Pos()).Line})
		name := path.Base(target)
		if imp.Name != nil {
			name = imp.Name.Name
		}
		names[name] = target
	}
	ast.Inspect(file, func(n ast.Node) bool {
		sel, ok := n.(*ast.SelectorExpr)
		if !ok {
			return true
		}
		if x, ok := sel.X.(*ast.Ident); ok && names[x.Name] != "" {
			s.calls = append(s.calls, ref{names[x.Name] + "." + sel.Sel.Name, set.Position(sel.Pos()).Line})
		}
		return true
	})
	return s, nil
}

// scan reads every Go file below root, but not what git ignores in the root,
// other people's packages, and test data.
func scan(t *testing.T, root string) []source {
	t.Helper()
	ignored := ignoredNames(t, root)
	var found []source
	err := filepath.WalkDir(root, func(file string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name := entry.Name()
		rel, err := filepath.Rel(root, file)
		if err != nil {
			return err
		}
		rel = filepath.ToSlash(rel)
		if entry.IsDir() {
			if rel == "." {
				return nil
			}
			hidden := strings.HasPrefix(name, ".") || strings.HasPrefix(name, "_")
			if hidden || name == "node_modules" || name == "testdata" || (!strings.Contains(rel, "/") && matches(ignored, name)) {
				return filepath.SkipDir
			}
			return nil
		}
		if path.Ext(name) != ".go" {
			return nil
		}
		text, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		s, err := parse(rel, text)
		if err != nil {
			return err
		}
		found = append(found, s)
		return nil
	})
	if err != nil {
		t.Fatalf("read the tree: %v", err)
	}
	return found
}

// ignoredNames gives the patterns of .gitignore that are about the root itself.
func ignoredNames(t *testing.T, root string) []string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root, ".gitignore"))
	if err != nil {
		t.Fatalf("read .gitignore: %v", err)
	}
	var patterns []string
	for line := range strings.Lines(string(text)) {
		line = strings.Trim(strings.TrimSpace(line), "/")
		if line != "" && !strings.HasPrefix(line, "#") && !strings.Contains(line, "/") {
			patterns = append(patterns, line)
		}
	}
	return patterns
}

// matches says whether one of the patterns fits the name.
func matches(patterns []string, name string) bool {
	for _, p := range patterns {
		if ok, err := path.Match(p, name); ok && err == nil {
			return true
		}
	}
	return false
}

// below says whether the path is one of the folders or lies in one; "" is every folder.
func below(name string, folders []string) bool {
	for _, f := range folders {
		if f == "" || name == f || strings.HasPrefix(name, f+"/") {
			return true
		}
	}
	return false
}
