package cli

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/berth-panel/berth/controller/app"
)

type backupCommand struct {
	Data string `help:"The controller's data directory." default:"./data" env:"BERTH_DATA" type:"path"`
	File string `arg:"" type:"path" help:"The file to write; it must not be there yet. It holds keys: keep it where only admins can read."`
}

// Run backs up without asking the controller: it is done by whoever may read its
// files, into a place that the controller itself may not be allowed to write to.
func (b backupCommand) Run(ctx context.Context, out *output) error {
	m, err := app.Backup(ctx, b.Data, b.File, time.Now)
	if err != nil {
		return err
	}
	info, err := os.Stat(b.File)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(out.stdout, "%s is written: %d KiB, of %s, schema %d. It holds keys: keep it where only admins can read.\n",
		b.File, (info.Size()+1023)/1024, m.CreatedAt.Format("2006-01-02 15:04:05 MST"), m.Schema)
	return err
}

type restoreCommand struct {
	Data string `help:"The controller's data directory; no controller may run on it." default:"./data" env:"BERTH_DATA" type:"path"`
	File string `arg:"" type:"existingfile" help:"A file that backup wrote, or one of the folder backups in the data directory."`
}

// Run restores.
func (r restoreCommand) Run(ctx context.Context, out *output) error {
	done, err := app.Restore(ctx, r.File, r.Data, time.Now)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(out.stdout, "%s holds the data of %s now.\n", r.Data, done.Manifest.CreatedAt.Format("2006-01-02 15:04:05 MST"))
	if err == nil && done.Aside != "" {
		_, err = fmt.Fprintf(out.stdout, "What was there before is in %s; remove that when you don't need it any more.\n", filepath.Base(done.Aside))
	}
	return err
}
