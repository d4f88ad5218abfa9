package install

import (
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/berth-panel/berth/agent/files"
	"github.com/berth-panel/berth/shared/wire"
)

func TestReplaceFillsInWhatWasDownloaded(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	big := strings.Repeat("{{PORT}}", mostText/8+1)
	for name, text := range map[string]string{
		"server.properties": "port={{PORT}}\nname={{NAME}}\nother={{OTHER}} {PORT} {{ PORT }}\n",
		"mine.txt":          "{{PORT}}",
		"game.bin":          "{{PORT}}\x00",
		"latin1.txt":        "{{PORT}} \xe4",
		"big.txt":           big,
		"dir/deep.txt":      "{{PORT}}",
	} {
		at := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(at), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(at, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	outside := filepath.Join(t.TempDir(), "outside")
	if err := os.WriteFile(outside, []byte("{{PORT}}"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(outside, filepath.Join(dir, "link.txt")); err != nil {
		t.Fatal(err)
	}
	at, err := os.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	root := files.At(at)
	defer func() { _ = root.Close() }()
	put := func(path string, fill func(io.Writer) error) error {
		var text strings.Builder
		if err := fill(&text); err != nil {
			return err
		}
		return os.WriteFile(filepath.Join(dir, path), []byte(text.String()), 0o600)
	}
	var list []wire.Download
	for _, path := range []string{"server.properties", "game.bin", "latin1.txt", "big.txt", "dir/deep.txt", "link.txt", "gone.txt", "dir"} {
		list = append(list, wire.Download{Path: path})
	}
	values := map[string]string{"PORT": "25565", "NAME": "{{PORT}}"}
	for range 2 { // the second finds nothing of its own, but what a value brought: it is downloaded anew before
		if err := Replace(root, list, values, put); err != nil {
			t.Fatal(err)
		}
		values = map[string]string{"GONE": "x"}
	}
	for name, want := range map[string]string{
		"server.properties": "port=25565\nname={{PORT}}\nother={{OTHER}} {PORT} {{ PORT }}\n",
		"mine.txt":          "{{PORT}}", "game.bin": "{{PORT}}\x00", "latin1.txt": "{{PORT}} \xe4", "big.txt": big, "dir/deep.txt": "{{PORT}}",
	} {
		if got, err := os.ReadFile(filepath.Join(dir, name)); err != nil || string(got) != want {
			t.Errorf("%s holds %.80q, %v; want %.80q", name, got, err, want)
		}
	}
	if got, _ := os.ReadFile(outside); string(got) != "{{PORT}}" {
		t.Errorf("a link led out: %q", got)
	}
}
