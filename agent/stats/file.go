package stats

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"

	"github.com/berth-panel/berth/shared/ident"
)

// magic begins each file; another one is another layout, and begun anew.
const magic = "BERTHST1"

const (
	headSize = 64
	suffix   = ".ring"
	nodeName = "node" + suffix
)

// fileSize is that of a whole file.
var fileSize = headSize + int64(tens.slots+minutes.slots)*slotSize

// files are the histories on disk. Safe for concurrent use, but of one file by
// two writers.
type files struct{ root *os.Root }

func openFiles(dir string) (*files, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("the histories' directory: %w", err)
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, fmt.Errorf("the histories' directory: %w", err)
	}
	return &files{root: root}, nil
}

func (f *files) close() error { return f.root.Close() }

func nameOf(id ident.Instance) string { return string(id) + suffix }

// offset is where a level's slots begin.
func offset(i int) int64 {
	if i == 0 {
		return headSize
	}
	return headSize + int64(tens.slots)*slotSize
}

// write puts points into their slots.
func (f *files) write(name string, points [2][]point) (err error) {
	file, err := f.root.OpenFile(name, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	if !whole(file) {
		if err := begin(file); err != nil {
			return err
		}
	}
	buffer := make([]byte, 0, pendingMost*slotSize)
	for i, l := range inFile {
		for from := 0; from < len(points[i]); {
			to := from + 1 // as many as lie side by side
			for to < len(points[i]) && l.slot(points[i][to].at) == l.slot(points[i][to-1].at)+1 {
				to++
			}
			buffer = buffer[:0]
			for _, p := range points[i][from:to] {
				buffer = p.encode(buffer)
			}
			if _, err := file.WriteAt(buffer, offset(i)+int64(l.slot(points[i][from].at))*slotSize); err != nil {
				return err
			}
			from = to
		}
	}
	return nil
}

// whole says whether the file is one of ours, and of full length.
func whole(file *os.File) bool {
	head := make([]byte, len(magic))
	_, err := file.ReadAt(head, 0)
	info, failed := file.Stat()
	return err == nil && failed == nil && string(head) == magic && info.Size() == fileSize
}

// begin makes an empty one; its slots take no room before they are written.
func begin(file *os.File) error {
	if err := file.Truncate(0); err != nil {
		return err
	}
	if err := file.Truncate(fileSize); err != nil {
		return err
	}
	_, err := file.WriteAt([]byte(magic), 0)
	return err
}

// read gives the points of a level that the file holds, in the order of their
// slots. No file, a torn one and one of another layout hold none, or fewer.
func (f *files) read(name string, i int) ([]point, error) {
	file, err := f.root.Open(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer func() { _ = file.Close() }()
	head := make([]byte, len(magic))
	if _, err := file.ReadAt(head, 0); err != nil || string(head) != magic {
		return nil, nil //nolint:nilerr // it is too short to be ours
	}
	l := inFile[i]
	content, err := io.ReadAll(io.NewSectionReader(file, offset(i), int64(l.slots)*slotSize))
	if err != nil {
		return nil, err
	}
	var points []point
	for slot := uint32(0); (int(slot)+1)*slotSize <= len(content); slot++ {
		p, ok := decode(content[slot*slotSize : (slot+1)*slotSize])
		if ok && p.at%l.step == 0 && l.slot(p.at) == slot {
			points = append(points, p)
		}
	}
	return points, nil
}

// sweep removes the files of instances that are not held, and whatever else does
// not belong there.
func (f *files) sweep(holds func(ident.Instance) bool) error {
	dir, err := f.root.Open(".")
	if err != nil {
		return err
	}
	defer func() { _ = dir.Close() }()
	names, err := dir.Readdirnames(-1)
	for _, name := range names {
		id, ok := strings.CutSuffix(name, suffix)
		if name == nodeName || ok && ident.Instance(id).Valid() && holds(ident.Instance(id)) {
			continue
		}
		if failed := f.root.RemoveAll(name); failed != nil {
			err = errors.Join(err, failed)
		}
	}
	return err
}
