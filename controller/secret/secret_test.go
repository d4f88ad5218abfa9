package secret_test

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/berth-panel/berth/controller/secret"
)

func open(t *testing.T, dir string) *secret.Box {
	t.Helper()
	box, err := secret.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	return box
}

func TestOpensOnlyWhatWasSealedForThePurpose(t *testing.T) {
	t.Parallel()
	box := open(t, t.TempDir())
	sealed := box.Seal("enrolment key 1", []byte("the secret"))
	if bytes.Contains(sealed, []byte("secret")) {
		t.Fatal("the secret can be read in what was sealed")
	}
	plain, err := box.Open("enrolment key 1", sealed)
	if err != nil || string(plain) != "the secret" {
		t.Fatalf("opened as %q, %v", plain, err)
	}
	if _, err := box.Open("enrolment key 2", sealed); !errors.Is(err, secret.ErrSealed) {
		t.Fatalf("another purpose opened it: %v", err)
	}
	if _, err := open(t, t.TempDir()).Open("enrolment key 1", sealed); !errors.Is(err, secret.ErrSealed) {
		t.Fatalf("another controller's key opened it: %v", err)
	}
}

func TestEveryChangedOrMissingByteIsNoticed(t *testing.T) {
	t.Parallel()
	box := open(t, t.TempDir())
	sealed := box.Seal("p", []byte("x"))
	for i := range sealed {
		changed := bytes.Clone(sealed)
		changed[i] ^= 1
		if _, err := box.Open("p", changed); !errors.Is(err, secret.ErrSealed) {
			t.Fatalf("a change of byte %d went unnoticed: %v", i, err)
		}
		if _, err := box.Open("p", sealed[:i]); !errors.Is(err, secret.ErrSealed) {
			t.Fatalf("cut off after %d bytes went unnoticed: %v", i, err)
		}
	}
}

func TestSealsOfTheSameDiffer(t *testing.T) {
	t.Parallel()
	box := open(t, t.TempDir())
	if bytes.Equal(box.Seal("p", []byte("x")), box.Seal("p", []byte("x"))) {
		t.Fatal("two seals are the same: the nonce is not random")
	}
}

func TestKeyIsPrivateAndStays(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "not", "there", "yet")
	sealed := open(t, dir).Seal("p", []byte("x"))
	info, err := os.Stat(filepath.Join(dir, secret.FileName))
	if err != nil {
		t.Fatal(err)
	}
	if info.Mode().Perm() != 0o600 {
		t.Fatalf("the key has mode %v", info.Mode().Perm())
	}
	if _, err := open(t, dir).Open("p", sealed); err != nil {
		t.Fatalf("after a second start: %v", err)
	}
	left, err := os.ReadDir(dir)
	if err != nil || len(left) != 1 {
		t.Fatalf("more than the key was left in the directory: %v, %v", left, err)
	}
}

func TestKeyThatOthersCanReadIsRefused(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	open(t, dir)
	path := filepath.Join(dir, secret.FileName)
	for _, mode := range []os.FileMode{0o640, 0o604, 0o620, 0o602} {
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
		if _, err := secret.Open(dir); err == nil || !strings.Contains(err.Error(), "chmod 600") {
			t.Errorf("mode %o: %v", mode, err)
		}
	}
}

func TestKeyOfAnotherLengthIsRefused(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, secret.FileName), []byte("short"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := secret.Open(dir); err == nil || !strings.Contains(err.Error(), "32 bytes") {
		t.Fatalf("a short key was taken: %v", err)
	}
}

func TestStartsAtTheSameTimeAgreeOnOneKey(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	boxes := make([]*secret.Box, 20)
	var wg sync.WaitGroup
	for i := range boxes {
		wg.Go(func() {
			box, err := secret.Open(dir)
			if err != nil {
				t.Error(err)
				return
			}
			boxes[i] = box
		})
	}
	wg.Wait()
	if t.Failed() {
		return
	}
	sealed := boxes[0].Seal("p", []byte("x"))
	for i, box := range boxes {
		if _, err := box.Open("p", sealed); err != nil {
			t.Fatalf("start %d got another key: %v", i, err)
		}
	}
}
