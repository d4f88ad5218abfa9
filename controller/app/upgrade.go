package app

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/berth-panel/berth/controller/store"
)

const (
	backupsDir  = "backups" // of the controller's own making, in the data directory
	keptBackups = 5
)

// beforeMigration backs a database up that is about to be brought to a newer
// schema: that is the only way back from a migration.
func (a *App) beforeMigration(ctx context.Context) error {
	path := filepath.Join(a.cfg.Data, databaseFile)
	have, err := store.Schema(ctx, path)
	if err != nil {
		return fmt.Errorf("look at the database: %w", err)
	}
	newest, err := store.Newest()
	if err != nil || have == 0 || have >= newest { // a newer one is refused when it is opened
		return err
	}
	dir := filepath.Join(a.cfg.Data, backupsDir)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("make the folder of backups: %w", err)
	}
	name := fmt.Sprintf("before-%04d-%s.tar.gz", newest, a.cfg.Now().UTC().Format("20060102-150405.000"))
	if _, err := Backup(ctx, a.cfg.Data, filepath.Join(dir, name), a.cfg.Now); err != nil {
		return fmt.Errorf("the database must be backed up before it is brought to this release's schema: %w", err)
	}
	if err := errors.Join(ownOne(a.cfg.Data, dir), ownOne(a.cfg.Data, filepath.Join(dir, name))); err != nil {
		return fmt.Errorf("give the backup to the controller's user: %w", err)
	}
	a.cfg.Log.Info("the database was backed up and is now brought to a newer schema", "from", have, "to", newest, "backup", filepath.Join(dir, name))
	return a.thinBackups(dir)
}

// thinBackups keeps the newest; their names are in order of time within a schema.
func (a *App) thinBackups(dir string) error {
	found, err := filepath.Glob(filepath.Join(dir, "before-[0-9][0-9][0-9][0-9]-*.tar.gz"))
	if err != nil {
		return err
	}
	slices.SortFunc(found, func(x, y string) int { return strings.Compare(madeAt(x), madeAt(y)) })
	for _, old := range found[:max(len(found)-keptBackups, 0)] {
		if err := os.Remove(old); err != nil {
			a.cfg.Log.Warn("an old backup could not be removed", "file", old, "error", err)
		}
	}
	return nil
}

// madeAt is the time in a backup's name.
func madeAt(path string) string { return filepath.Base(path)[len("before-0000-"):] }
