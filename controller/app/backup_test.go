package app_test

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/berth-panel/berth/controller/app"
	"github.com/berth-panel/berth/controller/fleet"
	"github.com/berth-panel/berth/controller/secret"
	"github.com/berth-panel/berth/controller/store"
)

func backedUp(t *testing.T, b *bundle) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "backup.tar.gz")
	m, err := app.Backup(t.Context(), b.data, file, time.Now)
	if err != nil {
		t.Fatal(err)
	}
	if newest, err := store.Newest(); err != nil || m.Schema != newest || len(m.Files) != 5 {
		t.Errorf("%+v, %v", m, err)
	}
	return file
}

// What was answered before a backup is in it, although others write meanwhile;
// what came after it is not, and the keys are the same.
func TestBackupAndRestore(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.user("before")
	quit, wrote := make(chan struct{}), make(chan int, 1)
	go func() {
		n := 0
		for ; ; n++ {
			select {
			case <-quit:
				wrote <- n
				return
			default:
				b.user(fmt.Sprint("load", n))
			}
		}
	}()
	for n := range 5 { // each while the load is written
		name := fmt.Sprint("mark", n)
		b.user(name)
		file := backedUp(t, b)
		fresh := filepath.Join(t.TempDir(), "restored")
		r, err := app.Restore(t.Context(), file, fresh, time.Now)
		if err != nil || r.Aside != "" {
			t.Fatalf("%+v, %v", r, err)
		}
		names := usernames(t, fresh)
		if !slices.Contains(names, "before") || !slices.Contains(names, name) || slices.Contains(names, fmt.Sprint("mark", n+1)) {
			t.Errorf("the backup after %s holds %v", name, names)
		}
	}
	close(quit)
	if n := <-wrote; n == 0 {
		t.Error("nothing was written meanwhile")
	}
	file := backedUp(t, b)
	b.user("after")
	b.stop()
	keys := readKeys(t, b.data)
	if _, err := app.Restore(t.Context(), file, b.data, time.Now); err != nil {
		t.Fatal(err)
	}
	if got := readKeys(t, b.data); got != keys {
		t.Error("the keys changed")
	}
	again := setupAt(t, b.data)
	if a := again.get("/api/v1/users?limit=500"); !strings.Contains(a.body, `"before"`) || strings.Contains(a.body, `"after"`) {
		t.Error(a.body)
	}
	aside, err := filepath.Glob(filepath.Join(b.data, "before-restore-*"))
	if err != nil || len(aside) != 1 || !slices.Contains(usernames(t, aside[0]), "after") {
		t.Errorf("what was there is lost: %v, %v", aside, err)
	}
}

