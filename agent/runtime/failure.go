package runtime

import (
	"errors"
	"fmt"
)

// Reason tells the failures of an engine apart, so that nobody compares texts.
type Reason string

// The reasons of a Failure.
const (
	Unreachable     Reason = "engine_unreachable" // the engine does not answer: try again later
	ImageMissing    Reason = "image_missing"      // not on this machine
	ImageNotFound   Reason = "image_not_found"    // the registry does not have it
	ImageDenied     Reason = "image_denied"       // the registry wants a login or refuses it
	RegistryDown    Reason = "registry_down"      // no network, name not resolved, refused, timed out: try again later
	RegistryLimited Reason = "registry_limited"   // too many pulls: try again later
	ImageWrongArch  Reason = "image_wrong_arch"   // not made for this machine
	NoSpace         Reason = "no_space"           // the disk is full
	PortInUse       Reason = "port_in_use"        // Failure.Port says which
	AddressNotHere  Reason = "address_not_here"   // the bind address is not one of this machine's
	BadReference    Reason = "bad_reference"      // not the name of an image
	CommandNotFound Reason = "command_not_found"  // the start command is not in the image, or can't be executed
	InvalidSpec     Reason = "invalid_spec"       // the engine refuses the settings
	Missing         Reason = "missing"            // no such container or file
	Conflict        Reason = "conflict"           // something of that name is there already
	Unknown         Reason = "unknown"
)

// Temporary says whether the same call may work later without any change of
// the instance's settings.
func (r Reason) Temporary() bool {
	switch r {
	case Unreachable, RegistryDown, RegistryLimited:
		return true
	default:
		return false
	}
}

// Failure is an engine's error: a reason to branch on, a sentence for people
// without ids or paths of the engine, and the engine's own words as the cause.
type Failure struct {
	Reason  Reason
	Message string // "image nope:1 not found in registry registry.example"
	Port    uint16 // with PortInUse; 0 when the engine does not say
	cause   error
}

// Fail makes a Failure out of the engine's own error.
func Fail(reason Reason, cause error, format string, args ...any) *Failure {
	return &Failure{Reason: reason, Message: fmt.Sprintf(format, args...), cause: cause}
}

func (f *Failure) Error() string {
	if f.cause != nil {
		return f.Message + ": " + f.cause.Error()
	}
	return f.Message
}

func (f *Failure) Unwrap() error { return f.cause }

// ReasonOf gives the reason inside err; Unknown for any other error, "" for nil.
func ReasonOf(err error) Reason {
	if err == nil {
		return ""
	}
	var f *Failure
	if errors.As(err, &f) {
		return f.Reason
	}
	return Unknown
}
