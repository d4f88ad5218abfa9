package app

import (
	"archive/tar"
	"bufio"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"time"

	"github.com/berth-panel/berth/controller/fleet"
	"github.com/berth-panel/berth/controller/secret"
	"github.com/berth-panel/berth/controller/store"
)

const (
	freshDir    = "restore-new"  // unpacked and checked, not in place yet
	restoreNote = "restore.json" // there while files are being exchanged
	maxManifest = 1 << 20        // bytes
)

// exchange is what restoreNote says: from its first writing on, the restore is
// carried through, by whoever opens the directory next.
type exchange struct {
	Aside string `json:"aside"` // folder that the old files are moved to
	Clear bool   `json:"clear"` // the old files are all aside; the new ones come
}

// Restored says how a restore went.
type Restored struct {
	Manifest Manifest
	Aside    string // folder that now holds the data of before; "" there was none
}

// Restore puts a backup into a data directory. All of it is unpacked beside and
// checked before anything is touched; what is there is moved into a folder with
// the date in its name. A process that is killed leaves the old data or, after
// the next start, the new. ErrInUse says that a controller runs there.
func Restore(ctx context.Context, file, dir string, now func() time.Time) (Restored, error) {
	f, err := os.Open(file)
	if err != nil {
		return Restored{}, err
	}
	defer func() { _ = f.Close() }()
	held, err := acquire(dir)
	if errors.Is(err, ErrInUse) {
		return Restored{}, fmt.Errorf("%w: stop it first (systemctl stop berth-controller)", err)
	}
	if err != nil {
		return Restored{}, err
	}
	defer func() { _ = held.release() }()
	if err := finishRestore(dir); err != nil { // of one that was killed
		return Restored{}, err
	}
	fresh := filepath.Join(dir, freshDir)
	if err := os.RemoveAll(fresh); err != nil {
		return Restored{}, err
	}
	m, err := unpack(ctx, f, fresh, now)
	if err != nil {
		return Restored{}, errors.Join(fmt.Errorf("%s can't be restored: %w; nothing was changed", file, err), os.RemoveAll(fresh))
	}
	r := Restored{Manifest: m}
	e := exchange{Aside: "before-restore-" + now().UTC().Format("20060102-150405.000")}
	if slices.ContainsFunc(movedFiles(), func(name string) bool { return exists(filepath.Join(dir, name)) }) {
		r.Aside = filepath.Join(dir, e.Aside)
	}
	if err := errors.Join(own(dir, fresh), ownOne(dir, filepath.Join(dir, lockFile)), writeExchange(dir, e)); err != nil {
		return r, err
	}
	return r, finishRestore(dir)
}

// movedFiles are all that a restore takes away, SQLite's own among them.
func movedFiles() []string { return append(keptFiles(), databaseFile+"-wal", databaseFile+"-shm") }

func exists(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}

// finishRestore carries a restore through that has been noted; without one it
// does nothing. Needs the directory's lock.
func finishRestore(dir string) error {
	text, err := os.ReadFile(filepath.Join(dir, restoreNote))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("go on with the restore: %w", err)
	}
	var e exchange
	if err := json.Unmarshal(text, &e); err != nil || e.Aside == "" || filepath.Base(e.Aside) != e.Aside {
		return fmt.Errorf("%s in %s can't be read: the restore that wrote it can't be finished; remove it to keep the files that are there", restoreNote, dir)
	}
	if !e.Clear {
		if err := moveAside(dir, e.Aside); err != nil {
			return fmt.Errorf("move the data of before aside: %w", err)
		}
		e.Clear = true
		if err := writeExchange(dir, e); err != nil {
			return err
		}
	}
	fresh := filepath.Join(dir, freshDir)
	for _, name := range keptFiles() {
		if err := os.Rename(filepath.Join(fresh, name), filepath.Join(dir, name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("put the restored data in place: %w", err)
		}
	}
	if err := syncDir(dir); err != nil {
		return err
	}
	if err := os.Remove(filepath.Join(dir, restoreNote)); err != nil {
		return err
	}
	return errors.Join(os.RemoveAll(fresh), syncDir(dir))
}

