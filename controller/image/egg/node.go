package egg

import (
	"fmt"
	"strconv"
	"strings"
)

// kind is what a node is.
type kind int

const (
	null kind = iota
	text
	number
	boolean
	list
	object
)

var kindNames = map[kind]string{null: "nothing", text: "text", number: "a number", boolean: "true or false", list: "a list", object: "an object"}

// node is a value of a file, with where it stands.
type node struct {
	kind   kind
	text   string  // of a scalar, as it stands in the file
	items  []*node // of a list
	fields []field // of an object, in order
	line   int     // from 1
	plain  bool    // a scalar of YAML without quotes
	more   int     // of a file: documents of YAML behind it
}

type field struct {
	name  string
	value *node
	line  int
}

// get gives a field; nil when it isn't there.
func (n *node) get(name string) *node {
	if n == nil || n.kind != object {
		return nil
	}
	for i := len(n.fields) - 1; i >= 0; i-- { // of two that are called the same the last one counts
		if n.fields[i].name == name {
			return n.fields[i].value
		}
	}
	return nil
}

// none says whether there is nothing, in any of its forms.
func (n *node) none() bool {
	if n == nil || n.kind == null {
		return true
	}
	switch n.kind {
	case list:
		return len(n.items) == 0
	case object:
		return len(n.fields) == 0
	default:
		return n.text == ""
	}
}

func (n *node) scalar() bool { return n.kind != list && n.kind != object }

// value is the node as encoding/json would have it.
func (n *node) value() any {
	if n == nil {
		return nil
	}
	switch n.kind {
	case text:
		return n.text
	case boolean:
		return strings.EqualFold(n.text, "true")
	case number:
		if f, err := strconv.ParseFloat(n.text, 64); err == nil && f == f && f-f == 0 {
			return f
		}
		return n.text // not of JSON: .inf, 0x1f
	case list:
		out := make([]any, len(n.items))
		for i, item := range n.items {
			out[i] = item.value()
		}
		return out
	case object:
		out := make(map[string]any, len(n.fields))
		for _, f := range n.fields {
			out[f.name] = f.value.value()
		}
		return out
	default:
		return nil
	}
}

// Error is what is wrong with a file.
type Error struct {
	Line   int    // from 1; 0 is nowhere in particular
	Field  string // "variables[2].rules"; "" is the file
	Reason string
}

// Error is a sentence with line and field.
func (e *Error) Error() string {
	var b strings.Builder
	if e.Line > 0 {
		fmt.Fprintf(&b, "line %d: ", e.Line)
	}
	if e.Field != "" {
		b.WriteString(e.Field + ": ")
	}
	return b.String() + e.Reason
}
