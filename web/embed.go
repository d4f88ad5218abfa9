// Package web holds the pages that the controller serves at /: the panel, put
// into the program so that nothing has to be installed beside it.
//
// dist is committed with one small static page in it; `make web` builds the
// panel into dist/app, which is not committed, and what is there then is
// served instead. So a fresh clone compiles and shows something without Node;
// the alternative, to build the pages first, keeps everybody who only wants the
// controller waiting for a tool that he may not have. Pages must get along with
// the front door's Content-Security-Policy: scripts and styles are files of
// their own, and nothing comes from another host.
package web

import (
	"embed"
	"fmt"
	"io/fs"
)

//go:embed all:dist
var dist embed.FS

// Pages gives the files as the browser names them: index.html is in its root.
// Those are the panel's when it was built, else the committed page's.
func Pages() (fs.FS, error) {
	root := "dist"
	if Built() {
		root = "dist/app"
	}
	pages, err := fs.Sub(dist, root)
	if err != nil {
		return nil, fmt.Errorf("open the embedded pages: %w", err)
	}
	return pages, nil
}

// Built says whether the panel is in this program.
func Built() bool {
	_, err := fs.Stat(dist, "dist/app/index.html")
	return err == nil
}