func moveAside(dir, name string) error {
	aside := filepath.Join(dir, name)
	if err := os.MkdirAll(aside, 0o700); err != nil {
		return err
	}
	for _, f := range movedFiles() {
		if err := os.Rename(filepath.Join(dir, f), filepath.Join(aside, f)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	if err := ownOne(dir, aside); err != nil {
		return err
	}
	_ = os.Remove(aside) // nothing was there: no empty folder stays
	return syncDir(dir)
}

// writeExchange writes the note so that a killed process leaves the old or the new.
func writeExchange(dir string, e exchange) error {
	text, err := json.Marshal(e)
	if err != nil {
		return err
	}
	temp := filepath.Join(dir, restoreNote+".new")
	f, err := os.OpenFile(temp, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(text)
	if err := errors.Join(err, f.Sync(), f.Close(), ownOne(dir, temp)); err != nil {
		return err
	}
	if err := os.Rename(temp, filepath.Join(dir, restoreNote)); err != nil {
		return err
	}
	return syncDir(dir)
}

// unpack writes a backup's files into a new folder and checks all of them.
func unpack(ctx context.Context, from io.Reader, into string, now func() time.Time) (Manifest, error) {
	var m Manifest
	if err := os.Mkdir(into, 0o700); err != nil {
		return m, err
	}
	zipped, err := gzip.NewReader(bufio.NewReaderSize(from, 1<<16))
	if err != nil {
		return m, errNoBackup(err)
	}
	in := tar.NewReader(zipped)
	if m, err = readManifest(in); err != nil {
		return m, err
	}
	for range m.Files {
		header, err := in.Next()
		if err != nil {
			return m, errNoBackup(err)
		}
		want, listed := m.Files[header.Name]
		if !listed || header.Typeflag != tar.TypeReg || !slices.Contains(keptFiles(), header.Name) {
			return m, fmt.Errorf("it holds %q, which belongs in no backup", header.Name)
		}
		path := filepath.Join(into, header.Name)
		if err := unpackOne(in, path, want); err != nil {
			return m, fmt.Errorf("%s: %w", header.Name, err)
		}
	}
	if _, err := in.Next(); !errors.Is(err, io.EOF) {
		return m, errNoBackup(err)
	}
	if _, err := io.Copy(io.Discard, zipped); err != nil { // the sum at its end
		return m, errNoBackup(err)
	}
	return m, errors.Join(inspect(ctx, into, m, now), syncDir(into))
}

func errNoBackup(cause error) error {
	if cause == nil {
		cause = errors.New("there is more in it than it says")
	}
	return fmt.Errorf("it is no backup of a controller, or it is damaged or cut off (%w)", cause)
}

func readManifest(in *tar.Reader) (Manifest, error) {
	var m Manifest
	header, err := in.Next()
	if err != nil || header.Name != manifestFile {
		return m, errNoBackup(err)
	}
	if err := json.NewDecoder(io.LimitReader(in, maxManifest)).Decode(&m); err != nil {
		return m, errNoBackup(err)
	}
	if m.Format != backupFormat {
		return m, fmt.Errorf("it has format %d, this program (which knows %d) can't read it: use the release %s, which made it", m.Format, backupFormat, m.Release)
	}
	return m, nil
}

func unpackOne(in io.Reader, path string, want ManifestFile) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, modeOf(filepath.Base(path)))
	if err != nil {
		return err
	}
	_, err = io.Copy(f, in)
	var ours *fs.PathError // the disk is full, say; all else is the backup's fault
	if err != nil && !errors.As(err, &ours) {
		err = errNoBackup(err)
	}
	if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	got, err := describe(path)
	if err == nil && got != want {
		err = errors.New("its content is not what was backed up")
	}
	return err
}

func modeOf(name string) fs.FileMode {
	if name == fleet.CACertificateFile {
		return 0o644
	}
	return 0o600
}

// inspect sees whether what was unpacked is a controller that could start.
func inspect(ctx context.Context, dir string, m Manifest, now func() time.Time) error {
	for _, name := range []string{databaseFile, secret.FileName, fleet.CAKeyFile, fleet.CACertificateFile} {
		if !exists(filepath.Join(dir, name)) { // opening one that is missing would make it
			return fmt.Errorf("%s is missing in it", name)
		}
	}
	schema, err := store.Check(ctx, filepath.Join(dir, databaseFile))
	if err != nil {
		return err
	}
	if schema != m.Schema {
		return fmt.Errorf("its database has the schema %d, not %d as it says", schema, m.Schema)
	}
	if _, err := secret.Open(dir); err != nil {
		return err
	}
	_, err = fleet.OpenAuthority(dir, now)
	return err
}

// own gives what was unpacked to the owner of the data directory: a restore is
// often done by root, and the controller often isn't.
func own(dir, fresh string) error {
	entries, err := os.ReadDir(fresh)
	if err != nil {
		return err
	}
	errs := []error{ownOne(dir, fresh)}
	for _, e := range entries {
		errs = append(errs, ownOne(dir, filepath.Join(fresh, e.Name())))
	}
	return errors.Join(errs...)
}

func ownOne(dir, path string) error {
	info, err := os.Stat(dir)
	if err != nil {
		return err
	}
	owner, ok := info.Sys().(*syscall.Stat_t)
	if !ok || os.Geteuid() != 0 || owner.Uid == 0 {
		return nil
	}
	if err := os.Lchown(path, int(owner.Uid), int(owner.Gid)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}
