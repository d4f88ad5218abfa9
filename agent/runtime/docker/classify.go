package docker

import (
	"context"
	"errors"
	"io"
	"net"
	"regexp"
	"strconv"
	"strings"
	"syscall"

	"github.com/containerd/errdefs"
	"github.com/distribution/reference"
	"github.com/docker/docker/client"

	"github.com/berth-panel/berth/agent/runtime"
)

// This is the one file that reads what Docker writes for people, because Docker
// gives most failures of a pull or a start no other mark. The texts are those
// of Docker 20.10 to 28, each in classify_test.go. Fragments hold a space
// where they can: no name of an image or a container plays them.

// failure turns an error of the client into what Engine promises: the context's
// own error, Unreachable, or a Failure with the given reason and sentence.
func failure(ctx context.Context, err error, reason runtime.Reason, format string, args ...any) error {
	if err == nil {
		return nil
	}
	var already *runtime.Failure
	if errors.As(err, &already) {
		return err
	}
	if gone := broken(ctx, err); gone != nil {
		return gone
	}
	if has(err.Error(), fullDisk) {
		return runtime.Fail(runtime.NoSpace, err, "the node's disk is full")
	}
	return runtime.Fail(reason, err, format, args...)
}

// broken is the context's error or an Unreachable failure, when err is one of a
// call that did not come through; else nil.
func broken(ctx context.Context, err error) error {
	if ended := ctx.Err(); ended != nil {
		return ended
	}
	var network *net.OpError
	switch {
	case client.IsErrConnectionFailed(err), errdefs.IsUnavailable(err), errors.As(err, &network), has(err.Error(), goingDown),
		errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF),
		errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE):
		return runtime.Fail(runtime.Unreachable, err, "the container engine does not answer")
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return err
	}
	return nil
}

// has says whether the text holds one of the fragments, in any case.
func has(text string, fragments []string) bool {
	text = strings.ToLower(text)
	for _, f := range fragments {
		if strings.Contains(text, f) {
			return true
		}
	}
	return false
}

var (
	fullDisk = []string{"no space left on device", "disk quota exceeded"}
	// An engine that ends, or whose containerd has gone, answers for a while yet.
	goingDown = []string{"transport is closing", "ttrpc: closed", `connection error: desc = "transport: `, "failed to update store for object type *libnetwork."}

	pullLimited = []string{" toomanyrequests: ", "too many requests"}
	pullForeign = []string{"no matching manifest for ", "no match for platform in ", "cannot be used on this platform",
		"does not match the specified platform"}
	pullDenied = []string{"pull access denied for ", "pull access denied, ", " unauthorized: ", "authentication required",
		"no basic auth credentials", " denied: ", " insufficient_scope: ", "401 unauthorized", "403 forbidden"}
	loginRefused = []string{" unauthorized: ", "401 unauthorized", "incorrect username or password", " denied: ", "403 forbidden"}
	pullDown     = []string{"dial tcp", "no such host", "connection refused", "i/o timeout", "network is unreachable", "no route to host",
		"handshake timeout", "client.timeout exceeded", "context deadline exceeded", "connection reset by peer", ": eof", "unexpected eof",
		"server misbehaving", "name resolution", "proxyconnect ", "x509: ", "tls: ", "server gave http response to https client",
		"unexpected http status: 5", "unexpected status code 5", "unexpected status from ", "request canceled", "service unavailable"}
	pullMissing = []string{"manifest unknown", "name unknown", ": not found: ", " not found: "}
)

// pullFailure says why a pull failed. The error is the client's, or one made of
// the message inside a pull's stream.
func pullFailure(ctx context.Context, ref reference.Named, login runtime.Login, err error) error {
	if gone := broken(ctx, err); gone != nil {
		return gone
	}
	name, registry := reference.FamiliarString(ref), reference.Domain(ref)
	text := " " + err.Error() + ": " // so that a code alone looks like one with a message behind it
	switch {
	case has(text, fullDisk):
		return runtime.Fail(runtime.NoSpace, err, "the node's disk is full: image %s does not fit until an admin makes room there", name)
	case has(text, pullLimited):
		return runtime.Fail(runtime.RegistryLimited, err, "registry %s allows no more pulls for now, so image %s has to wait", registry, name)
	case has(text, pullForeign):
		return runtime.Fail(runtime.ImageWrongArch, err, "image %s is not made for this node's kind of machine", name)
	case has(text, pullDenied) && login.None():
		return runtime.Fail(runtime.ImageDenied, err, "registry %s denies image %s: it is not there, or needs a login, which an admin adds under Registries", registry, name)
	case has(text, pullDenied):
		return runtime.Fail(runtime.ImageDenied, err, "registry %s denies image %s to user %s: the image is not there, or the login's password is wrong or it lacks the right; an admin checks it under Registries", registry, name, login.Username)
	case has(text, pullDown):
		return runtime.Fail(runtime.RegistryDown, err, "registry %s can't be reached from this node, so image %s can't be fetched", registry, name)
	case errdefs.IsNotFound(err), has(text, pullMissing):
		return runtime.Fail(runtime.ImageNotFound, err, "image %s not found in registry %s", name, registry)
	case errdefs.IsInvalidArgument(err):
		return runtime.Fail(runtime.BadReference, err, "%q is not the name of an image", name)
	}
	return runtime.Fail(runtime.Unknown, err, "image %s could not be fetched from registry %s", name, registry)
}

