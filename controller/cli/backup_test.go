package cli_test

import (
	"path/filepath"
	"strings"
	"testing"
)

func TestBackupAndRestoreCommands(t *testing.T) {
	t.Parallel()
	data, file := t.TempDir(), filepath.Join(t.TempDir(), "backup.tar.gz")
	_, stop := start(t, data)
	works(t, data, "user", "create", "--username", "anna", "--email", "anna@example.org", "--password", "long enough")
	if out := works(t, data, "backup", file); !strings.Contains(out, file) || !strings.Contains(out, "holds keys") {
		t.Errorf("%s", out)
	}
	if code, _, errs := run(t, data, "backup", file); code != 1 || !strings.Contains(errs, "ever written over") {
		t.Errorf("%d %s", code, errs)
	}
	works(t, data, "user", "delete", "anna")
	if code, _, errs := run(t, data, "restore", file); code != 1 || !strings.Contains(errs, "stop it first") {
		t.Errorf("%d %s", code, errs)
	}
	stop()
	if out := works(t, data, "restore", file); !strings.Contains(out, "before-restore-") {
		t.Errorf("%s", out)
	}
	find(t, asJSON[[]named](t, data, "user", "list"), "anna")
	elsewhere := filepath.Join(t.TempDir(), "new")
	if out := works(t, elsewhere, "restore", file); strings.Contains(out, "before-restore-") {
		t.Errorf("%s", out)
	}
	find(t, asJSON[[]named](t, elsewhere, "user", "list"), "anna")
}

func TestNodeUpdateCommand(t *testing.T) {
	t.Parallel()
	data := t.TempDir()
	_, stop := start(t, data)
	works(t, data, "node", "create", "--name", "a", "--address", "192.0.2.1", "--memory", "100", "--disk", "100")
	for words, args := range map[string][]string{
		"name a node, or say --all": {"node", "update"},
		"there is no node":          {"node", "update", "nobody"},
	} {
		if code, _, errs := run(t, data, args...); code != 1 || !strings.Contains(errs, words) {
			t.Errorf("%v: %d %s", args, code, errs)
		}
	}
	if code, _, errs := run(t, data, "node", "update", "a"); code != 1 || (!strings.Contains(errs, "not enrolled") && !strings.Contains(errs, "make build")) {
		t.Errorf("%d %s", code, errs)
	}
	// Nothing is on it: it is drained at once.
	if out := works(t, data, "node", "drain", "a"); !strings.Contains(out, "Done.") {
		t.Error(out)
	}
	if list := asJSON[[]struct{ Maintenance bool }](t, data, "node", "list"); len(list) != 1 || !list[0].Maintenance {
		t.Errorf("%+v", list)
	}
	stop()
	if code, _, errs := run(t, data, "node", "drain", "a"); code != 1 || !strings.Contains(errs, "start it first") {
		t.Errorf("%d %s", code, errs)
	}
	if code, _, errs := run(t, data, "node", "update", "--all"); code != 1 || !strings.Contains(errs, "start it first") {
		t.Errorf("%d %s", code, errs)
	}
}
