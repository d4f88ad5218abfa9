package wire

import (
	"github.com/berth-panel/berth/shared/ident"
	"github.com/berth-panel/berth/shared/problem"
)

// The calls by which the controller carries a volume from one node, the source,
// to another, the target. It may be done while the instance runs and again once
// it is stopped: the second time only what differs travels. Every call may be
// repeated, and each part that has arrived stays when the next one fails.
//
//	PUT    /v1/incoming/{id}            Incoming → 202 IncomingState  target: make room, see to the image
//	GET    /v1/incoming/{id}            → IncomingState
//	DELETE /v1/incoming/{id}            → 204                         target: forget all of it
//	POST   /v1/incoming/{id}/compare    EntryPage → Needs             target: what of this page is missing or differs
//	PUT    /v1/incoming/{id}/content    frames → Received             target
//	GET    /v1/incoming/{id}/digest     → Digest                      target
//	POST   /v1/volumes/{id}/entries     EntryQuery → EntryPage        source
//	POST   /v1/volumes/{id}/content     Needs → frames                source
//	GET    /v1/volumes/{id}/digest      → Digest                      source
//
// A Spec with Copied takes the incoming volume over. Until then it is no
// instance's: the target starts nothing.
const (
	PathIncoming = "/v1/incoming"
	PathVolumes  = "/v1/volumes"
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
	Bytes   int64            `json:"bytes"`             // that are in place
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
	After string `json:"after"` // "" begins
	Limit int    `json:"limit"` // 1 to 1000
}

// EntryKind is what an entry of a volume is. Others (sockets, devices, pipes)
// are not carried; see EntryPage.Skipped.
type EntryKind string

// The kinds.
const (
	EntryFile EntryKind = "file"
	EntryDir  EntryKind = "dir"
	EntryLink EntryKind = "link"
)

// Entry is one file, folder or symbolic link of a volume.
type Entry struct {
	Path   string    `json:"path"` // relative, with slashes; "." is the volume itself
	Kind   EntryKind `json:"kind"`
	Mode   uint32    `json:"mode"` // permission bits with set-uid, set-gid and sticky
	UID    int       `json:"uid"`
	GID    int       `json:"gid"`
	Size   int64     `json:"size,omitempty"`
	MTime  int64     `json:"mtime"` // nanoseconds since 1970
	Target string    `json:"target,omitempty"`
}

// EntryPage is a page of a volume's entries in the order of their paths
// (byte by byte). What the target holds between After and the last entry and is
// not in the page goes away there; with Last, everything behind it too.
type EntryPage struct {
	After   string  `json:"after"`
	Entries []Entry `json:"entries"`
	Last    bool    `json:"last,omitempty"`
	Skipped int     `json:"skipped,omitempty"` // entries of kinds that are not carried
}

// Need is a file of which the target lacks the bytes from Offset on.
type Need struct {
	Path   string `json:"path"`
	Offset int64  `json:"offset"`
}

// Needs is a list of them.
type Needs struct {
	Files []Need `json:"files"`
}

// Received answers frames that have arrived and are on the disk.
type Received struct {
	Files int   `json:"files"` // that are whole now
	Bytes int64 `json:"bytes"`
}

// Digest is the SHA-256 over all entries of a volume with their content, in
// order. It is worked out in the background: ask until Done.
type Digest struct {
	Done    bool   `json:"done"`
	Percent int    `json:"percent"` // -1 when nobody knows
	Sum     string `json:"sum,omitempty"`
	Entries int64  `json:"entries,omitempty"`
	Bytes   int64  `json:"bytes,omitempty"`
}
