package egg

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/lexer"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"
)

const (
	maxDepth = 64
	maxNodes = 200_000 // also what aliases of YAML make of a small file
)

var (
	errDeep = errors.New("nested deeper than 64 levels")
	errMany = errors.New("it holds more than 200,000 values")
)

// room says whether one more value has a place.
func room(depth, nodes int) error {
	switch {
	case depth > maxDepth:
		return errDeep
	case nodes > maxNodes:
		return errMany
	}
	return nil
}

// parse reads a text as JSON, or else as YAML.
func parse(file []byte) (*node, *Error) {
	file = bytes.TrimPrefix(file, []byte("\xef\xbb\xbf"))
	trimmed := bytes.TrimSpace(file)
	if len(trimmed) == 0 {
		return nil, &Error{Reason: "the file is empty"}
	}
	if trimmed[0] == '{' || trimmed[0] == '[' {
		return parseJSON(file)
	}
	n, err := parseYAML(file)
	if err == nil {
		err = n.noNUL("")
	}
	return n, err
}

// noNUL refuses what no program, file or environment can be given.
func (n *node) noNUL(at string) *Error {
	if strings.ContainsRune(n.text, 0) {
		return &Error{Line: n.line, Field: at, Reason: "it holds a NUL character"}
	}
	for i, item := range n.items {
		if err := item.noNUL(fmt.Sprintf("%s[%d]", at, i)); err != nil {
			return err
		}
	}
	for _, f := range n.fields {
		if strings.ContainsRune(f.name, 0) {
			return &Error{Line: f.line, Field: at, Reason: "a name in it holds a NUL character"}
		}
		if err := f.value.noNUL(strings.TrimPrefix(at+"."+f.name, ".")); err != nil {
			return err
		}
	}
	return nil
}

func parseJSON(file []byte) (*node, *Error) {
	p := &jsonParser{text: file, d: json.NewDecoder(bytes.NewReader(file))}
	p.d.UseNumber()
	n, err := p.value(0)
	if err == nil {
		if rest := bytes.TrimSpace(file[p.d.InputOffset():]); len(rest) > 0 {
			err = fmt.Errorf("there is more after its end: %.20q", rest)
		}
	}
	if err != nil {
		at := p.d.InputOffset()
		var syntax *json.SyntaxError
		if errors.As(err, &syntax) {
			at = max(at, syntax.Offset)
		}
		return nil, &Error{Line: p.lineAt(at), Reason: "not JSON: " + strings.TrimPrefix(err.Error(), "json: ")}
	}
	return n, n.noNUL("")
}

type jsonParser struct {
	text  []byte
	d     *json.Decoder
	nodes int

	seen int64 // lines are counted up to here
	line int
}

// lineAt counts on from where it was asked last.
func (p *jsonParser) lineAt(offset int64) int {
	offset = min(offset, int64(len(p.text)))
	if p.line == 0 || offset < p.seen {
		p.line, p.seen = 1, 0
	}
	p.line += bytes.Count(p.text[p.seen:offset], []byte("\n"))
	p.seen = offset
	return p.line
}

func (p *jsonParser) value(depth int) (*node, error) {
	next, err := p.d.Token()
	if err != nil {
		return nil, p.explain(err)
	}
	p.nodes++
	if err := room(depth, p.nodes); err != nil {
		return nil, err
	}
	n := &node{line: p.lineAt(p.d.InputOffset())}
	switch token := next.(type) {
	case string:
		n.kind, n.text = text, token
	case json.Number:
		n.kind, n.text = number, token.String()
	case bool:
		n.kind, n.text = boolean, fmt.Sprint(token)
	case json.Delim:
		return n, p.inside(n, token, depth)
	}
	return n, nil
}

// inside reads what stands between brackets, and the closing one.
func (p *jsonParser) inside(n *node, open json.Delim, depth int) error {
	n.kind = list
	if open == '{' {
		n.kind = object
	}
	for p.d.More() {
		name := ""
		if n.kind == object {
			token, err := p.d.Token()
			if err != nil {
				return p.explain(err)
			}
			name = fmt.Sprint(token)
		}
		line := p.lineAt(p.d.InputOffset())
		item, err := p.value(depth + 1)
		if err != nil {
			return err
		}
		if n.kind == object {
			n.fields = append(n.fields, field{name: name, value: item, line: line})
		} else {
			n.items = append(n.items, item)
		}
	}
	_, err := p.d.Token()
	return p.explain(err)
}

func (p *jsonParser) explain(err error) error {
	if err != nil && strings.HasSuffix(err.Error(), "EOF") {
		return errors.New("it ends in the middle")
	}
	return err
}

// parseYAML reads the first document, and counts those behind it.
func parseYAML(file []byte) (n *node, problem *Error) {
	defer func() { // of a parser that is not ours
		if e := recover(); e != nil {
			n, problem = nil, &Error{Reason: "not YAML"}
		}
	}()
	file = bytes.ReplaceAll(file, []byte("\r\n"), []byte("\n"))
	if !bytes.HasSuffix(file, []byte("\n")) {
		file = append(bytes.Clone(file), '\n')
	}
	tokens := lexer.Tokenize(string(file))
	if line := tooDeep(tokens); line > 0 {
		return nil, &Error{Line: line, Reason: "not YAML that can be read: " + errDeep.Error()}
	}
	parsed, err := parser.Parse(tokens, 0)
	if err != nil {
		return nil, yamlError(err)
	}
	p := &yamlParser{anchors: map[string]ast.Node{}}
	for _, doc := range parsed.Docs {
		if _, directive := doc.Body.(*ast.DirectiveNode); doc.Body == nil || directive {
			continue
		}
		if n != nil {
			n.more++
			continue
		}
		if n, err = p.value(doc.Body, 0); err != nil {
			return nil, &Error{Line: lineOf(doc.Body), Reason: "not YAML that can be read: " + err.Error()}
		}
	}
	if n == nil {
		return nil, &Error{Reason: "the file is empty"}
	}
	return n, nil
}

