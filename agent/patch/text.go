package patch

import (
	"bytes"
	"errors"
	"fmt"

	"github.com/berth-panel/berth/shared/wire"
)

// parser makes a file's text what the sets say. It gives the very same slice
// when nothing changes.
type parser func(src []byte, sets []set, n *notes) ([]byte, error)

var parsers = map[wire.PatchParser]parser{
	wire.PatchFile: lines, wire.PatchProperties: properties, wire.PatchINI: ini, wire.PatchJSON: jsonSets,
	wire.PatchYAML: yamlSets, wire.PatchXML: each(xmlSet), wire.PatchTOML: each(tomlSet),
}

// maxSteps is how long a path may be.
const maxSteps = 100

// each carries out one set after the other.
func each(one func(src []byte, s *set, n *notes) ([]byte, error)) parser {
	return func(src []byte, sets []set, n *notes) ([]byte, error) {
		for i := range sets {
			if err := n.over(); err != nil {
				return nil, err
			}
			var err error
			if src, err = one(src, &sets[i], n); err != nil {
				return nil, err
			}
		}
		return src, nil
	}
}

// Error is why a text couldn't be patched: the file isn't what the parser reads.
type Error struct {
	Line int // from 1
	Why  string
}

func (e *Error) Error() string { return fmt.Sprintf("line %d: %s", e.Line, e.Why) }

var bom = []byte("\xef\xbb\xbf")

// Text gives the text that a file has after the sets, which is src itself when
// nothing changes; src is never changed. An empty src is a file that isn't there:
// so is the answer where the parser can't begin one. told are the sets that found
// no place in this file. Failures are *Error.
func Text(p wire.PatchParser, src []byte, sets []wire.PatchSet) (out []byte, told []string, err error) {
	return within(p, src, sets, nil)
}

// within is Text until over says that nobody waits any more.
func within(p wire.PatchParser, src []byte, sets []wire.PatchSet, over func() error) (out []byte, told []string, err error) {
	parse, ok := parsers[p]
	if !ok {
		return nil, nil, fmt.Errorf("there is no parser %q", p)
	}
	body, marked := bytes.CutPrefix(src, bom)
	if bytes.HasPrefix(src, []byte("\xff\xfe")) || bytes.HasPrefix(src, []byte("\xfe\xff")) {
		return nil, nil, &Error{1, "it is written in UTF-16; save it as UTF-8"}
	}
	n := notes{err: over}
	out, err = parse(body, usable(p, sets, &n), &n)
	var f *fault
	if errors.As(err, &f) {
		return nil, nil, &Error{lineOf(body, f.at), f.why}
	}
	if err != nil {
		return nil, nil, err
	}
	if bytes.Equal(out, body) {
		return src, n.list, nil
	}
	if marked {
		out = append(append(make([]byte, 0, len(bom)+len(out)), bom...), out...)
	}
	return out, n.list, nil
}
