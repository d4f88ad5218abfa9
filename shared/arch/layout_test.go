package arch

import (
	"fmt"
	"path"
	"slices"
	"strings"
)

// names: a package is called like its folder, by one thing, and by what it is.
func names(s source) []breach {
	var found []breach
	add := func(format string, args ...any) {
		found = append(found, breach{s.path, 1, fmt.Sprintf(format, args...)})
	}
	for part := range strings.SplitSeq(s.dir(), "/") {
		if slices.Contains(noNames, part) {
			add("a folder called %s says nothing of what is in it", part)
		}
	}
	folder := path.Base(s.dir())
	if s.pkg != "main" && s.pkg != folder {
		add("package %s is in a folder called %s", s.pkg, folder)
	}
	if strings.HasSuffix(s.pkg, "s") && !strings.HasSuffix(s.pkg, "ss") && !slices.Contains(plurals, s.pkg) {
		add("package %s: packages are called by one thing (or add it to the plurals of shared/arch)", s.pkg)
	}
	return found
}

// sizes: files that people write stay readable, and folders shallow.
func sizes(s source) []breach {
	var found []breach
	if s.lines > maxLines && !s.generated {
		found = append(found, breach{s.path, maxLines, fmt.Sprintf("has %d lines, %d at most: split it by verb", s.lines, maxLines)})
	}
	if depth := strings.Count(s.path, "/"); depth > maxDepth && !s.test() {
		found = append(found, breach{s.path, 1, fmt.Sprintf("lies %d folders deep, %d at most", depth, maxDepth)})
	}
	return found
}

// undocumented finds the packages in which no file says what they are.
func undocumented(all []source) []breach {
	first := map[string]source{}
	documented := map[string]bool{}
	for _, s := range all {
		if strings.HasSuffix(s.path, "_test.go") {
			continue
		}
		if _, ok := first[s.dir()]; !ok {
			first[s.dir()] = s
		}
		documented[s.dir()] = documented[s.dir()] || s.doc
	}
	var found []breach
	for dir, s := range first {
		if !documented[dir] {
			found = append(found, breach{s.path, 1, "no file of this package says what it is (doc.go)"})
		}
	}
	return found
}

// strangers finds what lies in the root and is neither ours nor ignored.
func strangers(entries, ignored []string) []breach {
	var found []breach
	for _, name := range entries {
		if !slices.Contains(topLevel, name) && !matches(ignored, name) {
			found = append(found, breach{name, 1, "the top level is fixed: this is neither in the plan (shared/arch) nor in .gitignore"})
		}
	}
	return found
}
