package file_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/berth-panel/berth/shared/problem"
	"github.com/berth-panel/berth/shared/wire"
)

// volume is the agent's side of wire/file.go over files in memory: enough of it
// for what the controller does with the answers. What a volume really does is
// tested with the real agent, in controller/e2e.
type volume struct {
	mu      sync.Mutex
	files   map[wire.Path][]byte
	uploads map[string]*held
	tasks   map[string]wire.FileTask
	states  map[string]wire.FileTaskState // what a task's next looks are told
	puts    map[string]int
	stopped []string
	calls   []string
	refuse  func(r *http.Request) *problem.Problem
	cut     bool          // its lists are
	gate    chan struct{} // content waits for it after its first half
}

type held struct {
	wire.FileUpload
	got    []byte
	during chan struct{} // closed when the part under way has ended
	cut    func()
}

func newVolume() *volume {
	return &volume{files: map[wire.Path][]byte{}, uploads: map[string]*held{}, tasks: map[string]wire.FileTask{}, states: map[string]wire.FileTaskState{}, puts: map[string]int{}}
}

func (v *volume) do(f func()) {
	v.mu.Lock()
	defer v.mu.Unlock()
	f()
}

// file gives a file's content.
func (v *volume) file(p wire.Path) (content []byte, there bool) {
	v.do(func() { content, there = v.files[p] })
	return content, there
}

func etag(content []byte) string {
	sum := sha256.Sum256(content)
	return hex.EncodeToString(sum[:8])
}

func (v *volume) entry(p wire.Path) wire.FileEntry {
	return wire.FileEntry{Path: p, Kind: wire.EntryFile, Mode: 0o644, Size: int64(len(v.files[p])), MTime: time.Unix(1700000000, 0).UTC(), ETag: etag(v.files[p])}
}

// ServeHTTP answers /v1/instances/ID/files/….
func (v *volume) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	_, rest, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, wire.PathInstances+"/"), "/files/")
	v.mu.Lock()
	v.calls = append(v.calls, r.Method+" "+rest)
	refuse := v.refuse
	v.mu.Unlock()
	if refuse != nil {
		if p := refuse(r); p != nil {
			give(w, p.Code.Status(), p)
			return
		}
	}
	verb, id, _ := strings.Cut(rest, "/")
	switch r.Method + " " + verb {
	case "GET content":
		v.get(w, r)
	case "PUT content":
		v.put(w, r)
	case "PUT tasks", "GET tasks", "DELETE tasks":
		v.task(w, r, id)
	case "PUT uploads", "GET uploads", "PATCH uploads", "POST uploads", "DELETE uploads":
		v.upload(w, r, id)
	default:
		v.short(w, r, verb)
	}
}

func give(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body) // the caller may be gone
}

func missing(w http.ResponseWriter) {
	p := problem.New(problem.NotFound, "there is nothing of that name")
	give(w, p.Code.Status(), p)
}

func pathIn(r *http.Request) (p wire.Path) {
	_ = p.UnmarshalText([]byte(r.URL.Query().Get("path")))
	return p
}

func (v *volume) short(w http.ResponseWriter, r *http.Request, verb string) {
	v.mu.Lock()
	defer v.mu.Unlock()
	switch verb {
	case "list":
		var q wire.FileQuery
		_ = json.NewDecoder(r.Body).Decode(&q)
		page := wire.FilePage{Total: len(v.files)}
		for p := range v.files {
			page.Entries = append(page.Entries, v.entry(p))
		}
		slices.SortFunc(page.Entries, func(a, b wire.FileEntry) int { return a.Path.Compare(b.Path) })
		from := min((q.Page-1)*q.Limit, len(page.Entries))
		page.Entries = page.Entries[from:min(from+q.Limit, len(page.Entries))]
		page.Cut = v.cut
		give(w, 200, page)
	case "entry":
		if _, there := v.files[pathIn(r)]; !there {
			missing(w)
			return
		}
		give(w, 200, v.entry(pathIn(r)))
	case "folder":
		var f wire.FileFolder
		_ = json.NewDecoder(r.Body).Decode(&f)
		give(w, 200, wire.FileEntry{Path: f.Path, Kind: wire.EntryDir, Mode: 0o755})
	case "rename":
		var f wire.FileRenames
		_ = json.NewDecoder(r.Body).Decode(&f)
		done := wire.FileDone{}
		for _, one := range f.Renames {
			content, there := v.files[one.From]
			if !there {
				done.Failed = append(done.Failed, wire.FileFailure{Path: one.From, Problem: *problem.New(problem.NotFound, "there is nothing of that name")})
				continue
			}
			delete(v.files, one.From)
			v.files[one.To] = content
			done.Count++
		}
		give(w, 200, done)
	case "chmod":
		var f wire.FileChmod
		_ = json.NewDecoder(r.Body).Decode(&f)
		give(w, 200, wire.FileDone{Count: len(f.Paths)})
	case "search":
		for p := range v.files {
			e := v.entry(p)
			_ = json.NewEncoder(w).Encode(wire.FileHit{Entry: &e, Line: 3, Text: "a line"})
		}
		_ = json.NewEncoder(w).Encode(wire.FileHit{Last: true, Passed: 2})
	case "bundle":
		var f wire.FileBundle
		_ = json.NewDecoder(r.Body).Decode(&f)
		_, _ = w.Write([]byte("an archive of " + string(f.Folder) + " as " + string(f.Format)))
	default:
		missing(w)
	}
}

