package app

import (
	"archive/tar"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/berth-panel/berth/controller/fleet"
	"github.com/berth-panel/berth/controller/secret"
	"github.com/berth-panel/berth/controller/sftp"
	"github.com/berth-panel/berth/controller/store"
	"github.com/berth-panel/berth/shared/build"
)

// backupFormat is raised when a backup can't be read by older releases.
const backupFormat = 1

// manifestFile is the first entry of a backup.
const manifestFile = "berth-backup.json"

// Manifest is what a backup says of itself.
type Manifest struct {
	Format    int                     `json:"format"`
	CreatedAt time.Time               `json:"created_at"`
	Release   string                  `json:"release"` // of the program that made it
	Schema    int                     `json:"schema"`  // number of the last migration
	Files     map[string]ManifestFile `json:"files"`
}

// ManifestFile is one file of a backup.
type ManifestFile struct {
	Size   int64  `json:"size"`
	SHA256 string `json:"sha256"`
}

// keptFiles are those of a data directory that make a controller what it is, the
// database first.
func keptFiles() []string {
	return []string{databaseFile, secret.FileName, fleet.CAKeyFile, fleet.CACertificateFile, urlFile, sftp.HostKeyFile}
}

// Backup writes all that a controller's data directory holds into one new file,
// for its owner's eyes only: it holds keys. It may be made while the controller
// runs, which goes on writing. What was answered before Backup was called is in
// it. A file that exists is never written over; one that Backup did not finish
// is not there.
func Backup(ctx context.Context, dir, file string, now func() time.Time) (Manifest, error) {
	if _, err := os.Stat(filepath.Join(dir, databaseFile)); err != nil {
		return Manifest{}, errNoData(dir)
	}
	if _, err := os.Lstat(file); err == nil {
		return Manifest{}, errThere(file)
	}
	work, err := os.MkdirTemp(filepath.Dir(file), ".berth-backup-*") // 0700, and of the same file system
	if err != nil {
		return Manifest{}, fmt.Errorf("make the backup: %w", err)
	}
	defer func() { _ = os.RemoveAll(work) }()
	m := Manifest{Format: backupFormat, CreatedAt: now().UTC(), Release: build.Version, Files: map[string]ManifestFile{}}
	if err := collect(ctx, dir, work, &m); err != nil {
		return m, fmt.Errorf("make the backup: %w", err)
	}
	whole := filepath.Join(work, "whole")
	if err := pack(work, whole, m); err != nil {
		return m, fmt.Errorf("write the backup: %w", err)
	}
	// A link fails when the name is taken, where a rename would replace it.
	if err := os.Link(whole, file); errors.Is(err, fs.ErrExist) {
		return m, errThere(file)
	} else if err != nil { // a file system without links
		if err := os.Rename(whole, file); err != nil {
			return m, fmt.Errorf("write the backup: %w", err)
		}
	}
	return m, syncDir(filepath.Dir(file))
}

func errNoData(dir string) error {
	return fmt.Errorf("no controller has run on %s yet: start one with serve, or name its directory with --data", dir)
}

func errThere(file string) error {
	return fmt.Errorf("%s is there already, and no backup is ever written over: choose another name", file)
}

// collect copies what belongs into a backup and describes it.
func collect(ctx context.Context, dir, work string, m *Manifest) error {
	for _, name := range keptFiles() {
		to := filepath.Join(work, name)
		if name == databaseFile {
			f, err := os.OpenFile(to, os.O_CREATE|os.O_EXCL, 0o600)
			if err != nil {
				return err
			}
			if err := errors.Join(f.Close(), store.Snapshot(ctx, filepath.Join(dir, name), to)); err != nil {
				return err
			}
		} else {
			text, err := os.ReadFile(filepath.Join(dir, name))
			if errors.Is(err, fs.ErrNotExist) && (name == urlFile || name == sftp.HostKeyFile) {
				continue // a controller that was never told one, or serves no SFTP
			}
			if err != nil {
				return err
			}
			if err := os.WriteFile(to, text, 0o600); err != nil {
				return err
			}
		}
		described, err := describe(to)
		if err != nil {
			return err
		}
		m.Files[name] = described
	}
	var err error
	m.Schema, err = store.Schema(ctx, filepath.Join(work, databaseFile))
	return err
}

func describe(path string) (ManifestFile, error) {
	f, err := os.Open(path)
	if err != nil {
		return ManifestFile{}, err
	}
	defer func() { _ = f.Close() }()
	hash := sha256.New()
	n, err := io.Copy(hash, f)
	return ManifestFile{Size: n, SHA256: hex.EncodeToString(hash.Sum(nil))}, err
}

// pack writes the manifest and the files as tar.gz.
func pack(work, to string, m Manifest) (err error) {
	f, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	zipped, err := gzip.NewWriterLevel(f, gzip.BestSpeed)
	if err != nil {
		return err
	}
	out := tar.NewWriter(zipped)
	text, err := json.MarshalIndent(m, "", "  ")
	if err != nil {
		return err
	}
	header := func(name string, size int64) error {
		return out.WriteHeader(&tar.Header{Name: name, Mode: 0o600, Size: size, ModTime: m.CreatedAt, Format: tar.FormatPAX})
	}
	if err := header(manifestFile, int64(len(text))); err != nil {
		return err
	}
	if _, err := out.Write(text); err != nil {
		return err
	}
	for _, name := range keptFiles() {
		described, there := m.Files[name]
		if !there {
			continue
		}
		if err := header(name, described.Size); err != nil {
			return err
		}
		if err := copyInto(out, filepath.Join(work, name)); err != nil {
			return err
		}
	}
	return errors.Join(out.Close(), zipped.Close(), f.Sync())
}

func copyInto(out io.Writer, path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, f)
	return errors.Join(err, f.Close())
}

// syncDir makes new names survive a power cut.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
