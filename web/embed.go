// Package web holds the pages that the controller serves at /: the files of
// dist, put into the program so that nothing has to be installed beside it.
//
// dist is committed with one small static page in it. So a fresh clone compiles
// and shows something without Node; the alternative, to build the pages first,
// keeps everybody who only wants the controller waiting for a tool that he may
// not have. Pages must get along with the front door's Content-Security-Policy:
// scripts and styles are files of their own, and nothing comes from another host.
package web

import (
	"embed"
	"fmt"
	"io/fs"
)

//go:embed all:dist
var dist embed.FS

// Pages gives the files as the browser names them: index.html is in its root.
func Pages() (fs.FS, error) {
	pages, err := fs.Sub(dist, "dist")
	if err != nil {
		return nil, fmt.Errorf("open the embedded pages: %w", err)
	}
	return pages, nil
}
