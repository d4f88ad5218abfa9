// Package ident holds the typed names of the things that controller and agent
// talk about, so that an instance's id can't be handed where a node's is meant.
// Ids are opaque text: compare them, store them, never build a path from one
// that came out of a request.
package ident

import (
	"crypto/rand"
	"encoding/hex"

	"github.com/google/uuid"
)

type (
	// User names a person; clients of the classic API may choose it, so it is
	// free text of up to 64 characters. Ours are UUIDs.
	User string
	// Key names an API key (not its secret).
	Key string
	// Node names a machine with an agent: a UUID.
	Node string
	// Image names an entry of the catalogue: a UUID.
	Image string
	// Instance names one hosted container with its data: 8 hex characters, as
	// the classic API's clients expect.
	Instance string
	// Allocation names an address:port of a node: a UUID.
	Allocation string
	// Preset names settings that instances of an image are made with: a UUID.
	Preset string
	// Job names one durable unit of work: a UUID.
	Job string
	// Role names a set of permissions: a UUID.
	Role string
	// Session names a login of the panel (not its cookie): a UUID.
	Session string
	// Registry names the login at an image registry: a UUID.
	Registry string
)

// New gives a random UUID as text, for the ids that are ours.
func New() string { return uuid.NewString() }

// NewInstance gives a random instance id. Eight hex characters are few: the
// caller inserts under a unique constraint and draws again when it is taken.
func NewInstance() Instance {
	var b [4]byte
	_, _ = rand.Read(b[:]) // never fails: crypto/rand aborts the process instead
	return Instance(hex.EncodeToString(b[:]))
}

// Valid says whether the text has the form of an instance's id: 8 lower-case
// hex characters. The agent names directories by it, so it checks every one.
func (i Instance) Valid() bool {
	if len(i) != 8 {
		return false
	}
	for _, c := range []byte(i) {
		if (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return false
		}
	}
	return true
}
