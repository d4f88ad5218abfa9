package image

import (
	"bytes"
	"encoding/json"

	"github.com/berth-panel/berth/shared/problem"
)

// An overlay is what a file's format has no word for: the fields of a definition
// that its reader would give otherwise. An export carries it under a name of its
// own, which other programs leave alone, so that Berth reads back what it wrote.
// It is found by reading the file and comparing, not by a list of fields that
// would have to be kept.

// overlay gives what must be put over got to have want; nil when they are the same.
func overlay(want, got Definition) (map[string]any, error) {
	w, err := parts(want)
	if err != nil {
		return nil, err
	}
	g, err := parts(got)
	if err != nil {
		return nil, err
	}
	out := map[string]any{}
	for name, value := range w {
		if !bytes.Equal(value, g[name]) {
			var plain any
			if err := json.Unmarshal(value, &plain); err != nil {
				return nil, err
			}
			out[name] = plain
		}
		delete(g, name)
	}
	for name := range g {
		if name != "source" || want.Source != nil {
			out[name] = nil
		}
	}
	if len(out) == 0 {
		return nil, nil
	}
	return out, nil
}

// parts takes a definition apart by its fields.
func parts(d Definition) (map[string]json.RawMessage, error) {
	whole, err := json.Marshal(d)
	if err != nil {
		return nil, err
	}
	out := map[string]json.RawMessage{}
	return out, json.Unmarshal(whole, &out)
}

// apply puts an overlay over the definition.
func (d *Definition) apply(over map[string]any) error {
	fields, err := parts(*d)
	if err != nil {
		return err
	}
	for name, value := range over {
		if value == nil {
			delete(fields, name)
			continue
		}
		raw, err := json.Marshal(value)
		if err != nil {
			return err
		}
		fields[name] = raw
	}
	whole, err := json.Marshal(fields)
	if err != nil {
		return err
	}
	var out Definition
	if err := json.Unmarshal(whole, &out); err != nil {
		return problem.Invalid(overlayKey, "what Berth has put into this file doesn't fit any more: %s", err)
	}
	*d = out
	return nil
}