// loginFailure says why a registry did not take a login.
func loginFailure(host string, login runtime.Login, err error) error {
	text := " " + err.Error() + ": "
	switch {
	case has(text, pullLimited):
		return runtime.Fail(runtime.RegistryLimited, err, "registry %s allows no more logins for now: try again later", host)
	case errdefs.IsUnauthorized(err), has(text, loginRefused):
		return runtime.Fail(runtime.ImageDenied, err, "registry %s refuses user %s: wrong user name or password", host, login.Username)
	case has(text, pullDown), has(text, []string{" status: 5", "no route"}):
		return runtime.Fail(runtime.RegistryDown, err, "registry %s can't be reached from this node", host)
	}
	return runtime.Fail(runtime.Unknown, err, "registry %s answers to the login with something that this node does not understand", host)
}

var (
	// "Bind for 0.0.0.0:8080 failed: port is already allocated": another container has it.
	portAllocated = regexp.MustCompile(`Bind for \S*:(\d+) failed: port is already allocated`)
	// Up to 27: "Error starting userland proxy: listen tcp4 0.0.0.0:8080: bind: address already in use".
	// 28: "failed to bind host port for 0.0.0.0:8080:172.19.0.2:80/tcp: address already in use".
	// Later: "failed to bind host port 0.0.0.0:8080/tcp: address already in use".
	portBound = regexp.MustCompile(`(?:listen (?:tcp|udp)[46]? |failed to bind host port (?:for )?)(\[[^]]*]|[0-9.]+|[0-9a-f:]+?):(\d+)(?:[:/]\S*)?: .*(?:address already in use|cannot assign requested address)`)
	// What an init process, Docker's or ours, or a runtime says of a command that it can't start.
	initFailed = regexp.MustCompile(`\[FATAL (?:tini \(\d+\)|berth-init)\] exec (.+) failed: ([^\r\n]+)`)
	execFailed = regexp.MustCompile(`exec:? "([^"]*)": (.+)`)
	noUser     = regexp.MustCompile(`unable to find (?:user|group) ([^:]+):`)
	noNetwork  = regexp.MustCompile(`network \S+ not found`)
)

// startFailure says why a container did not start.
func startFailure(err error) *runtime.Failure {
	text := err.Error()
	if f := portFailure(text, err); f != nil {
		return f
	}
	switch {
	case has(text, fullDisk):
		return runtime.Fail(runtime.NoSpace, err, "the node's disk is full")
	case has(text, []string{"is marked for removal"}):
		return runtime.Fail(runtime.Conflict, err, "the container is half removed")
	case has(text, []string{`exec: "docker-init": `}):
		return runtime.Fail(runtime.Unknown, err, "the container engine lacks its init program (docker-init)")
	case noNetwork.MatchString(text):
		return runtime.Fail(runtime.InvalidSpec, err, "the container's network is missing on this node")
	case noUser.MatchString(text):
		return runtime.Fail(runtime.InvalidSpec, err, "user %s is not in the image", noUser.FindStringSubmatch(text)[1])
	case has(text, []string{"bind source path does not exist", "error mounting ", "not a directory: unknown", "mount a directory onto a file"}):
		return runtime.Fail(runtime.InvalidSpec, err, "a directory that the container mounts is missing on this node")
	case has(text, []string{"oom-killed (memory limit too low?)", "getting the final child's pid from pipe caused", "cannot allocate memory"}):
		return runtime.Fail(runtime.InvalidSpec, err, "the memory limit is too low to start the container")
	case has(text, []string{"exec format error"}):
		return runtime.Fail(runtime.CommandNotFound, err, "the start command can't be executed on this kind of machine")
	}
	if m := execFailed.FindStringSubmatch(text); m != nil {
		return commandFailure(m[1], m[2], err)
	}
	if errdefs.IsInvalidArgument(err) {
		return runtime.Fail(runtime.InvalidSpec, err, "the container engine refuses to start the container: %s", plain(text))
	}
	return runtime.Fail(runtime.Unknown, err, "the container engine could not start the container")
}

