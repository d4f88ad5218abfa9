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

	Volumes  *Volumes  `json:"volumes,omitempty"`  // none until they were looked at
	Firewall *Firewall `json:"firewall,omitempty"` // likewise
	SFTP     *SFTP     `json:"sftp,omitempty"`     // none: not served here
}

// SFTP is where an agent serves files to SSH clients; see login.go.
type SFTP struct {
	Port    uint16 `json:"port"`
	HostKey string `json:"host_key"` // as in authorized_keys
}

// CertificateRequest is an agent's wish for a new certificate.
type CertificateRequest struct {
	CSR string `json:"csr"` // PEM; only its public key is used
}

// Certificate is the controller's answer to it.
type Certificate struct {
	Certificate string `json:"certificate"` // PEM
}

// ReleaseState says which program an agent runs, and how the last update went.
type ReleaseState struct {
	Release string `json:"release"` // that runs
	Arch    string `json:"arch"`    // Go's name
	// Trial: it runs on trial. Unless a controller has listened to its events by
	// the end of it, the agent goes back to the release before.
	Trial   bool   `json:"trial,omitempty"`
	Refused string `json:"refused,omitempty"` // the release that was tried last and given up
	Message string `json:"message,omitempty"` // why
	// Fixed says why this agent can't update itself; "" it can.
	Fixed string `json:"fixed,omitempty"`
}
