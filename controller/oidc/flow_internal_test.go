package oidc

import (
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/berth-panel/berth/shared/problem"
)

func TestReadClaims(t *testing.T) {
	t.Parallel()
	set := Settings{ClientID: "berth", GroupClaim: "groups"}
	for text, want := range map[string]claims{
		`{"email":" a@b.test ","email_verified":true,"preferred_username":"a"}`:  {Email: "a@b.test", Verified: true, Name: "a"},
		`{"email":"a@b.test","email_verified":"true","nickname":"n"}`:            {Email: "a@b.test", Verified: true, Name: "n"},
		`{"email":"a@b.test","email_verified":"false"}`:                          {Email: "a@b.test"},
		`{"email":"a@b.test","email_verified":1}`:                                {Email: "a@b.test"},
		`{"email":"a@b.test"}`:                                                   {Email: "a@b.test"},
		`{"email":7,"email_verified":true}`:                                      {Verified: true},
		`{"groups":"one"}`:                                                       {Groups: []string{"one"}},
		`{"groups":["one",2,"three",null,{"x":1}]}`:                              {Groups: []string{"one", "three"}},
		`{"groups":{"admin":true},"admin":true}`:                                 {},
		`{"aud":["berth","other"],"azp":"berth","preferred_username":"several"}`: {Name: "several"},
	} {
		got, err := read(func(v any) error { return json.Unmarshal([]byte(text), v) }, set)
		if err != nil || got.Email != want.Email || got.Verified != want.Verified || got.Name != want.Name || !slices.Equal(got.Groups, want.Groups) {
			t.Errorf("%s: %+v, %v", text, got, err)
		}
	}
	for _, text := range []string{`[]`, `{"aud":["berth","other"],"azp":"other"}`, `{"aud":["berth","other"]}`} {
		if _, err := read(func(v any) error { return json.Unmarshal([]byte(text), v) }, set); err == nil {
			t.Error(text)
		}
	}
}

func TestNames(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		said claims
		want string
	}{
		{claims{Name: "anna"}, "anna"}, {claims{Email: "bob@example.test"}, "bob"}, {claims{Name: "eve@example.test"}, "eve"},
		{claims{Name: "@x"}, "user"}, {claims{Name: "a\x00\r\nb"}, "ab"}, {claims{Name: strings.Repeat("ü", 80)}, strings.Repeat("ü", 50)},
	} {
		if got := nameOf(c.said); got != c.want {
			t.Errorf("%+v: %q", c.said, got)
		}
	}
}

func TestWhereToGoOn(t *testing.T) {
	t.Parallel()
	for next, want := range map[string]string{
		"/": "/", "/instances/7?tab=files#top": "/instances/7?tab=files#top", "": "/", "x": "/", "//evil.test": "/", "///evil.test": "/", `/\evil.test`: "/",
		"https://evil.test": "/", "javascript:alert(1)": "/", "/a\tb": "/", "/a b": "/", "/ü": "/", "/%zz": "/", "/\r\nX: y": "/",
	} {
		if got := pathOf(next); got != want {
			t.Errorf("%q: %q", next, got)
		}
	}
}

func TestOutcomes(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		err  error
		want outcome
	}{
		{refused(denied, errNobody), denied}, {errors.Join(errors.New("x"), refused(taken, errTaken)), taken},
		{problem.New(problem.Conflict, "none is set"), unreachable}, {errors.New("the disk is full"), failed},
	} {
		if got := outcomeOf(c.err); got != c.want {
			t.Errorf("%v: %s", c.err, got)
		}
	}
}
