package compose

import (
	"regexp"
	"strconv"
	"strings"

	"github.com/compose-spec/compose-go/v2/template"
)

// bound refuses what the parser would need minutes for: it compares each port with
// each other, and looks for the end of each variable in all that follows.
func (f *file) bound() error {
	nodes := 0
	for key, v := range f.says {
		if err := f.count(key, v, &nodes); err != nil {
			return err
		}
	}
	ports, _ := f.says["ports"].([]any)
	kept := make([]any, 0, len(ports))
	for _, p := range ports {
		if wide(p) {
			f.changed(f.field("ports"), "the range %v is left out: an instance has single ports", p)
			continue
		}
		kept = append(kept, p)
	}
	if len(kept) < len(ports) {
		f.says["ports"] = kept
	}
	return nil
}

func (f *file) count(field string, v any, nodes *int) error {
	if *nodes++; *nodes > maxNodes {
		return f.at("services."+f.service, "it says more than %d things", maxNodes)
	}
	each := func(n int) error {
		if n > maxEach {
			return f.at(f.field(field), "it has more than %d entries", maxEach)
		}
		return nil
	}
	switch v := v.(type) {
	case string:
		if n := strings.Count(v, "$"); n > maxNamed || n > 0 && len(v) > maxValue {
			return f.at(f.field(field), "a text with variables may have %d of them and %d KiB", maxNamed, maxValue>>10)
		}
	case []any:
		for _, one := range v {
			if err := f.count(field, one, nodes); err != nil {
				return err
			}
		}
		return each(len(v))
	case map[string]any:
		for _, one := range v {
			if err := f.count(field, one, nodes); err != nil {
				return err
			}
		}
		return each(len(v))
	case map[any]any:
		return f.at(f.field(field), "its names must be texts")
	}
	return nil
}

var portRange = regexp.MustCompile(`(\d+)-(\d+)`)

const mostPorts = 20 // of a range

// wide says whether a port is a range of many.
func wide(port any) bool {
	texts := []any{port}
	if long, ok := port.(map[string]any); ok {
		texts = []any{long["published"], long["target"]}
	}
	for _, one := range texts {
		text, _ := one.(string)
		if named, err := template.SubstituteWithOptions(text, nothing, template.WithoutLogging); err == nil {
			text = named
		}
		for _, m := range portRange.FindAllStringSubmatch(text, -1) {
			from, err := strconv.Atoi(m[1])
			to, err2 := strconv.Atoi(m[2])
			if err != nil || err2 != nil || to-from >= mostPorts {
				return true
			}
		}
	}
	return false
}
