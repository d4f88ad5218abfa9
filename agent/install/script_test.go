package install

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/berth-panel/berth/shared/ident"
)

func TestScriptsLieInTheirInstancesFolder(t *testing.T) {
	t.Parallel()
	s, err := OpenScripts(filepath.Join(t.TempDir(), "scripts"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}()
	const id = ident.Instance("00000001")
	for _, text := range []string{"echo a much longer first one\n", "echo b\n"} { // an order given again
		if err := s.Lay(id, text); err != nil {
			t.Fatal(err)
		}
		got, err := os.ReadFile(filepath.Join(s.Path(id), "install.sh"))
		if err != nil || string(got) != text {
			t.Errorf("the script is %q, %v; want %q", got, err, text)
		}
	}
	for range 2 {
		if err := s.Clear(id); err != nil {
			t.Error(err)
		}
	}
	if _, err := os.Lstat(s.Path(id)); err == nil {
		t.Error("the folder is left")
	}
	for _, bad := range []ident.Instance{"", "..", "../../etc", "0000000", "000000001"} {
		if s.Lay(bad, "x") == nil || s.Path(bad) != "" || s.Clear(bad) != nil {
			t.Errorf("%q is taken for an instance", bad)
		}
	}
	if left, err := os.ReadDir(s.dir); err != nil || len(left) != 0 {
		t.Errorf("left: %v, %v", left, err)
	}
}
