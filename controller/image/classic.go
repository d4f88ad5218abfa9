package image

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strings"

	"github.com/berth-panel/berth/shared/problem"
)

// Classic is the JSON form of the classic panel. Two shapes are read: the newer
// one and the older one with Scripts.install and ConfigFilePath.
type Classic struct {
	ID             string           `json:"Id,omitempty"`
	Name           string           `json:"Name"`
	Description    string           `json:"Description"`
	Author         string           `json:"Author"`
	AuthorName     string           `json:"AuthorName"`
	Image          string           `json:"Image"`
	AltImages      classicList      `json:"AltImages"`
	Cmd            classicCommand   `json:"Cmd"`
	Env            classicEnv       `json:"Env"`
	StopCommand    string           `json:"StopCommand"`
	StartedMessage string           `json:"StartedMessage,omitempty"`
	Features       classicList      `json:"features"`
	Scripts        classicScripts   `json:"Scripts"`
	ConfigFilePath string           `json:"ConfigFilePath,omitempty"`
	ConfigContent  string           `json:"ConfigFileContent,omitempty"`
	Variables      classicVariables `json:"Variables"`
	Meta           *classicMeta     `json:"Meta,omitempty"`
}

type classicMeta struct {
	Version classicText `json:"Version"`
}

type classicScripts struct {
	Install []classicDownload `json:"Install"`
	Older   *struct {
		URL    string `json:"URL"`
		Rename string `json:"renameto"`
	} `json:"install,omitempty"`
}

// UnmarshalJSON keeps Install and install apart, which encoding/json would not.
func (s *classicScripts) UnmarshalJSON(b []byte) error {
	if bytes.Equal(b, []byte("[]")) || bytes.Equal(b, []byte(`""`)) {
		return nil
	}
	var parts map[string]json.RawMessage
	if err := json.Unmarshal(b, &parts); err != nil {
		return err
	}
	if raw, there := parts["Install"]; there {
		if err := json.Unmarshal(raw, &s.Install); err != nil {
			return fmt.Errorf("in Scripts.Install: %w", err)
		}
	}
	if raw, there := parts["install"]; there {
		if err := json.Unmarshal(raw, &s.Older); err != nil {
			return fmt.Errorf("in Scripts.install: %w", err)
		}
	}
	return nil
}

type classicDownload struct {
	URI  string `json:"Uri"`
	Path string `json:"Path"`
}

// classicCommand is a string or a list, and is written as it was read.
type classicCommand struct {
	line  string
	words []string
}

func (c *classicCommand) UnmarshalJSON(b []byte) error {
	if bytes.HasPrefix(b, []byte(`[`)) {
		return json.Unmarshal(b, &c.words)
	}
	if !bytes.HasPrefix(b, []byte(`"`)) && !bytes.Equal(b, []byte("null")) {
		return fmt.Errorf("the field Cmd must be text or a list of text, not %.20s", b)
	}
	return json.Unmarshal(b, &c.line)
}

func (c classicCommand) MarshalJSON() ([]byte, error) {
	if len(c.words) > 0 {
		return json.Marshal(c.words)
	}
	return json.Marshal(c.line)
}

// classicText is a string, or a number that is taken as its text.
type classicText string

func (t *classicText) UnmarshalJSON(b []byte) error {
	if bytes.HasPrefix(b, []byte(`"`)) {
		return json.Unmarshal(b, (*string)(t))
	}
	if bytes.HasPrefix(b, []byte(`{`)) || bytes.HasPrefix(b, []byte(`[`)) {
		return fmt.Errorf("text was expected, not %.20s", b)
	}
	if !bytes.Equal(b, []byte("null")) {
		*t = classicText(b)
	}
	return nil
}

// classicList is a list of text; anything empty counts as none.
type classicList []string

func (l *classicList) UnmarshalJSON(b []byte) error {
	switch string(b) {
	case `{}`, `""`, "false":
		return nil
	}
	if bytes.HasPrefix(b, []byte(`"`)) { // one of them
		*l = make(classicList, 1)
		return json.Unmarshal(b, &(*l)[0])
	}
	var list []classicText
	if err := json.Unmarshal(b, &list); err != nil {
		return fmt.Errorf("a list of text was expected: %w", err)
	}
	for _, text := range list {
		*l = append(*l, string(text))
	}
	return nil
}

// classicEnv is a list of NAME=value, or an object whose order stays.
type classicEnv []string

func (e *classicEnv) UnmarshalJSON(b []byte) error {
	if !bytes.HasPrefix(b, []byte("{")) {
		return (*classicList)(e).UnmarshalJSON(b)
	}
	return inOrder(b, func(name string, d *json.Decoder) error {
		var value classicText
		if err := d.Decode(&value); err != nil {
			return fmt.Errorf("in Env.%s: %w", name, err)
		}
		*e = append(*e, name+"="+string(value))
		return nil
	})
}

// inOrder calls f for each field of an object, to decode its value.
func inOrder(object []byte, f func(name string, d *json.Decoder) error) error {
	d := json.NewDecoder(bytes.NewReader(object))
	if _, err := d.Token(); err != nil {
		return err
	}
	for d.More() {
		name, err := d.Token()
		if err != nil {
			return err
		}
		if err := f(fmt.Sprint(name), d); err != nil {
			return err
		}
	}
	return nil
}

// classicVariables is an object whose order is the order of the form.
type classicVariables []Variable

type classicVariable struct {
	Type        classicText `json:"type"`
	Default     classicText `json:"default"`
	Required    classicFlag `json:"required"`
	Description classicText `json:"description,omitempty"`
}