// portFailure finds the port or address of a start that could not publish one.
func portFailure(text string, err error) *runtime.Failure {
	if m := portAllocated.FindStringSubmatch(text); m != nil {
		return portInUse(err, m[1], "container")
	}
	m := portBound.FindStringSubmatch(text)
	switch {
	case has(text, []string{"address already in use"}) && m != nil:
		return portInUse(err, m[2], "program")
	case has(text, []string{"address already in use"}):
		return runtime.Fail(runtime.PortInUse, err, "a port is in use on this node by another program")
	case has(text, []string{"cannot assign requested address"}) && m != nil:
		return runtime.Fail(runtime.AddressNotHere, err, "address %s is not one of this node's", strings.Trim(m[1], "[]"))
	case has(text, []string{"cannot assign requested address"}):
		return runtime.Fail(runtime.AddressNotHere, err, "the address to publish ports on is not one of this node's")
	}
	return nil
}

func portInUse(cause error, port, by string) *runtime.Failure {
	n, _ := strconv.ParseUint(port, 10, 16) // the pattern holds digits only; more than 65535 leaves 0
	f := runtime.Fail(runtime.PortInUse, cause, "port %s is in use on this node by another %s", port, by)
	f.Port = uint16(n)
	return f
}

// commandFailure is about a start command and what the kernel said of it.
func commandFailure(command, why string, cause error) *runtime.Failure {
	switch {
	case has(why, []string{"exec format error"}):
		return runtime.Fail(runtime.CommandNotFound, cause, "the start command %q can't be executed on this kind of machine", command)
	case has(why, []string{"permission denied", "is a directory"}):
		return runtime.Fail(runtime.CommandNotFound, cause, "the start command %q is not a program that can be executed", command)
	case has(why, []string{"no such file or directory", "executable file not found"}):
		return runtime.Fail(runtime.CommandNotFound, cause, "the start command %q is not in the image", command)
	}
	return runtime.Fail(runtime.CommandNotFound, cause, "the start command %q could not be executed", command)
}

// lastWords finds in a container's last output why init could not start the
// command, as a sentence; "" when it did.
func lastWords(output string) string {
	m := initFailed.FindStringSubmatch(output)
	if m == nil {
		return ""
	}
	return commandFailure(m[1], m[2], nil).Message
}

// createFailure says why a container could not be made.
func createFailure(ctx context.Context, spec runtime.ContainerSpec, err error) error {
	if gone := broken(ctx, err); gone != nil {
		return gone
	}
	text := err.Error()
	switch {
	case has(text, fullDisk):
		return runtime.Fail(runtime.NoSpace, err, "the node's disk is full")
	case errdefs.IsConflict(err):
		return runtime.Fail(runtime.Conflict, err, "a container named %s exists already on this node", spec.Name)
	case errdefs.IsNotFound(err) && noNetwork.MatchString(text):
		return runtime.Fail(runtime.InvalidSpec, err, "the container's network is missing on this node")
	case errdefs.IsNotFound(err):
		return runtime.Fail(runtime.ImageMissing, err, "image %s is not on this node", spec.Image)
	case has(text, []string{"bind source path does not exist"}):
		return runtime.Fail(runtime.InvalidSpec, err, "a directory that the container mounts is missing on this node")
	case errdefs.IsInvalidArgument(err):
		return runtime.Fail(runtime.InvalidSpec, err, "the container engine refuses the settings: %s", plain(text))
	}
	return runtime.Fail(runtime.Unknown, err, "the container engine could not make the container")
}

// networkFailure says why a network could not be made.
func networkFailure(ctx context.Context, spec runtime.NetworkSpec, err error) error {
	if gone := broken(ctx, err); gone != nil {
		return gone
	}
	text := err.Error()
	switch {
	case has(text, []string{"pool overlaps with other one"}):
		return runtime.Fail(runtime.Conflict, err, "subnet %s overlaps with another network of this node", spec.Subnet)
	case has(text, []string{"non-overlapping ipv4 address pool", "all predefined address pools have been fully subnetted"}):
		return runtime.Fail(runtime.Conflict, err, "the container engine has no subnet left for network %s: name one", spec.Name)
	case errdefs.IsInvalidArgument(err):
		return runtime.Fail(runtime.InvalidSpec, err, "the container engine refuses network %s: %s", spec.Name, plain(text))
	}
	return runtime.Fail(runtime.Unknown, err, "network %s could not be made", spec.Name)
}

// fileFailure says why a file could not be read.
func fileFailure(ctx context.Context, at string, err error) error {
	if errdefs.IsNotFound(err) || has(err.Error(), []string{"too many links in ", "not a directory"}) {
		return runtime.Fail(runtime.Missing, err, "%s is not in the container", at)
	}
	return failure(ctx, err, runtime.Unknown, "%s could not be read from the container", at)
}

// underWay says whether a network can't be made because of one that exists, or
// that somebody is making right now.
func underWay(err error) bool {
	return has(err.Error(), []string{"pool overlaps with other one", "conflicts with network ", "networks have same bridge name", "already exists"})
}

// removing says whether a removal failed because another one is under way.
func removing(err error) bool {
	return errdefs.IsConflict(err) && has(err.Error(), []string{"is already in progress"})
}

// plain takes the client's preamble off an engine's message.
func plain(text string) string {
	return strings.TrimPrefix(text, "Error response from daemon: ")
}