func usernames(t *testing.T, dir string) []string {
	t.Helper()
	db, err := sql.Open("sqlite3", filepath.Join(dir, "berth.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	rows, err := db.Query(`SELECT username FROM users`)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = rows.Close() }()
	var out []string
	for rows.Next() {
		var name string
		if err := rows.Scan(&name); err != nil {
			t.Fatal(err)
		}
		out = append(out, name)
	}
	return out
}

func readKeys(t *testing.T, dir string) string {
	t.Helper()
	var all strings.Builder
	for _, name := range []string{secret.FileName, fleet.CAKeyFile, fleet.CACertificateFile, "public-url"} {
		text, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		all.Write(text)
	}
	return all.String()
}

// tree lists a directory with sizes and modes, without what comes and goes by itself.
func tree(t *testing.T, dir string) string {
	t.Helper()
	var out []string
	err := filepath.Walk(dir, func(path string, info os.FileInfo, err error) error {
		if err == nil && !info.IsDir() && info.Name() != "lock" {
			out = append(out, fmt.Sprint(strings.TrimPrefix(path, dir), " ", info.Size(), " ", info.Mode()))
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return strings.Join(out, "\n")
}

func TestBackupIsPrivateAndNeverWritesOver(t *testing.T) {
	t.Parallel()
	b := setup(t)
	file := backedUp(t, b)
	if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
	before, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := app.Backup(t.Context(), b.data, file, time.Now); err == nil || !strings.Contains(err.Error(), "ever written over") {
		t.Errorf("%v", err)
	}
	if after, err := os.ReadFile(file); err != nil || !bytes.Equal(before, after) {
		t.Errorf("the backup was changed (%v)", err)
	}
	if _, err := app.Backup(t.Context(), t.TempDir(), file+"2", time.Now); err == nil || !strings.Contains(err.Error(), "no controller has run") {
		t.Errorf("%v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := app.Backup(ctx, b.data, file+"3", time.Now); err == nil {
		t.Error("a cancelled backup was made")
	}
	if entries, err := os.ReadDir(filepath.Dir(file)); err != nil || len(entries) != 1 {
		t.Errorf("left behind: %v, %v", entries, err)
	}
}

func gunzip(text []byte) ([]byte, error) {
	r, err := gzip.NewReader(bytes.NewReader(text))
	if err != nil {
		return nil, err
	}
	return io.ReadAll(r)
}

func TestRestoreRefuses(t *testing.T) {
	t.Parallel()
	b := setup(t)
	good := backedUp(t, b)
	if _, err := app.Restore(t.Context(), good, b.data, time.Now); !errors.Is(err, app.ErrInUse) || !strings.Contains(err.Error(), "stop it first") {
		t.Errorf("while a controller runs: %v", err)
	}
	b.stop()
	text, err := os.ReadFile(good)
	if err != nil {
		t.Fatal(err)
	}
	before := tree(t, b.data)
	refused := func(name string, text []byte, words string) {
		t.Helper()
		file := filepath.Join(t.TempDir(), "bad")
		if err := os.WriteFile(file, text, 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := app.Restore(t.Context(), file, b.data, time.Now)
		if err == nil || !strings.Contains(err.Error(), words) || !strings.Contains(err.Error(), "nothing was changed") {
			t.Errorf("%s: %v, want %q", name, err, words)
		}
		if after := tree(t, b.data); after != before {
			t.Errorf("%s changed the data:\n%s\nbefore:\n%s", name, after, before)
		}
	}
	for _, part := range []int{0, 1, 2, 3, 5, 9} {
		refused(fmt.Sprintf("%d tenths", part), text[:len(text)*part/10], "damaged or cut off")
	}
	refused("one byte short", text[:len(text)-1], "damaged or cut off")
	refused("something else", []byte(strings.Repeat("hello ", 1000)), "damaged or cut off")
	content, err := gunzip(text)
	if err != nil {
		t.Fatal(err)
	}
	for at := 20; at < len(text); at += len(text) / 15 {
		flipped := bytes.Clone(text)
		flipped[at] ^= 0x10
		if plain, err := gunzip(flipped); err == nil && bytes.Equal(plain, content) {
			continue // a bit that means nothing: nothing is damaged
		}
		refused(fmt.Sprintf("a flipped bit at %d", at), flipped, "can't be restored")
	}
	other := unzip(t, mustRead(t, backedUp(t, setup(t))))
	mine := unzip(t, text)
	refused("another's CA certificate", zip(t, mine, func(name string, body []byte) []byte {
		if name == fleet.CACertificateFile {
			return other[name]
		}
		return body
	}), "content is not what was backed up")
	refused("a file that belongs in no backup", zip(t, mine, func(name string, body []byte) []byte {
		if name == secret.FileName {
			return nil
		}
		return body
	}, "../../outside"), "belongs in no backup")
}

func mustRead(t *testing.T, path string) []byte {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// unzip gives the files of a backup.
func unzip(t *testing.T, text []byte) map[string][]byte {
	t.Helper()
	zipped, err := gzip.NewReader(bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	out := map[string][]byte{}
	for in := tar.NewReader(zipped); ; {
		header, err := in.Next()
		if errors.Is(err, io.EOF) {
			return out
		}
		if err != nil {
			t.Fatal(err)
		}
		if out[header.Name], err = io.ReadAll(in); err != nil {
			t.Fatal(err)
		}
	}
}

// zip makes a backup of files, each as edit gives it (nil: not at all), with
// more in the place of what was left out.
func zip(t *testing.T, files map[string][]byte, edit func(string, []byte) []byte, more ...string) []byte {
	t.Helper()
	var b bytes.Buffer
	zipped := gzip.NewWriter(&b)
	out := tar.NewWriter(zipped)
	add := func(name string, body []byte) {
		if err := out.WriteHeader(&tar.Header{Name: name, Mode: 0o600, Size: int64(len(body))}); err != nil {
			t.Fatal(err)
		}
		if _, err := out.Write(body); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"berth-backup.json", "berth.db", secret.FileName, fleet.CAKeyFile, fleet.CACertificateFile, "public-url"} {
		if body := edit(name, files[name]); body != nil {
			add(name, body)
		}
	}
	for _, name := range more {
		add(name, []byte("x"))
	}
	if err := errors.Join(out.Close(), zipped.Close()); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// A restore that is killed at any step leaves the old data, or the new after the
// next start.
func TestRestoreKilledHalfway(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.user("old")
	file := backedUp(t, b)
	b.user("new")
	b.stop()
	state := map[string][]byte{}
	for name, body := range unzip(t, mustRead(t, file)) {
		if name != "berth-backup.json" {
			state[name] = body
		}
	}
	// The steps as Restore makes them, and how the directory looks after each.
	lay := func(t *testing.T, dir, sub string, names ...string) {
		t.Helper()
		if err := os.MkdirAll(filepath.Join(dir, sub), 0o700); err != nil {
			t.Fatal(err)
		}
		for _, name := range names {
			if err := os.WriteFile(filepath.Join(dir, sub, name), state[name], 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	all := []string{"berth.db", secret.FileName, fleet.CAKeyFile, fleet.CACertificateFile, "public-url"}
	note := func(t *testing.T, dir, text string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(dir, "restore.json"), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	moveOld := func(t *testing.T, dir string, names ...string) {
		t.Helper()
		if err := os.MkdirAll(filepath.Join(dir, "before-restore-x"), 0o700); err != nil {
			t.Fatal(err)
		}
		for _, name := range names {
			if err := os.Rename(filepath.Join(dir, name), filepath.Join(dir, "before-restore-x", name)); err != nil {
				t.Fatal(err)
			}
		}
	}
	for name, tt := range map[string]struct {
		kill  func(t *testing.T, dir string)
		fresh bool // the restored data is there after the next start
	}{
		"while unpacking": {func(t *testing.T, dir string) { lay(t, dir, "restore-new", all[:2]...) }, false},
		"before the note": {func(t *testing.T, dir string) { lay(t, dir, "restore-new", all...) }, false},
		"after the note": {func(t *testing.T, dir string) {
			lay(t, dir, "restore-new", all...)
			note(t, dir, `{"aside":"before-restore-x"}`)
		}, true},
		"while moving aside": {func(t *testing.T, dir string) {
			lay(t, dir, "restore-new", all...)
			note(t, dir, `{"aside":"before-restore-x"}`)
			moveOld(t, dir, all[:3]...)
		}, true},
		"moved aside": {func(t *testing.T, dir string) {
			lay(t, dir, "restore-new", all...)
			note(t, dir, `{"aside":"before-restore-x"}`)
			moveOld(t, dir, all...)
		}, true},
		"while putting in place": {func(t *testing.T, dir string) {
			moveOld(t, dir, all...)
			lay(t, dir, "restore-new", all[2:]...)
			lay(t, dir, "", all[:2]...)
			note(t, dir, `{"aside":"before-restore-x","clear":true}`)
		}, true},
		"in place": {func(t *testing.T, dir string) {
			moveOld(t, dir, all...)
			lay(t, dir, "", all...)
			note(t, dir, `{"aside":"before-restore-x","clear":true}`)
		}, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := filepath.Join(t.TempDir(), "data")
			if err := os.CopyFS(dir, os.DirFS(b.data)); err != nil {
				t.Fatal(err)
			}
			for _, key := range []string{secret.FileName, fleet.CAKeyFile} { // a copy is more open than its original
				if err := os.Chmod(filepath.Join(dir, key), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			tt.kill(t, dir)
			again := setupAt(t, dir)
			a := again.get("/api/v1/users?limit=500")
			if a.status != http.StatusOK || !strings.Contains(a.body, `"old"`) || strings.Contains(a.body, `"new"`) == tt.fresh {
				t.Errorf("%d %s", a.status, a.body)
			}
			if tt.fresh && !slices.Contains(usernames(t, filepath.Join(dir, "before-restore-x")), "new") {
				t.Error("the old data is lost")
			}
			again.stop()
			if _, err := app.Restore(t.Context(), file, dir, time.Now); err != nil { // and it can be done again
				t.Error(err)
			}
		})
	}
}

// A database of an older release is backed up before it is changed, five times
// at most.
func TestBackupBeforeMigration(t *testing.T) {
	t.Parallel()
	dump := mustRead(t, "../../migrations/testdata/0001.sql")
	dir := t.TempDir()
	if _, err := secret.Open(dir); err != nil {
		t.Fatal(err)
	}
	if _, err := fleet.OpenAuthority(dir, time.Now); err != nil {
		t.Fatal(err)
	}
	old := func() {
		t.Helper()
		for _, name := range []string{"berth.db", "berth.db-wal", "berth.db-shm"} {
			if err := os.Remove(filepath.Join(dir, name)); err != nil && !errors.Is(err, os.ErrNotExist) {
				t.Fatal(err)
			}
		}
		db, err := sql.Open("sqlite3", filepath.Join(dir, "berth.db"))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := db.Exec(string(dump)); err != nil {
			t.Fatal(err)
		}
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
	}
	at := time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC)
	start := func() error {
		c := config(t, dir)
		c.Log = slog.New(slog.DiscardHandler)
		at = at.Add(time.Hour)
		now := at
		c.Now = func() time.Time { return now }
		a, err := app.New(t.Context(), c)
		if err != nil {
			return err
		}
		return a.Close()
	}
	backups := func() []string {
		t.Helper()
		found, err := filepath.Glob(filepath.Join(dir, "backups", "*"))
		if err != nil {
			t.Fatal(err)
		}
		return found
	}
	for range 7 {
		old()
		if err := start(); err != nil {
			t.Fatal(err)
		}
	}
	kept := backups()
	if len(kept) != 5 || !strings.Contains(kept[0], "-20261101-03") || !strings.Contains(kept[4], "-20261101-07") {
		t.Fatalf("%v", kept)
	}
	if err := start(); err != nil || len(backups()) != 5 {
		t.Errorf("a start without a migration: %v, %v", err, backups())
	}
	// The way back: the older database as it was.
	r, err := app.Restore(t.Context(), kept[4], dir, time.Now)
	if err != nil || r.Manifest.Schema != 1 {
		t.Fatalf("%+v, %v", r, err)
	}
	if schema, err := store.Schema(t.Context(), filepath.Join(dir, "berth.db")); err != nil || schema != 1 {
		t.Errorf("%d, %v", schema, err)
	}
	// Without a backup there is no migration.
	if err := errors.Join(os.RemoveAll(filepath.Join(dir, "backups")), os.WriteFile(filepath.Join(dir, "backups"), nil, 0o600)); err != nil {
		t.Fatal(err)
	}
	if err := start(); err == nil {
		t.Error("it was migrated without a backup")
	}
	if schema, err := store.Schema(t.Context(), filepath.Join(dir, "berth.db")); err != nil || schema != 1 {
		t.Errorf("%d, %v", schema, err)
	}
}
