package identity

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"

	"golang.org/x/crypto/argon2"
)

// Cost is what it costs to hash a password with argon2id, on one lane. The zero
// Cost is the usual one; only tests, which hash thousands, have a cheaper one.
type Cost struct{ MemoryKiB, Passes uint32 }

// usualCost is 19 MiB and two passes.
func usualCost() Cost { return Cost{MemoryKiB: 19 * 1024, Passes: 2} }

const (
	hashLanes    = 1
	hashLength   = 32
	saltLength   = 16
	hashesAtOnce = 2
)

var errHashForm = errors.New("the stored password hash has no form that is known here")

// hasher hashes passwords, two at a time, so that a crowd of them costs 38 MiB
// and not the machine.
type hasher struct {
	turns chan struct{}
	cost  Cost
}

func newHasher(c Cost) *hasher {
	if c == (Cost{}) {
		c = usualCost()
	}
	return &hasher{turns: make(chan struct{}, hashesAtOnce), cost: c}
}

// decoy is a hash that no password has, to spend as much time on unknown users as
// on known ones.
func (h *hasher) decoy() string { return h.phc(make([]byte, saltLength), make([]byte, hashLength)) }

// phc writes a hash as a PHC string.
func (h *hasher) phc(salt, sum []byte) string {
	return fmt.Sprintf("$argon2id$v=%d$m=%d,t=%d,p=%d$%s$%s", argon2.Version, h.cost.MemoryKiB, h.cost.Passes, hashLanes,
		base64.RawStdEncoding.EncodeToString(salt), base64.RawStdEncoding.EncodeToString(sum))
}

// turn waits for one; the caller gives it back.
func (h *hasher) turn(ctx context.Context) error {
	select {
	case h.turns <- struct{}{}:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("wait to hash a password: %w", ctx.Err())
	}
}

func (h *hasher) done() { <-h.turns }

// hash gives a PHC string.
func (h *hasher) hash(ctx context.Context, password string) (string, error) {
	if err := h.turn(ctx); err != nil {
		return "", err
	}
	defer h.done()
	salt := make([]byte, saltLength)
	_, _ = rand.Read(salt) // never fails: crypto/rand aborts the process instead
	return h.phc(salt, argon2.IDKey([]byte(password), salt, h.cost.Passes, h.cost.MemoryKiB, hashLanes, hashLength)), nil
}

// verify says whether the password is the one of the PHC string, which may have
// been made at another cost than today's.
func (h *hasher) verify(ctx context.Context, password, phc string) (bool, error) {
	var version int
	var memory, time uint32
	var lanes uint8
	parts := strings.Split(phc, "$")
	if len(parts) != 6 || parts[0] != "" || parts[1] != "argon2id" {
		return false, errHashForm
	}
	if _, err := fmt.Sscanf(parts[2], "v=%d", &version); err != nil || version != argon2.Version {
		return false, errHashForm
	}
	if _, err := fmt.Sscanf(parts[3], "m=%d,t=%d,p=%d", &memory, &time, &lanes); err != nil || time == 0 || lanes == 0 || memory > 1<<20 {
		return false, errHashForm
	}
	salt, err := base64.RawStdEncoding.DecodeString(parts[4])
	if err != nil {
		return false, errHashForm
	}
	want, err := base64.RawStdEncoding.DecodeString(parts[5])
	if err != nil || len(want) == 0 {
		return false, errHashForm
	}
	if err := h.turn(ctx); err != nil {
		return false, err
	}
	defer h.done()
	got := argon2.IDKey([]byte(password), salt, time, memory, lanes, uint32(len(want)))
	return subtle.ConstantTimeCompare(got, want) == 1, nil
}
