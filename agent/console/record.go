package console

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"github.com/google/uuid"

	"github.com/berth-panel/berth/shared/wire"
)

// about is what is known of a record beside its lines. A record without it is
// none: it begins anew.
type about struct {
	Record string `json:"record"`
	Boot   string `json:"boot"`  // of the machine, when it was written last
	Clean  bool   `json:"clean"` // closed in good order since
	// Container is the one whose output was recorded last, in lines from a number on;
	// Ended says that all it printed is in the record, until it is started again.
	Container string `json:"container,omitempty"`
	From      int64  `json:"from,omitempty"`
	Ended     bool   `json:"ended,omitempty"`
}

const aboutName = "about.json"

// record is the lines of one instance on disk. It is not safe for concurrent
// use; what it has written may be read beside (readLines).
type record struct {
	dir      string
	about    about
	segments []segment // by number; the last is the one that grows
	next     int64     // the number of the next line
	file     *os.File  // of the last segment; nil until something is appended, and after a failure
	buf      []byte
	broken   bool // what was written last did not reach the disk

	// wanted is the oldest line that somebody is to read next; nil: nobody is. As long
	// as he is late, behind bytes are kept.
	wanted func() int64
	behind int64
}

type segment struct {
	first int64 // number of its first line
	lines int64
	size  int64
}

// openRecord reads what is there; what isn't usable is thrown away.
func openRecord(dir, boot string) (*record, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("open a console's record: %w", err)
	}
	r := &record{dir: dir, next: 1}
	if r.about = peek(dir); r.about.Record == "" {
		if err := r.clear(); err != nil {
			return nil, err
		}
	}
	if r.about.Boot != boot && !r.about.Clean {
		r.about.Record = "" // what was seen may never have reached the disk
	}
	if r.about.Record == "" {
		r.about.Record = uuid.NewString()
	}
	r.about.Boot, r.about.Clean = boot, false
	if err := r.load(); err != nil {
		return nil, err
	}
	return r, r.note()
}

// peek reads what is known of a record without opening it; nothing when there is
// none.
func peek(dir string) (known about) {
	text, err := os.ReadFile(filepath.Join(dir, aboutName))
	if err != nil || json.Unmarshal(text, &known) != nil || known.Record == "" {
		return about{}
	}
	return known
}

// clear removes all lines.
func (r *record) clear() error {
	names, err := os.ReadDir(r.dir)
	if err != nil {
		return fmt.Errorf("clear a console's record: %w", err)
	}
	r.about = about{}
	for _, n := range names {
		if err := os.RemoveAll(filepath.Join(r.dir, n.Name())); err != nil {
			return fmt.Errorf("clear a console's record: %w", err)
		}
	}
	return nil
}

// load finds the segments. Only the last one may be torn.
func (r *record) load() error {
	names, err := os.ReadDir(r.dir)
	if err != nil {
		return fmt.Errorf("read a console's record: %w", err)
	}
	for _, n := range names {
		first, ok := segmentOf(n.Name())
		if !ok {
			continue
		}
		info, err := n.Info()
		if err != nil {
			return fmt.Errorf("read a console's record: %w", err)
		}
		r.segments = append(r.segments, segment{first: first, size: info.Size()})
	}
	slices.SortFunc(r.segments, func(a, b segment) int { return int(a.first - b.first) })
	for i := range r.segments {
		s := &r.segments[i]
		if i+1 < len(r.segments) {
			s.lines = r.segments[i+1].first - s.first // less after a failure, which readers find out
			continue
		}
		lines, size, err := scan(r.dir, s.first)
		if err != nil {
			return fmt.Errorf("read a console's record: %w", err)
		}
		if size < s.size {
			if err := os.Truncate(filepath.Join(r.dir, segmentName(s.first)), size); err != nil {
				return fmt.Errorf("mend a console's record: %w", err)
			}
		}
		s.lines, s.size = lines, size
		r.next = s.first + lines
	}
	return nil
}

