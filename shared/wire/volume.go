package wire

// VolumeDriver is how a volume's disk limit is held.
type VolumeDriver string

// The drivers, best first; a node takes the first that works when it is tried.
const (
	VolumePoolImage VolumeDriver = "pool-image" // an ext4 image in an XFS that can reflink: a hard limit, and cheap snapshots to come
	VolumeImage     VolumeDriver = "image"      // an ext4 image: a hard limit
	VolumeProject   VolumeDriver = "project"    // a directory with a project quota: a hard limit
	VolumeDirectory VolumeDriver = "directory"  // a plain directory: the limit is soft
)

// Disk is how an instance's volume is held, and how full it is.
type Disk struct {
	Driver     VolumeDriver `json:"driver"`
	Hard       bool         `json:"hard"`                  // nothing can be written beyond LimitBytes
	LimitBytes int64        `json:"limit_bytes"`           // as it is held now
	WantBytes  int64        `json:"want_bytes,omitempty"`  // when that differs: what is done at the next stop
	Full       bool         `json:"full,omitempty"`        // seen to be at its limit
	Convert    bool         `json:"convertible,omitempty"` // a plain directory on a node that could do better
	Message    string       `json:"message,omitempty"`     // what stands in the way
}

// Volumes is how a node holds disk limits.
type Volumes struct {
	Driver  VolumeDriver `json:"driver"`
	Hard    bool         `json:"hard"`
	Message string       `json:"message,omitempty"` // why it is no better one
	// Of the filesystem that new volumes are taken from.
	SizeBytes    int64 `json:"size_bytes,omitempty"`
	FreeBytes    int64 `json:"free_bytes,omitempty"`
	ReserveBytes int64 `json:"reserve_bytes,omitempty"` // kept free: below it nothing grows
}