func (v *volume) get(w http.ResponseWriter, r *http.Request) {
	content, there := v.file(pathIn(r))
	if !there {
		missing(w)
		return
	}
	var gate chan struct{}
	v.do(func() { gate = v.gate })
	w.Header().Set("Etag", `"`+etag(content)+`"`)
	w.Header().Set("Content-Type", "text/html") // it is not believed
	if gate != nil {
		w.Header().Set("Content-Length", strconv.Itoa(len(content)))
		_, _ = w.Write(content[:len(content)/2])
		_ = http.NewResponseController(w).Flush()
		select {
		case <-gate:
		case <-r.Context().Done():
			return
		}
		_, _ = w.Write(content[len(content)/2:])
		return
	}
	http.ServeContent(w, r, "", time.Unix(1700000000, 0), bytes.NewReader(content))
}

func (v *volume) put(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	p, match := pathIn(r), strings.Trim(r.URL.Query().Get("match"), `"`)
	old, there := v.files[p]
	if match == "-" && there || match == "*" && !there || len(match) > 1 && (!there || match != etag(old)) {
		changed := problem.New(problem.Conflict, "%s was changed by somebody else meanwhile: its etag is %s", p, etag(old))
		changed.Fields = []problem.Field{{Field: "match", Message: changed.Message}}
		give(w, 409, changed)
		return
	}
	v.files[p] = body
	give(w, 200, v.entry(p))
}

func (v *volume) task(w http.ResponseWriter, r *http.Request, id string) {
	v.mu.Lock()
	defer v.mu.Unlock()
	switch r.Method {
	case http.MethodPut:
		v.puts[id]++
		if _, there := v.tasks[id]; !there {
			var t wire.FileTask
			if err := json.NewDecoder(r.Body).Decode(&t); err != nil {
				give(w, 400, problem.New(problem.BadRequest, "%s", err))
				return
			}
			v.tasks[id] = t
		}
		state, scripted := v.states[id]
		if !scripted {
			if state, scripted = v.states[""]; !scripted {
				state = wire.FileTaskState{Done: true, Percent: 100, Files: 3, Bytes: 5}
			}
		}
		give(w, 202, state)
	case http.MethodDelete:
		v.stopped = append(v.stopped, id)
		w.WriteHeader(http.StatusNoContent)
	}
}

// upload is as the wire says: each call ends the part that is under way, of which
// what came stays unless it has a sum.
func (v *volume) upload(w http.ResponseWriter, r *http.Request, id string) {
	v.mu.Lock()
	u := v.uploads[id]
	if u != nil && u.during != nil {
		u.cut()
		during := u.during
		v.mu.Unlock()
		<-during
		v.mu.Lock()
	}
	if r.Method == http.MethodPatch && u != nil {
		v.patch(w, r, u) // gives the lock back
		return
	}
	defer v.mu.Unlock()
	switch {
	case r.Method == http.MethodPut:
		var begun wire.FileUpload
		_ = json.NewDecoder(r.Body).Decode(&begun)
		if u == nil {
			if _, there := v.files[begun.Path]; there && !begun.Overwrite {
				give(w, 409, problem.New(problem.Conflict, "%s is there already", begun.Path))
				return
			}
			u = &held{FileUpload: begun}
			v.uploads[id] = u
		}
		give(w, 200, wire.FileUploadState{Upload: u.FileUpload, Offset: int64(len(u.got))})
	case u == nil:
		missing(w)
	case r.Method == http.MethodPost:
		v.files[u.Path] = u.got
		give(w, 200, v.entry(u.Path))
	case r.Method == http.MethodDelete:
		delete(v.uploads, id)
		w.WriteHeader(http.StatusNoContent)
	}
}

var errCut = errors.New("another call about the upload came")

func (v *volume) patch(w http.ResponseWriter, r *http.Request, u *held) {
	if r.URL.Query().Get("offset") != strconv.Itoa(len(u.got)) {
		v.mu.Unlock()
		give(w, 409, problem.New(problem.Conflict, "the upload is at %d", len(u.got)))
		return
	}
	during := make(chan struct{})
	u.during, u.cut = during, func() { _ = http.NewResponseController(w).SetReadDeadline(time.Unix(1, 0)) }
	v.mu.Unlock()
	part, err := io.ReadAll(r.Body)
	v.mu.Lock()
	defer v.mu.Unlock()
	u.during = nil
	close(during)
	sum := sha256.Sum256(part)
	switch want := r.Header.Get("Berth-Checksum"); {
	case want != "" && (err != nil || want != "sha256 "+hex.EncodeToString(sum[:])):
		give(w, 422, problem.Invalid("checksum", "the part is not what was sent"))
	default:
		u.got = append(u.got, part...)
		if err != nil {
			give(w, 409, problem.New(problem.Conflict, "%s", errCut))
			return
		}
		give(w, 200, wire.FileUploadState{Upload: u.FileUpload, Offset: int64(len(u.got))})
	}
}
