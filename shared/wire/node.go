package wire

import "github.com/berth-panel/berth/shared/ident"

// Hello is how an agent introduces itself.
type Hello struct {
	Node    ident.Node `json:"node"`
	Wire    int        `json:"wire"`    // its Version
	Release string     `json:"release"` // its build.Version
	Epoch   string     `json:"epoch"`   // of its journal: a new one means that the journal was lost
	LastSeq int64      `json:"last_seq"`
	Engine  Engine     `json:"engine"`
}

// Engine is the container engine of a node, and its machine.
type Engine struct {
	Reachable    bool   `json:"reachable"`
	Message      string `json:"message,omitempty"` // why not
	Name         string `json:"name,omitempty"`    // "docker"
	Version      string `json:"version,omitempty"`
	OS           string `json:"os,omitempty"`
	Kernel       string `json:"kernel,omitempty"`
	Arch         string `json:"arch,omitempty"`
	Cores        int    `json:"cores,omitempty"`
	MemoryBytes  int64  `json:"memory_bytes,omitempty"`
	StorageBytes int64  `json:"storage_bytes,omitempty"`
}
