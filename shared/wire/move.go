package wire

import (
	"github.com/berth-panel/berth/shared/ident"
	"github.com/berth-panel/berth/shared/problem"
)

// The calls by which the controller carries a volume from one node, the source,
// to another, the target. It may be done while the instance runs and again once
// it is stopped: the second time only what differs travels. Every call may be
// repeated, and each part that has arrived stays when the next one fails. A newer
// compare or content call about an incoming volume ends the older one.
//
// A pass goes through the source's pages, compares each with the target and
// sends what that needs. Folders get their times back when the pages are
// compared once more and nothing is changed any more.
//
//	PUT    /v1/incoming/{id}            Incoming → 202 IncomingState  target: make room, see to the image
//	GET    /v1/incoming/{id}            → IncomingState
//	DELETE /v1/incoming/{id}            → 204                         target: forget all of it
//	POST   /v1/incoming/{id}/compare    EntryPage → Needs             target: what of this page is missing or differs
//	PUT    /v1/incoming/{id}/content?bytes=N  frames → Received       target: N is what the pass has still to send
//	GET    /v1/incoming/{id}/digest     → Digest                      target
//	POST   /v1/volumes/{id}/entries     EntryQuery → EntryPage        source
//	POST   /v1/volumes/{id}/content     Needs → frames                source
//	GET    /v1/volumes/{id}/digest      → Digest                      source
//
// A Spec with Copied takes the incoming volume over. Until then it is no
// instance's: the target starts nothing.
//
// Frames are a type (one byte), a length (four bytes, big-endian, at most
// MaxFrame), so many bytes, and the CRC-32C of all that (four bytes,
// big-endian). They come in this order:
//
//	'F' FileHeader as JSON     a file begins, or goes on at Offset
//	'D' offset (8 bytes) data  a part of it: offsets rise, what lies between parts is a hole
//	'E' one byte               its end: 0 it is whole, 1 it changed while it was read and counts for nothing
//	'G' path as text           in place of F, D, E: a file that is gone, or is no file any more
//	'X' problem.Problem        in place of anything: the source can't go on
//	'Z' number of files (8)    the end of it all: without it the stream was cut
const (
	PathIncoming = "/v1/incoming"
	PathVolumes  = "/v1/volumes"
)

// The limits of a move's calls.
const (
	MaxEntries = 1000        // in a page, and files in Needs
	MaxPage    = 4 << 20     // bytes of a page or of Needs as JSON
	MaxFrame   = 1<<20 + 256 // bytes of a frame's content
)

// Incoming announces a volume that will be copied to this node.
type Incoming struct {
	Instance ident.Instance `json:"instance"`
	Spec     Spec           `json:"spec"` // as it is going to be; its image is fetched meanwhile
}

// IncomingState is how far the target is.
type IncomingState struct {
	Image   ImageReadiness   `json:"image"`
	Failure *problem.Problem `json:"failure,omitempty"` // why the image can't be had here
	Bytes   int64            `json:"bytes"`             // of content that the latest pass found or put in place
}

// ImageReadiness says whether the target has the image.
type ImageReadiness string

// The readinesses.
const (
	ImagePulling ImageReadiness = "pulling"
	ImageReady   ImageReadiness = "ready"
	ImageFailed  ImageReadiness = "failed"
)

// EntryQuery asks for the entries of a volume that follow a path.
type EntryQuery struct {
	After Path `json:"after"` // "" begins
	Limit int  `json:"limit"` // 1 to MaxEntries; a page may hold fewer and not be the last
}

// EntryKind is what an entry of a volume is. Others (sockets, devices, pipes)
// are not carried; see EntryPage.Skipped.
type EntryKind string

// The kinds.
const (
	EntryFile EntryKind = "file"
	EntryDir  EntryKind = "dir"
	EntryLink EntryKind = "link"
	// EntryOther is a pipe, a socket or a device: file.go only, moves leave it out.
	EntryOther EntryKind = "other"
)

// Entry is one file, folder or symbolic link of a volume.
type Entry struct {
	Path   Path      `json:"path"`
	Kind   EntryKind `json:"kind"`
	Mode   uint32    `json:"mode"` // permission bits with set-uid, set-gid and sticky
	UID    int       `json:"uid"`
	GID    int       `json:"gid"`
	Size   int64     `json:"size,omitempty"`
	Data   int64     `json:"data,omitempty"`  // of a file with holes: how much of Size is no hole, about
	MTime  int64     `json:"mtime"`           // nanoseconds since 1970
	CTime  int64     `json:"ctime,omitempty"` // the same, of a file: of its last change of any kind, which no program can set
	Target Path      `json:"target,omitempty"`
}

// Weight is how many bytes have to travel for a file, about.
func (e Entry) Weight() int64 {
	if e.Data > 0 && e.Data < e.Size {
		return e.Data
	}
	return e.Size
}

// EntryPage is a page of a volume's entries in the order of their paths
// (Path.Compare). What the target holds between After and the last entry and is
// not in the page goes away there; with Last, everything behind it too.
type EntryPage struct {
	After   Path    `json:"after"`
	Entries []Entry `json:"entries"`
	Last    bool    `json:"last,omitempty"`
	Skipped int     `json:"skipped,omitempty"` // entries of kinds that are not carried
}

// Need is a file of which the target lacks the bytes from Offset on.
type Need struct {
	Path   Path  `json:"path"`
	Offset int64 `json:"offset"`
	// Size and CTime are those of the file that the bytes below Offset are of:
	// when it is another one by now, all of it is sent.
	Size  int64 `json:"size,omitempty"`
	CTime int64 `json:"ctime,omitempty"`
}

// Needs is a list of them.
type Needs struct {
	Files   []Need `json:"files"`
	Changed int    `json:"changed"` // entries that this call made, changed or removed at the target
}

// FileHeader begins a file among the frames. All is as it was when the source
// began to read.
type FileHeader struct {
	Path   Path   `json:"path"`
	Offset int64  `json:"offset,omitempty"`
	Size   int64  `json:"size"`
	Mode   uint32 `json:"mode"`
	UID    int    `json:"uid"`
	GID    int    `json:"gid"`
	MTime  int64  `json:"mtime"`
	CTime  int64  `json:"ctime"`
}

// Received answers frames that have arrived and are on the disk.
type Received struct {
	Files    int   `json:"files"`    // that are whole now
	Bytes    int64 `json:"bytes"`    // of content that came
	Unsteady int   `json:"unsteady"` // files that changed or went away while they were read: the next pass brings them
}

// Digest is the SHA-256 over all entries of a volume with their content, in
// order; times are not in it, since not every filesystem keeps them as exactly.
// It is worked out in the background: ask until Done. The answer stays the same
// until the next pass begins, or for some minutes.
type Digest struct {
	Done    bool   `json:"done"`
	Percent int    `json:"percent"` // -1 when nobody knows
	Sum     string `json:"sum,omitempty"`
	Entries int64  `json:"entries,omitempty"`
	Bytes   int64  `json:"bytes,omitempty"`
}
