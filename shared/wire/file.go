package wire

import (
	"time"

	"github.com/berth-panel/berth/shared/problem"
)

// The calls about the files of an instance, all beneath
// /v1/instances/{id}/files. Paths are Path, in JSON and in queries in its text
// form. Whether the instance runs doesn't matter; while its volume is moving,
// whatever writes gets a CONFLICT. A full volume is INSUFFICIENT_RESOURCES. The
// ETag of a FileEntry stands there bare; the header has it in quotes, and match=
// takes either. A match that doesn't hold is a CONFLICT of the field "match". An
// answer of bytes that fails on the way is broken off: its end is never a proper
// one.
//
//	POST   …/list      FileQuery → FilePage
//	GET    …/entry?path=P                       → FileEntry
//	GET    …/content?path=P   (Range, If-None-Match)  → bytes; ETag, Last-Modified, Accept-Ranges
//	PUT    …/content?path=P&match=ETAG  bytes → FileEntry   as a whole or not at all; match "" takes anything, "*" only a file that is there, "-" only a new one
//	POST   …/folder    FileFolder  → FileEntry
//	POST   …/rename    FileRenames → FileDone
//	POST   …/chmod     FileChmod   → FileDone
//	POST   …/search    FileSearch  → lines of JSON: FileHit, at the end FileHit with Last
//	POST   …/bundle    FileBundle  → bytes          an archive, as a stream
//
// What may take long is a task, which goes on without a connection. Putting one
// that is there changes nothing, so that it may be repeated; an agent that was
// restarted has forgotten it, and doing it again is harmless.
//
//	PUT    …/tasks/{uuid}  FileTask → 202 FileTaskState
//	GET    …/tasks/{uuid}           → FileTaskState   NOT_FOUND: forgotten
//	DELETE …/tasks/{uuid}           → 204             cancels; what is half done is cleared away
//
// An upload keeps its parts beside the volume, within its limit, until it is
// finished: then it is put in place as a whole. One that nobody adds to for a day
// is cleared away. Each call about an upload first ends a part of it that is under
// way, of which what came is kept, unless it has a checksum: so a client that lost
// its connection learns where to go on. Finishing may be repeated for an hour.
//
//	PUT    …/uploads/{uuid}  FileUpload → FileUploadState     (repeating it is harmless)
//	GET    …/uploads/{uuid}             → FileUploadState
//	PATCH  …/uploads/{uuid}?offset=N  bytes → FileUploadState  header Berth-Checksum: "sha256 HEX" of this part, optional; a part that doesn't fit it counts for nothing (VALIDATION_ERROR of the field "checksum"). Another offset than the upload's is a CONFLICT
//	POST   …/uploads/{uuid}             → FileEntry            puts it in place
//	DELETE …/uploads/{uuid}             → 204
const (
	FilesAtOnce   = 1000     // paths in one call
	FilePageMax   = 1000     // entries in a page
	FileEditMax   = 10 << 20 // bytes that PUT content takes
	FileSearchMax = 1000     // hits
)

// FileEntry is one entry of a folder.
type FileEntry struct {
	Path   Path      `json:"path"`
	Kind   EntryKind `json:"kind"` // "other": pipes, sockets, devices: shown, renamed and deleted only
	Mode   uint32    `json:"mode"` // permission bits
	UID    int       `json:"uid"`
	GID    int       `json:"gid"`
	Size   int64     `json:"size"`
	MTime  time.Time `json:"mtime"`
	Target Path      `json:"target,omitempty"` // of a link, as it is written there
	ETag   string    `json:"etag,omitempty"`   // of a file: changes with its content
}

// FileQuery asks for the entries of a folder, in the order that Sort names.
type FileQuery struct {
	Path  Path     `json:"path"`
	Sort  FileSort `json:"sort,omitempty"` // "" is name; folders come first in each
	Down  bool     `json:"down,omitempty"` // the other way round
	Page  int      `json:"page"`           // from 1
	Limit int      `json:"limit"`          // 1 to FilePageMax
}

// FileSort is an order of entries.
type FileSort string

// The orders.
const (
	SortName  FileSort = "name"
	SortSize  FileSort = "size"
	SortMTime FileSort = "mtime"
)

// FilePage is a part of a folder.
type FilePage struct {
	Entries []FileEntry `json:"entries"`
	Total   int         `json:"total"`
	// Cut says that the folder has more entries than an agent sorts (200,000): those
	// counted are the ones that it read first.
	Cut bool `json:"cut,omitempty"`
}

// FileFolder makes a folder, and those above it that are missing.
type FileFolder struct {
	Path Path `json:"path"`
}

