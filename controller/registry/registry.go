package registry

import (
	"strings"
	"time"
	"unicode"

	"github.com/distribution/reference"

	"github.com/berth-panel/berth/shared/ident"
	"github.com/berth-panel/berth/shared/problem"
)

// Registry is the login at one registry.
type Registry struct {
	ID        ident.Registry
	Host      string // see Host
	Username  string
	CreatedAt time.Time
	UpdatedAt time.Time
	// Broken says that the password can't be read any more, because the
	// controller's key was lost: it must be set again.
	Broken bool

	sealed []byte
}

const (
	maxUsername = 255
	maxPassword = 16 << 10 // some registries' tokens are long
	maxLogins   = 500      // in all: nodes are told many at once
)

// Host is the registry that a container reference names: "docker.io" for one
// without. false when the text is no reference.
func Host(ref string) (string, bool) {
	named, err := reference.ParseNormalizedNamed(ref)
	if err != nil {
		return "", false
	}
	return strings.ToLower(reference.Domain(named)), true
}

// readHost reads a host that a person gives.
func readHost(text string) (string, error) {
	wrong := problem.Invalid("host", "must be as container references begin, such as registry.example.com or 192.0.2.1:5000, or docker.io: no https://, no path")
	text = strings.TrimSpace(text)
	if text == "" || len(text) > 255 || strings.ContainsAny(text, "/@?#") {
		return "", wrong
	}
	host, ok := Host(text + "/x")
	if !ok {
		return "", wrong
	}
	if text = strings.ToLower(text); host != text && text != "index.docker.io" {
		return "", problem.Invalid("host", "%q would be read as a name at %s: a host has a dot or a port, such as %s:5000", text, host, text)
	}
	return host, nil
}

func checkUsername(text string) error {
	if text == "" || len(text) > maxUsername || strings.ContainsFunc(text, unicode.IsControl) || strings.Contains(text, ":") {
		return problem.Invalid("username", "1 to %d bytes, without a colon or control characters", maxUsername)
	}
	return nil
}

func checkPassword(text string) error {
	if text == "" || len(text) > maxPassword || strings.ContainsFunc(text, unicode.IsControl) {
		return problem.Invalid("password", "1 to %d bytes, without control characters", maxPassword)
	}
	return nil
}

// purpose is what a password is sealed for.
func purpose(host string) string { return "registry login at " + host }
