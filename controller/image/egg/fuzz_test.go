package egg_test

import (
	"errors"
	"os"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/berth-panel/berth/controller/image/egg"
)

// Whatever comes in, nothing breaks; what is read comes back from both forms that
// are written; what isn't is a sentence.
func FuzzRead(f *testing.F) {
	for _, pattern := range []string{"testdata/*.json", "testdata/*.yaml", "testdata/refused/*"} {
		for _, path := range files(f, pattern) {
			text, err := os.ReadFile(path)
			if err != nil {
				f.Fatal(err)
			}
			f.Add(text)
		}
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		e, err := egg.Read(text)
		if err != nil {
			var at *egg.Error
			if !errors.As(err, &at) || at.Reason == "" || e != nil {
				t.Fatalf("%#v", err)
			}
			return
		}
		if !utf8.Valid(text) {
			return // JSON has no way to write it back
		}
		same(t, "it", e)
		once, err := e.JSON(time.Unix(0, 0))
		if err != nil {
			t.Fatal(err)
		}
		if again, err := e.JSON(time.Unix(0, 0)); err != nil || string(again) != string(once) {
			t.Errorf("it isn't always written alike: %v", err)
		}
	})
}
