package image

import (
	"testing"
	"time"
	"unicode/utf8"

	"github.com/berth-panel/berth/shared/problem"
)

// Whatever comes in, nothing breaks: it is refused with a sentence, or goes out
// and comes back as the same.
func FuzzClassic(f *testing.F) {
	for _, seed := range []string{newer, `{"Name":"x","Image":"a:1","Cmd":["a","b"],"Scripts":{"install":{"URL":"https://example.org/a/b.jar"}},"ConfigFilePath":"c","ConfigFileContent":"d"}`,
		`{"Name":"x","Image":"a:1","StopCommand":"^^C","Maker":{"a":[1,2.5,null]}}`, `{"Name":"x","Image":5}`, `{"Name":"x"`, `{"Name":"x","Image":"a:1","Berth":{"no_tty":true,"volume":5}}`} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		r, err := classicReader{}.Read("it", text)
		if err != nil {
			if p := problem.From(err); p.Code == problem.Internal || p.Message == "" {
				t.Fatalf("%v", err)
			}
			return
		}
		if !utf8.Valid(text) {
			return // JSON has no way to write it back
		}
		out, err := classicFile(r.Image)
		if err != nil {
			t.Fatal(err)
		}
		again, err := classicReader{}.Read("it", out)
		if err != nil || again.Image.Name != r.Image.Name || !same(again.Image.Definition, r.Image.Definition) {
			t.Errorf("%v\n%s", err, out)
		}
		asEgg(t, r.Image)
	})
}

// asEgg sends an image out as an egg.
func asEgg(t *testing.T, i Image) {
	t.Helper()
	for _, yaml := range []bool{false, true} {
		out, err := eggFile(i, nil, time.Unix(0, 0), yaml)
		if err != nil {
			t.Fatalf("%v: %+v", err, i)
		}
		again, err := eggReader{}.Read("it", out)
		if err != nil || again.Image.Name != i.Name || !same(again.Image.Definition, i.Definition) {
			t.Errorf("%v\n%s", err, out)
		}
	}
}
