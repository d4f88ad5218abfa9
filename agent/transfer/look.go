package transfer

import (
	"cmp"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/berth-panel/berth/agent/files"
	"github.com/berth-panel/berth/shared/problem"
	"github.com/berth-panel/berth/shared/wire"
)

// mostSorted is how many entries of a folder are put in order; those that the
// filesystem gives behind them are not seen.
const mostSorted = 200_000

// row is what is kept of an entry while a folder is sorted.
type row struct {
	name   string
	size   int64
	mtime  int64
	folder bool
}

func (s *Store) list(c *call) error {
	var q wire.FileQuery
	if err := c.decode(&q); err != nil {
		return err
	}
	if err := checkQuery(q); err != nil {
		return err
	}
	at, err := s.open(c.id)
	if err != nil {
		return err
	}
	defer at.close()
	page, err := at.page(c, q)
	if err != nil {
		return at.explain(err, q.Path)
	}
	return c.answer(http.StatusOK, page)
}

func checkQuery(q wire.FileQuery) error {
	switch q.Sort {
	case "", wire.SortName, wire.SortSize, wire.SortMTime:
	default:
		return problem.Invalid("sort", "must be name, size or mtime")
	}
	if q.Page < 1 {
		return problem.Invalid("page", "must be 1 or more")
	}
	if q.Limit < 1 || q.Limit > wire.FilePageMax {
		return problem.Invalid("limit", "must be 1 to %d", wire.FilePageMax)
	}
	return valid("path", q.Path, true)
}

func (s *site) page(c *call, q wire.FileQuery) (wire.FilePage, error) {
	page := wire.FilePage{Entries: []wire.FileEntry{}}
	folder, err := s.data.Sub(q.Path)
	if err != nil {
		return page, err
	}
	defer func() { _ = folder.Close() }()
	if err := s.folders.enter(c); err != nil {
		return page, err
	}
	defer s.folders.leave()
	var rows []row
	page.Cut, err = folder.List(wire.Root, mostSorted, func(name string, info files.Info) {
		rows = append(rows, row{name: name, size: info.Size, mtime: info.MTime, folder: info.Kind == files.Dir})
	})
	if err != nil {
		return page, err
	}
	sortRows(rows, q)
	page.Total = len(rows)
	if q.Page-1 > len(rows)/q.Limit {
		return page, nil
	}
	first := (q.Page - 1) * q.Limit
	for _, r := range rows[first:min(len(rows), first+q.Limit)] {
		info, err := folder.Lstat(wire.Path(r.name))
		if files.Gone(err) {
			continue
		}
		if err != nil {
			return page, err
		}
		info.Path = join(q.Path, info.Path)
		page.Entries = append(page.Entries, entryOf(info))
	}
	return page, nil
}

// sortRows puts folders first, in each order; the name decides between equals.
func sortRows(rows []row, q wire.FileQuery) {
	slices.SortFunc(rows, func(a, b row) int {
		if a.folder != b.folder {
			if a.folder {
				return -1
			}
			return 1
		}
		c := 0
		switch q.Sort {
		case wire.SortSize:
			c = cmp.Compare(a.size, b.size)
		case wire.SortMTime:
			c = cmp.Compare(a.mtime, b.mtime)
		}
		if c == 0 {
			c = strings.Compare(a.name, b.name)
		}
		if q.Down {
			return -c
		}
		return c
	})
}

func (s *Store) entry(c *call) error {
	path, err := c.path(true)
	if err != nil {
		return err
	}
	at, err := s.open(c.id)
	if err != nil {
		return err
	}
	defer at.close()
	info, err := at.data.Lstat(path)
	if err != nil {
		return at.explain(err, path)
	}
	return c.answer(http.StatusOK, entryOf(info))
}

// read sends a file, or the part of it that the request's header asks for.
func (s *Store) read(c *call) error {
	path, err := c.path(false)
	if err != nil {
		return err
	}
	at, err := s.open(c.id)
	if err != nil {
		return err
	}
	defer at.close()
	file, info, err := at.data.Open(path)
	if err != nil {
		return at.explain(err, path)
	}
	defer func() { _ = file.Close() }()
	h := c.w.Header()
	h.Set("Content-Type", "application/octet-stream")
	h.Set("ETag", strconv.Quote(etagOf(info)))
	http.ServeContent(c.flow, c.r, "", time.Unix(0, info.MTime), file)
	return nil
}