// tooDeep gives the line where brackets are nested too deep: the parser's time
// grows with the square of it.
func tooDeep(tokens token.Tokens) int {
	depth := 0
	for _, t := range tokens {
		switch t.Type {
		case token.SequenceStartType, token.MappingStartType:
			if depth++; depth > maxDepth {
				return t.Position.Line
			}
		case token.SequenceEndType, token.MappingEndType:
			depth--
		default:
		}
	}
	return 0
}

func yamlError(err error) *Error {
	e := &Error{Reason: "not YAML"}
	var syntax yaml.Error
	if errors.As(err, &syntax) {
		if t := syntax.GetToken(); t != nil && t.Position != nil {
			e.Line = t.Position.Line
		}
		e.Reason += ": " + syntax.GetMessage()
	}
	return e
}

func lineOf(n ast.Node) int {
	if t := n.GetToken(); t != nil && t.Position != nil {
		return t.Position.Line
	}
	return 0
}

type yamlParser struct {
	anchors map[string]ast.Node
	nodes   int
}

func (p *yamlParser) value(n ast.Node, depth int) (*node, error) {
	p.nodes++
	if err := room(depth, p.nodes); err != nil {
		return nil, err
	}
	out := &node{line: lineOf(n), plain: true}
	switch n := n.(type) {
	case *ast.StringNode:
		out.kind, out.text = text, n.Value
		out.plain = n.Token == nil || (n.Token.Type.String() != "DoubleQuote" && n.Token.Type.String() != "SingleQuote")
	case *ast.LiteralNode:
		out.kind, out.text, out.plain = text, n.Value.Value, false
	case *ast.IntegerNode, *ast.FloatNode, *ast.InfinityNode, *ast.NanNode:
		out.kind, out.text = number, n.GetToken().Value
	case *ast.BoolNode:
		out.kind, out.text = boolean, n.GetToken().Value
	case *ast.NullNode:
		out.kind, out.text = null, n.GetToken().Value
		if n.GetToken().Type == token.ImplicitNullType { // nothing stands there
			out.text = ""
		}
	case *ast.TagNode:
		return p.tagged(n, depth)
	case *ast.AnchorNode:
		p.anchors[n.Name.GetToken().Value] = n.Value
		return p.value(n.Value, depth)
	case *ast.MappingKeyNode: // "? key"
		return p.value(n.Value, depth+1)
	case *ast.AliasNode:
		target, there := p.anchors[n.Value.GetToken().Value]
		if !there {
			return nil, fmt.Errorf("there is no anchor %.40q", n.Value.GetToken().Value)
		}
		return p.value(target, depth+1)
	case *ast.SequenceNode:
		out.kind = list
		for _, item := range n.Values {
			one, err := p.value(item, depth+1)
			if err != nil {
				return nil, err
			}
			out.items = append(out.items, one)
		}
	case *ast.MappingNode:
		out.kind = object
		return out, p.mapping(out, n.Values, depth)
	case *ast.MappingValueNode:
		out.kind = object
		return out, p.mapping(out, []*ast.MappingValueNode{n}, depth)
	case nil:
	default:
		return nil, fmt.Errorf("%s has no meaning in an egg", n.Type())
	}
	return out, nil
}

// tagged keeps what a tag says to be text as it stands there.
func (p *yamlParser) tagged(n *ast.TagNode, depth int) (*node, error) {
	out, err := p.value(n.Value, depth+1)
	if err == nil && n.Start != nil && n.Start.Value == "!!str" && out.scalar() {
		out.kind, out.plain = text, false
	}
	return out, err
}

func (p *yamlParser) mapping(out *node, values []*ast.MappingValueNode, depth int) error {
	merged := false
	for _, v := range values {
		item, err := p.value(v.Value, depth+1)
		if err != nil {
			return err
		}
		if _, merge := v.Key.(*ast.MergeKeyNode); merge {
			merged = true
			for _, from := range append([]*node{item}, item.items...) { // of a list the first one counts
				out.fields = append(append([]field{}, from.fields...), out.fields...)
			}
			continue
		}
		key, err := p.value(v.Key, depth+1)
		if err != nil {
			return err
		}
		if !key.scalar() {
			return errors.New("a key must be text")
		}
		out.fields = append(out.fields, field{name: key.text, value: item, line: lineOf(v.Key)})
	}
	if merged { // what stands there itself counts, and what was merged first
		last := map[string]int{}
		for at, f := range out.fields {
			last[f.name] = at
		}
		var fields []field
		for at, f := range out.fields {
			if last[f.name] == at {
				fields = append(fields, f)
			}
		}
		out.fields = fields
	}
	return nil
}
