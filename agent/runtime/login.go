package runtime

import (
	"log/slog"
	"strings"

	"github.com/distribution/reference"
)

// Login is what a registry is shown at a pull. The zero value is none. It prints
// as nothing that is worth knowing: a log that gets one by mistake holds no
// password.
type Login struct {
	Username string
	Password string
}

// None says whether there is nothing to show.
func (l Login) None() bool { return l.Username == "" && l.Password == "" }

// String leaves the password out.
func (l Login) String() string {
	if l.None() {
		return "no login"
	}
	return "login of " + l.Username
}

// GoString is String, for %#v.
func (l Login) GoString() string { return l.String() }

// LogValue is String, for logs.
func (l Login) LogValue() slog.Value { return slog.StringValue(l.String()) }

// MarshalText is String: a login is never written anywhere by itself.
func (l Login) MarshalText() ([]byte, error) { return []byte(l.String()), nil }

// Host is the registry that a reference names, in lower case: "docker.io" for one
// without. What is no image's name is a Failure with reason BadReference.
func Host(ref string) (string, error) {
	named, err := reference.ParseNormalizedNamed(ref)
	if err != nil {
		return "", Fail(BadReference, err, "%.120q is not the name of an image", ref)
	}
	return strings.ToLower(reference.Domain(named)), nil
}

// Pinned is the name of exactly the image that the digest ("sha256:…") is of, in
// the reference's repository; an empty digest gives the reference as it is.
func Pinned(ref, digest string) (string, error) {
	if digest == "" {
		return ref, nil
	}
	named, err := reference.ParseNormalizedNamed(ref)
	if err != nil {
		return "", Fail(BadReference, err, "%.120q is not the name of an image", ref)
	}
	full, err := reference.Parse(reference.TrimNamed(named).Name() + "@" + digest)
	if err != nil {
		return "", Fail(BadReference, err, "%.120q is not the digest of an image: it has the form sha256: and 64 hex characters", digest)
	}
	return full.String(), nil
}

// Wanted is Pinned for what was checked before: by the reference where the digest
// is none.
func Wanted(ref, digest string) string {
	if pinned, err := Pinned(ref, digest); err == nil {
		return pinned
	}
	return ref
}