// FileRenames moves entries within the volume.
type FileRenames struct {
	Renames   []FileRename `json:"renames"`
	Overwrite bool         `json:"overwrite,omitempty"` // files that are in the way
}

// FileRename is one of them.
type FileRename struct {
	From Path `json:"from"`
	To   Path `json:"to"`
}

// FileChmod sets permission bits.
type FileChmod struct {
	Paths []Path `json:"paths"`
	Mode  uint32 `json:"mode"` // 0 to 0777
}

// FileDone says what became of each path, in the order of the call.
type FileDone struct {
	Failed []FileFailure `json:"failed,omitempty"`
	Count  int           `json:"count"` // that were done
}

// FileFailure is one that was not.
type FileFailure struct {
	Path    Path            `json:"path"`
	Problem problem.Problem `json:"problem"`
}

// FileSearch looks for files beneath a folder. Both may be given.
type FileSearch struct {
	Path    Path   `json:"path"`
	Name    string `json:"name,omitempty"`    // a part of the name, or a pattern with * and ?; no case
	Content string `json:"content,omitempty"` // text that a line holds; files over 10 MiB and binary ones are passed over
	Case    bool   `json:"case,omitempty"`    // of Content matters
	Limit   int    `json:"limit"`             // 1 to FileSearchMax
}

// FileHit is one place that was found.
type FileHit struct {
	Entry *FileEntry `json:"entry,omitempty"`
	Line  int        `json:"line,omitempty"` // from 1, with Content
	Text  string     `json:"text,omitempty"` // the line, at most 500 bytes of it
	// Last ends the answer; the others are empty then.
	Last   bool `json:"last,omitempty"`
	Cut    bool `json:"cut,omitempty"`    // there may be more
	Passed int  `json:"passed,omitempty"` // files that could not be looked into
}

// ArchiveFormat is a kind of archive.
type ArchiveFormat string

// The formats. Extracting finds out by itself.
const (
	ArchiveZip   ArchiveFormat = "zip"
	ArchiveTar   ArchiveFormat = "tar"
	ArchiveTarGz ArchiveFormat = "tar.gz"
	ArchiveTarXz ArchiveFormat = "tar.xz"
	ArchiveTarZs ArchiveFormat = "tar.zst"
)

// FileBundle asks for entries as one archive.
type FileBundle struct {
	Folder Path          `json:"folder"` // names in the archive begin here
	Paths  []Path        `json:"paths"`  // of the volume, as everywhere, each beneath Folder; none: all of it
	Format ArchiveFormat `json:"format"`
}

// FileTask is long work on files; one of its fields is filled.
type FileTask struct {
	Delete  *FileDelete  `json:"delete,omitempty"`
	Copy    *FileCopy    `json:"copy,omitempty"`
	Archive *FileArchive `json:"archive,omitempty"`
	Extract *FileExtract `json:"extract,omitempty"`
	Pull    *FilePull    `json:"pull,omitempty"`
}

// FileDelete removes entries, folders with all that is in them.
type FileDelete struct {
	Paths []Path `json:"paths"`
}

// FileCopy copies entries into a folder; a name that is taken gets " (2)" and so on.
type FileCopy struct {
	Paths []Path `json:"paths"`
	To    Path   `json:"to"`
}

// FileArchive packs entries into a new file.
type FileArchive struct {
	FileBundle
	To Path `json:"to"`
}

// FileExtract unpacks an archive, or a single compressed file, into a folder.
type FileExtract struct {
	Path      Path `json:"path"`
	To        Path `json:"to"`
	Overwrite bool `json:"overwrite,omitempty"`
}

// FilePull downloads into the volume.
type FilePull struct {
	URL  string `json:"url"`
	To   Path   `json:"to"` // a file's path; a folder's ends with "/": the name is the server's
	Over bool   `json:"overwrite,omitempty"`
}

// FileTaskState is how far a task is.
type FileTaskState struct {
	Done    bool             `json:"done"`
	Percent int              `json:"percent"` // -1: nobody knows
	Message string           `json:"message"`
	Files   int64            `json:"files"`
	Bytes   int64            `json:"bytes"`
	Failure *problem.Problem `json:"failure,omitempty"`
}

// FileUpload begins an upload.
type FileUpload struct {
	Path      Path  `json:"path"`
	Size      int64 `json:"size"`
	Overwrite bool  `json:"overwrite,omitempty"`
	Mode      int32 `json:"mode,omitempty"` // 0 is 0644
}

// FileUploadState is how far an upload is.
type FileUploadState struct {
	Upload FileUpload `json:"upload"`
	Offset int64      `json:"offset"` // bytes that are safe on disk
}
