package wire

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"strings"

	"github.com/berth-panel/berth/shared/ident"
)

// EnrolmentKey lets an agent in: once and for an hour for a node's own key,
// several times for a join key. Its text is handed to a person; of its three
// parts only ID ever travels. Both sides prove Secret by HMAC, and Fingerprint
// pins the controller's CA, so that the wire below needs no protection.
type EnrolmentKey struct {
	ID          string // public name of the key
	Secret      []byte // 32 random bytes
	Fingerprint []byte // SHA-256 of the controller's CA certificate (DER)
}

const enrolmentPrefix = "berth-enrol"

// String is the text form: berth-enrol.ID.SECRET.FINGERPRINT, base64url.
func (k EnrolmentKey) String() string {
	enc := base64.RawURLEncoding
	return strings.Join([]string{enrolmentPrefix, k.ID, enc.EncodeToString(k.Secret), enc.EncodeToString(k.Fingerprint)}, ".")
}

// ParseEnrolmentKey reads the text form.
func ParseEnrolmentKey(text string) (EnrolmentKey, error) {
	parts := strings.Split(strings.TrimSpace(text), ".")
	if len(parts) != 4 || parts[0] != enrolmentPrefix || parts[1] == "" {
		return EnrolmentKey{}, fmt.Errorf("not an enrolment key: it starts with %q and has four parts", enrolmentPrefix+".")
	}
	secret, err := base64.RawURLEncoding.DecodeString(parts[2])
	if err != nil || len(secret) != 32 {
		return EnrolmentKey{}, fmt.Errorf("the enrolment key is cut off or mistyped (secret)")
	}
	print, err := base64.RawURLEncoding.DecodeString(parts[3])
	if err != nil || len(print) != sha256.Size {
		return EnrolmentKey{}, fmt.Errorf("the enrolment key is cut off or mistyped (fingerprint)")
	}
	return EnrolmentKey{ID: parts[1], Secret: secret, Fingerprint: print}, nil
}

// EnrolRequest is an agent's POST to PathEnrol.
type EnrolRequest struct {
	KeyID string     `json:"key_id"`
	Nonce string     `json:"nonce"` // 16 random bytes, base64url
	CSR   string     `json:"csr"`   // PEM; only its public key is used
	Agent EnrolAgent `json:"agent"`
	MAC   string     `json:"mac"` // hex of HMAC-SHA256, see SignRequest
}

// EnrolAgent is what the agent says of itself. Address, Port, Name and Tags
// make the node when a join key is used; a node's own key ignores them.
type EnrolAgent struct {
	Release   string   `json:"release"`
	Wire      int      `json:"wire"`
	Name      string   `json:"name"`
	Address   string   `json:"address"` // "" is the address the request came from
	Port      int      `json:"port"`
	Tags      []string `json:"tags"`
	MemoryMiB int64    `json:"memory_mib"`
	DiskMiB   int64    `json:"disk_mib"`
	Tunnel    bool     `json:"tunnel,omitempty"` // it will open a tunnel; nobody can dial it
}

// EnrolAnswer is the controller's 201.
type EnrolAnswer struct {
	Node        ident.Node `json:"node"`
	CA          string     `json:"ca"`          // PEM
	Certificate string     `json:"certificate"` // PEM; URI SAN NodeURI(Node)
	MAC         string     `json:"mac"`
}

// SignRequest is the proof that goes into r.MAC: over the key's id, the nonce,
// the CSR and everything that the agent says of itself.
func (k EnrolmentKey) SignRequest(r EnrolRequest) string {
	a := r.Agent
	return k.mac("berth enrol request v2", r.KeyID, r.Nonce, r.CSR, a.Release, fmt.Sprint(a.Wire), a.Name, a.Address,
		fmt.Sprint(a.Port), fmt.Sprintf("%q", a.Tags), fmt.Sprint(a.MemoryMiB), fmt.Sprint(a.DiskMiB), fmt.Sprint(a.Tunnel))
}

// SignAnswer is the proof that goes into a.MAC; it is bound to the request's nonce.
func (k EnrolmentKey) SignAnswer(nonce string, a EnrolAnswer) string {
	return k.mac("berth enrol answer v1", k.ID, nonce, string(a.Node), a.CA, a.Certificate)
}

// Proves compares two proofs in constant time.
func Proves(got, want string) bool { return hmac.Equal([]byte(got), []byte(want)) }

// mac hashes the parts with their lengths, so that no two lists of parts give the same bytes.
func (k EnrolmentKey) mac(parts ...string) string {
	h := hmac.New(sha256.New, k.Secret)
	for _, p := range parts {
		fmt.Fprintf(h, "%d:%s", len(p), p)
	}
	return hex.EncodeToString(h.Sum(nil))
}

// ControllerURI is the URI SAN of the controller's client certificate.
const ControllerURI = "berth://controller"

// NodeURI is the URI SAN of a node's server certificate.
func NodeURI(n ident.Node) string { return "berth://node/" + string(n) }