// note writes what is known of the record.
func (r *record) note() error {
	text, err := json.Marshal(r.about)
	if err != nil {
		return fmt.Errorf("note about a console's record: %w", err)
	}
	path := filepath.Join(r.dir, aboutName)
	if err := os.WriteFile(path+".new", text, 0o600); err != nil {
		return fmt.Errorf("note about a console's record: %w", err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		return fmt.Errorf("note about a console's record: %w", err)
	}
	return nil
}

// first is the number of the oldest line that is kept; next when there is none.
func (r *record) first() int64 {
	if len(r.segments) == 0 {
		return r.next
	}
	return r.segments[0].first
}

// append numbers lines and writes them. The numbers are given also when the disk
// fails: then the lines are not in the files, and the record is none for the next
// agent unless a later append works.
func (r *record) append(entries []entry) error {
	var failed error
	for len(entries) > 0 && failed == nil {
		var n int
		if n, failed = r.fill(entries); failed == nil {
			entries = entries[n:]
		}
	}
	if failed == nil {
		return nil
	}
	r.next += int64(len(entries))
	r.letGo()
	if !r.broken {
		r.broken = true
		_ = os.Remove(filepath.Join(r.dir, aboutName))
	}
	return failed
}

// fill writes as many lines as fit into the last segment, at least one.
func (r *record) fill(entries []entry) (n int, err error) {
	if err := r.ready(); err != nil {
		return 0, err
	}
	s := &r.segments[len(r.segments)-1]
	r.buf = r.buf[:0]
	for n < len(entries) && (n == 0 || s.size+int64(len(r.buf))+sizeOf(entries[n]) <= segmentSize) {
		r.buf = appendEntry(r.buf, entries[n])
		n++
	}
	if _, err := r.file.Write(r.buf); err != nil {
		_ = r.file.Truncate(s.size)
		return 0, err
	}
	if r.broken {
		r.broken = false
		if err := r.note(); err != nil {
			r.broken = true
		}
	}
	s.size, s.lines, r.next = s.size+int64(len(r.buf)), s.lines+int64(n), r.next+int64(n)
	if cap(r.buf) > 8<<10 {
		r.buf = nil
	}
	return n, nil
}

// ready opens the last segment, or begins another one when it is full or the
// numbers don't go on there.
func (r *record) ready() error {
	if len(r.segments) > 0 {
		s := r.segments[len(r.segments)-1]
		if s.size < segmentSize && s.first+s.lines == r.next && s.lines > 0 {
			if r.file != nil {
				return nil
			}
			file, err := os.OpenFile(filepath.Join(r.dir, segmentName(s.first)), os.O_WRONLY|os.O_APPEND, 0o600)
			if err == nil {
				r.file = file
			}
			return err
		}
	}
	r.letGo()
	r.drop()
	path := filepath.Join(r.dir, segmentName(r.next))
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_APPEND|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	if _, err := file.WriteString(segmentMagic); err != nil {
		_ = file.Close()
		_ = os.Remove(path)
		return err
	}
	if i := len(r.segments) - 1; i >= 0 && r.segments[i].first == r.next {
		r.segments = r.segments[:i] // an empty one
	}
	r.file = file
	r.segments = append(r.segments, segment{first: r.next, size: int64(len(segmentMagic))})
	return nil
}

// drop removes the oldest segments, so that another one has room.
func (r *record) drop() {
	wanted := r.next
	if r.wanted != nil {
		wanted = r.wanted()
	}
	for len(r.segments) > 0 {
		var bytes int64
		for _, s := range r.segments {
			bytes += s.size
		}
		second := r.next // the first line that is kept for sure
		if len(r.segments) > 1 {
			second = r.segments[1].first
		}
		enough, most := r.next-second >= wire.ConsoleRecord, int64(wire.ConsoleBytes)
		if wanted < second {
			enough, most = false, max(most, r.behind)
		}
		if !enough && bytes+segmentSize <= most {
			return
		}
		if err := os.Remove(filepath.Join(r.dir, segmentName(r.segments[0].first))); err != nil && !errors.Is(err, os.ErrNotExist) {
			return
		}
		r.segments = r.segments[1:]
	}
}

// holder gives the segment that a number belongs to, and the first number behind
// that segment's; false when the number is not kept or not written yet.
func (r *record) holder(seq int64) (segment, behind int64, ok bool) {
	if seq >= r.next {
		return 0, 0, false
	}
	for i := len(r.segments) - 1; i >= 0; i-- {
		if r.segments[i].first <= seq {
			behind = r.next
			if i+1 < len(r.segments) {
				behind = r.segments[i+1].first
			}
			return r.segments[i].first, behind, true
		}
	}
	return 0, 0, false
}

func (r *record) letGo() {
	if r.file != nil {
		_ = r.file.Close()
		r.file = nil
	}
}

// close leaves the record in good order.
func (r *record) close() error {
	r.letGo()
	if r.broken {
		return nil
	}
	r.about.Clean = true
	return r.note()
}
