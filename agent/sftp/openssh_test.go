package sftp

import (
	"bytes"
	"crypto/rand"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestOpenSSHDoesItsVerbs(t *testing.T) {
	t.Parallel()
	needClient(t)
	b := setup(t)
	local, volume := t.TempDir(), b.disks.path(one)
	content := make([]byte, 3<<20+17)
	_, _ = rand.Read(content)
	must(t, os.WriteFile(filepath.Join(local, "up"), content, 0o640))
	must(t, os.Chtimes(filepath.Join(local, "up"), stamp, stamp))
	must(t, os.Symlink("/etc/passwd", filepath.Join(volume, "link")))
	out, err := b.openSSH(strings.Join([]string{
		"pwd", "mkdir a", "mkdir a/b", "put -p " + local + "/up a/b/file", "ls -la a/b", "rename a/b/file a/moved", "chmod 4755 a/moved",
		"put " + local + "/up over", "rename a/moved over", "get -p over " + local + "/down", "rmdir a/b", "rmdir a", "mkdir gone", "rmdir gone",
		"put " + local + "/up doomed", "rm doomed", "ls -l link", "df",
	}, "\n") + "\n")
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	info, err := os.Stat(filepath.Join(volume, "over"))
	must(t, err)
	if info.Mode() != 0o755 || !info.ModTime().Equal(stamp) {
		t.Errorf("the file is %v of %v", info.Mode(), info.ModTime())
	}
	for _, file := range []string{filepath.Join(volume, "over"), filepath.Join(local, "down")} {
		if got, err := os.ReadFile(file); err != nil || !bytes.Equal(got, content) {
			t.Errorf("%s differs: %d bytes, %v", file, len(got), err)
		}
	}
	if info, err := os.Stat(filepath.Join(local, "down")); err != nil || !info.ModTime().Equal(stamp) {
		t.Errorf("what came down is %v, %v", info, err)
	}
	entries, err := os.ReadDir(volume)
	must(t, err)
	if len(entries) != 2 {
		t.Errorf("there are %v", entries)
	}
	for _, bad := range []string{"get link x", "put " + local + "/up link", "get ../../../etc/passwd x", "ln -s /etc/passwd evil", "ln over hard", "rm nothing", "rmdir over", "chown 0 nothing", "cd link"} {
		if out, err := b.openSSH("lcd " + local + "\n" + bad + "\n"); err == nil {
			t.Errorf("%q works: %s", bad, out)
		}
	}
	if got, err := os.ReadFile(filepath.Join(local, "x")); err == nil {
		t.Errorf("it got %q", got)
	}
}

func TestOpenSSHCarriesManySmallFiles(t *testing.T) {
	t.Parallel()
	needClient(t)
	b := setup(t)
	local := t.TempDir()
	const folders, each = 10, 20
	for n := range folders * each {
		dir := filepath.Join(local, "up", fmt.Sprint(n%folders))
		must(t, os.MkdirAll(dir, 0o755))
		must(t, os.WriteFile(filepath.Join(dir, fmt.Sprint(n)), fmt.Appendf(nil, "file %d", n), 0o644))
	}
	if out, err := b.openSSH("lcd " + local + "\nput -R up\nget -R up down\n"); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for n := range folders * each {
		for _, root := range []string{b.disks.path(one) + "/up", local + "/down"} {
			got, err := os.ReadFile(filepath.Join(root, fmt.Sprint(n%folders), fmt.Sprint(n)))
			if err != nil || string(got) != fmt.Sprintf("file %d", n) {
				t.Fatalf("file %d in %s: %q, %v", n, root, got, err)
			}
		}
	}
}

func TestOpenSSHTakesUpWhatWasCutOff(t *testing.T) {
	t.Parallel()
	needClient(t)
	b := setup(t)
	local, volume := t.TempDir(), b.disks.path(one)
	content := make([]byte, 8<<20+1)
	_, _ = rand.Read(content)
	must(t, os.WriteFile(filepath.Join(local, "big"), content, 0o644))
	must(t, os.WriteFile(filepath.Join(volume, "big"), content[:3<<20+5], 0o644))
	must(t, os.WriteFile(filepath.Join(local, "down"), content[:2<<20+3], 0o644))
	out, err := b.openSSH("lcd " + local + "\nreput big\nreget big down\n")
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for _, file := range []string{volume + "/big", local + "/down"} {
		if got, err := os.ReadFile(file); err != nil || !bytes.Equal(got, content) {
			t.Errorf("%s differs: %d bytes, %v", file, len(got), err)
		}
	}
}