// UnmarshalJSON takes a text or a number for the default.
func (v *classicVariable) UnmarshalJSON(b []byte) error {
	if !bytes.HasPrefix(b, []byte("{")) {
		return v.Default.UnmarshalJSON(b)
	}
	type plain classicVariable
	return json.Unmarshal(b, (*plain)(v))
}

// classicFlag is true or false, also as a text or a number.
type classicFlag bool

func (f *classicFlag) UnmarshalJSON(b []byte) error {
	switch strings.ToLower(strings.Trim(string(b), `"`)) {
	case "true", "1", "yes", "on":
		*f = true
	case "false", "0", "no", "off", "", "null":
	default:
		return fmt.Errorf("true or false was expected, not %.20s", b)
	}
	return nil
}

func (v *classicVariables) UnmarshalJSON(b []byte) error {
	if bytes.Equal(b, []byte("null")) || bytes.Equal(b, []byte("[]")) {
		return nil
	}
	if !bytes.HasPrefix(b, []byte("{")) {
		return errors.New("the field Variables must be an object")
	}
	return inOrder(b, func(name string, d *json.Decoder) error {
		var c classicVariable
		if err := d.Decode(&c); err != nil {
			return fmt.Errorf("in Variables.%s: %w", name, err)
		}
		*v = append(*v, Variable{Name: name, Type: string(c.Type), Default: string(c.Default), Required: bool(c.Required), Description: string(c.Description)})
		return nil
	})
}

func (v classicVariables) MarshalJSON() ([]byte, error) {
	var b bytes.Buffer
	b.WriteByte('{')
	for i, one := range v {
		if i > 0 {
			b.WriteByte(',')
		}
		name, err := json.Marshal(one.Name)
		if err != nil {
			return nil, err
		}
		value, err := json.Marshal(classicVariable{Type: classicText(one.Type), Default: classicText(one.Default), Required: classicFlag(one.Required), Description: classicText(one.Description)})
		if err != nil {
			return nil, err
		}
		b.Write(name)
		b.WriteByte(':')
		b.Write(value)
	}
	b.WriteByte('}')
	return b.Bytes(), nil
}

// unreadable says where and why a text is no JSON of the right form.
func unreadable(text []byte, err error) error {
	var offset int64 = -1
	switch e := err.(type) { //nolint:errorlint // encoding/json returns these two unwrapped
	case *json.SyntaxError:
		offset = e.Offset
	case *json.UnmarshalTypeError:
		field := strings.TrimPrefix(e.Field, "Classic.")
		if field == "" {
			field = "it"
		}
		line := 1 + bytes.Count(text[:min(int64(len(text)), e.Offset)], []byte("\n"))
		p := problem.New(problem.Validation, "this is not a classic image: line %d: %s must be %s, not %s", line, field, jsonKind(e.Type), e.Value)
		if e.Field != "" {
			p.Fields = []problem.Field{{Field: field, Message: "must be " + jsonKind(e.Type)}}
		}
		return p.Because(err)
	}
	if offset >= 0 && offset <= int64(len(text)) {
		line := 1 + bytes.Count(text[:offset], []byte("\n"))
		return problem.New(problem.BadRequest, "this is not JSON: line %d: %s", line, err).Because(err)
	}
	reason := err.Error()
	if kind := new(json.UnmarshalTypeError); errors.As(err, &kind) {
		reason, _, _ = strings.Cut(reason, ": json:")
		reason += fmt.Sprintf(": it must be %s, not %s", jsonKind(kind.Type), kind.Value)
	}
	return problem.New(problem.Validation, "this is not a classic image: %s", reason).Because(err)
}

// jsonKind names what JSON a Go type is read from.
func jsonKind(t reflect.Type) string {
	switch t.Kind() {
	case reflect.String:
		return "text"
	case reflect.Bool:
		return "true or false"
	case reflect.Slice, reflect.Array:
		return "a list"
	case reflect.Struct, reflect.Map:
		return "an object"
	default:
		return "a number"
	}
}

// ToClassic gives the classic JSON form of the image.
func (i Image) ToClassic() Classic {
	c := Classic{
		ID: string(i.ID), Name: i.Name, Description: i.Description, Author: i.Author, AuthorName: i.AuthorName,
		Image: i.References[0], AltImages: append([]string{}, i.References[1:]...),
		Cmd: i.classicCommand(), Env: append([]string{}, i.Env...), StopCommand: i.StopCommand,
		StartedMessage: i.firstReady(), Features: append(classicList{}, i.Features...), Variables: i.Variables,
		Scripts: classicScripts{Install: []classicDownload{}},
		Meta:    &classicMeta{Version: classicText(i.Release)},
	}
	for _, s := range i.Install {
		c.Scripts.Install = append(c.Scripts.Install, classicDownload{URI: s.URI, Path: s.Path})
	}
	if i.ConfigFile != nil {
		c.ConfigFilePath, c.ConfigContent = i.ConfigFile.Path, i.ConfigFile.Content
	}
	return c
}

func (d Definition) classicCommand() classicCommand {
	if len(d.Commands) > 0 {
		return classicCommand{line: d.Commands[0].Line}
	}
	return classicCommand{line: d.CommandLine, words: d.Command}
}

func (d Definition) firstReady() string {
	if d.ReadyLine == "" && len(d.ReadyLines) > 0 {
		return d.ReadyLines[0]
	}
	return d.ReadyLine
}
