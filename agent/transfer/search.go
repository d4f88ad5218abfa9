package transfer

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/berth-panel/berth/agent/files"
	"github.com/berth-panel/berth/shared/problem"
	"github.com/berth-panel/berth/shared/wire"
)

const (
	searchTime = 30 * time.Second
	searchLook = 10 << 20 // of a file, at most
	searchText = 500      // of a line that is shown
	searchWord = 1000     // of a question
	searchHits = 20       // lines of one file
)

// errEnough ends a search that has found all it may.
var errEnough = errors.New("enough was found")

type searcher struct {
	*site
	query  wire.FileSearch
	folder *files.Root
	name   string // in lower case
	needle []byte // in lower case, unless case matters
	out    *json.Encoder
	flush  func() error
	hits   int
	passed int
}

// search looks for files, and tells of each as it is found.
func (s *Store) search(c *call) error {
	q := wire.FileSearch{}
	if err := c.decode(&q); err != nil {
		return err
	}
	if err := checkSearch(q); err != nil {
		return err
	}
	at, err := s.open(c.id)
	if err != nil {
		return err
	}
	defer at.close()
	folder, err := at.data.Sub(q.Path)
	if err != nil {
		return at.explain(err, q.Path)
	}
	defer func() { _ = folder.Close() }()
	if err := s.searches.enter(c); err != nil {
		return err
	}
	defer s.searches.leave()
	ctx, cancel := context.WithTimeoutCause(c, searchTime, errEnough)
	defer cancel()
	c.w.Header().Set("Content-Type", "application/x-ndjson")
	f := &searcher{site: at, query: q, folder: folder, name: strings.ToLower(q.Name), needle: []byte(q.Content), out: json.NewEncoder(c.flow), flush: c.flow.control.Flush}
	if !q.Case {
		f.needle = bytes.ToLower(f.needle)
	}
	err = f.run(ctx)
	if err != nil && !errors.Is(err, errEnough) {
		return at.explain(err, q.Path)
	}
	return f.out.Encode(wire.FileHit{Last: true, Cut: err != nil, Passed: f.passed})
}

func checkSearch(q wire.FileSearch) error {
	if q.Name == "" && q.Content == "" {
		return problem.New(problem.Validation, "name or content must say what to look for")
	}
	if len(q.Name) > searchWord || len(q.Content) > searchWord {
		return problem.New(problem.Validation, "name and content have at most %d bytes", searchWord)
	}
	if strings.ContainsAny(q.Content, "\n") {
		return problem.Invalid("content", "is looked for within one line")
	}
	if q.Limit < 1 || q.Limit > wire.FileSearchMax {
		return problem.Invalid("limit", "must be 1 to %d", wire.FileSearchMax)
	}
	return valid("path", q.Path, true)
}

func (f *searcher) run(ctx context.Context) error {
	walk, err := f.folder.Walk(wire.Root)
	if err != nil {
		return err
	}
	defer walk.Close()
	for {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		info, err := walk.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if f.name != "" && !named(f.name, strings.ToLower(nameOf(info.Path))) {
			continue
		}
		entry := entryOf(info)
		entry.Path = join(f.query.Path, info.Path)
		if len(f.needle) == 0 {
			err = f.tell(wire.FileHit{Entry: &entry})
		} else if info.Kind == files.File {
			err = f.content(ctx, info, &entry)
		}
		if err != nil {
			return err
		}
	}
}

// tell sends a hit.
func (f *searcher) tell(hit wire.FileHit) error {
	if f.hits++; f.hits > f.query.Limit {
		return errEnough
	}
	if err := f.out.Encode(hit); err != nil {
		return err
	}
	return f.flush()
}

// content looks into a file.
func (f *searcher) content(ctx context.Context, info files.Info, entry *wire.FileEntry) error {
	if info.Size > searchLook {
		f.passed++
		return nil
	}
	file, _, err := f.folder.Open(info.Path)
	if err != nil {
		f.passed++
		return nil //nolint:nilerr // counted: one file that can't be read ends no search
	}
	defer func() { _ = file.Close() }()
	lines := bufio.NewReaderSize(io.LimitReader(file, searchLook), 64<<10)
	if head, _ := lines.Peek(8000); bytes.IndexByte(head, 0) >= 0 {
		f.passed++
		return nil
	}
	found := 0
	for number := 1; ; number++ {
		line, err := readLine(lines)
		if err != nil && !errors.Is(err, io.EOF) {
			f.passed++
			return nil //nolint:nilerr // as above
		}
		if f.holds(line) {
			if err := f.tell(wire.FileHit{Entry: entry, Line: number, Text: shown(line)}); err != nil {
				return err
			}
			if found++; found >= searchHits {
				return nil
			}
		}
		if err != nil || ctx.Err() != nil {
			return context.Cause(ctx)
		}
	}
}

// readLine reads a line; of one that is longer than the buffer, its beginning.
func readLine(from *bufio.Reader) ([]byte, error) {
	line, err := from.ReadSlice('\n')
	if !errors.Is(err, bufio.ErrBufferFull) {
		return bytes.TrimRight(line, "\r\n"), err
	}
	line = bytes.Clone(line)
	for errors.Is(err, bufio.ErrBufferFull) {
		_, err = from.ReadSlice('\n')
	}
	return line, err
}

func (f *searcher) holds(line []byte) bool {
	if !f.query.Case {
		line = bytes.ToLower(line)
	}
	return bytes.Contains(line, f.needle)
}

// shown is a line as an answer has it.
func shown(line []byte) string {
	if len(line) > searchText {
		line = line[:searchText]
		for n := 0; n < utf8.UTFMax && !utf8.Valid(line[max(0, len(line)-utf8.UTFMax):]); n++ {
			line = line[:len(line)-1]
		}
	}
	return strings.ToValidUTF8(string(line), "\uFFFD")
}

// named says whether a name has a part, or fits a pattern with * and ?. Both are
// in lower case.
func named(pattern, name string) bool {
	if !strings.ContainsAny(pattern, "*?") {
		return strings.Contains(name, pattern)
	}
	p, n, star, mark := 0, 0, -1, 0
	for n < len(name) {
		switch {
		case p < len(pattern) && pattern[p] == '*':
			star, mark = p, n
			p++
		case p < len(pattern) && pattern[p] == '?':
			_, size := utf8.DecodeRuneInString(name[n:])
			p, n = p+1, n+size
		case p < len(pattern) && pattern[p] == name[n]:
			p, n = p+1, n+1
		case star >= 0:
			mark++
			p, n = star+1, mark
		default:
			return false
		}
	}
	return strings.Trim(pattern[p:], "*") == ""
}
