package docker

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"syscall"
	"testing"

	"github.com/containerd/errdefs"
	"github.com/distribution/reference"

	"github.com/berth-panel/berth/agent/runtime"
)

// said is an engine's text as the client gives it, with the kind of its status.
func said(kind error, text string) error {
	err := errors.New("Error response from daemon: " + text)
	if kind == nil {
		return err
	}
	return fmt.Errorf("%w%w", err, silent{kind})
}

// silent is a kind without a text of its own.
type silent struct{ error }

func (silent) Error() string   { return "" }
func (s silent) Unwrap() error { return s.error }

func named(t *testing.T, ref string) reference.Named {
	t.Helper()
	n, err := parse(ref)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func TestPullFailure(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		engine string // whose text it is
		err    error
		want   runtime.Reason
		text   string
	}{
		{"20.10", said(errdefs.ErrNotFound, "manifest for registry.example/a/nope:1 not found: manifest unknown: manifest unknown"),
			runtime.ImageNotFound, "image registry.example/a/nope:1 not found in registry registry.example"},
		{"20.10, a registry without tokens", said(errdefs.ErrNotFound, "manifest unknown"), runtime.ImageNotFound, ""},
		{"20.10 and 28", said(errdefs.ErrNotFound, "repository registry.example/a/nope not found: name unknown: The repository does not exist"), runtime.ImageNotFound, ""},
		{"28, containerd's store", said(errdefs.ErrNotFound, `failed to resolve reference "registry.example/a/nope:1": registry.example/a/nope:1: not found`), runtime.ImageNotFound, ""},
		{"28, in the stream", errors.New(`failed to resolve reference "registry.example/a/nope:1": registry.example/a/nope:1: not found`), runtime.ImageNotFound, ""},

		{"20.10 and 28", said(errdefs.ErrNotFound, "pull access denied for registry.example/a/nope, repository does not exist or may require 'docker login': denied: requested access to the resource is denied"),
			runtime.ImageDenied, "registry registry.example denies image registry.example/a/nope:1: it is not there, or needs a login, which an admin adds under Registries"},
		{"20.10", said(errdefs.ErrInternal, `Head "https://registry.example/v2/a/nope/manifests/1": unauthorized: authentication required`), runtime.ImageDenied, ""},
		{"20.10", said(errdefs.ErrInternal, `Get "https://registry.example/v2/a/nope/manifests/1": no basic auth credentials`), runtime.ImageDenied, ""},
		{"20.10", said(errdefs.ErrInternal, `Head "https://registry.example/v2/a/nope/manifests/1": denied: denied`), runtime.ImageDenied, ""},
		{"20.10, without a body", said(errdefs.ErrInternal, "denied"), runtime.ImageDenied, ""},
		{"20.10, without a body", said(errdefs.ErrInternal, "unauthorized"), runtime.ImageDenied, ""},
		{"20.10, without a body", said(errdefs.ErrInternal, "toomanyrequests"), runtime.RegistryLimited, ""},
		{"28, containerd's store", errors.New("pull access denied, repository does not exist or may require authorization: server message: insufficient_scope: authorization failed"), runtime.ImageDenied, ""},
		{"28, containerd's store", errors.New(`failed to authorize: failed to fetch anonymous token: unexpected status from GET request to https://registry.example/token: 401 Unauthorized`), runtime.ImageDenied, ""},

		{"20.10", said(errdefs.ErrInternal, "toomanyrequests: You have reached your pull rate limit. You may increase the limit by authenticating and upgrading"),
			runtime.RegistryLimited, "registry registry.example allows no more pulls for now, so image registry.example/a/nope:1 has to wait"},
		{"20.10", said(errdefs.ErrInternal, "received unexpected HTTP status: 429 Too Many Requests"), runtime.RegistryLimited, ""},
		{"28", errors.New(`failed to copy: httpReadSeeker: failed open: unexpected status code https://registry.example/v2/a/nope/blobs/sha256:0: 429 Too Many Requests - Server message: toomanyrequests: You have reached your pull rate limit.`), runtime.RegistryLimited, ""},

		{"20.10", said(errdefs.ErrInternal, `Get "https://registry.example/v2/": dial tcp: lookup registry.example on 10.0.0.53:53: no such host`),
			runtime.RegistryDown, "registry registry.example can't be reached from this node, so image registry.example/a/nope:1 can't be fetched"},
		{"20.10", said(errdefs.ErrInternal, `Get "http://registry.example/v2/": dial tcp 192.0.2.1:80: connect: connection refused`), runtime.RegistryDown, ""},
		{"20.10", said(errdefs.ErrInternal, `Get "https://registry.example/v2/": dial tcp 192.0.2.1:443: i/o timeout`), runtime.RegistryDown, ""},
		{"20.10", said(errdefs.ErrInternal, `Get "https://registry.example/v2/": dial tcp: lookup registry.example: Temporary failure in name resolution`), runtime.RegistryDown, ""},
		{"20.10", said(errdefs.ErrInternal, `Get "https://registry.example/v2/": dial tcp [2001:db8::1]:443: connect: network is unreachable`), runtime.RegistryDown, ""},
		{"20.10", said(errdefs.ErrInternal, `Get "https://registry.example/v2/": net/http: TLS handshake timeout`), runtime.RegistryDown, ""},
		{"20.10", said(errdefs.ErrInternal, `Get "https://registry.example/v2/": net/http: request canceled while waiting for connection (Client.Timeout exceeded while awaiting headers)`), runtime.RegistryDown, ""},
		{"28", said(errdefs.ErrInternal, `Get "https://registry.example/v2/": context deadline exceeded (Client.Timeout exceeded while awaiting headers)`), runtime.RegistryDown, ""},
		{"20.10", said(errdefs.ErrInternal, `Get "https://registry.example/v2/": x509: certificate signed by unknown authority`), runtime.RegistryDown, ""},
		{"28", said(errdefs.ErrInternal, `Get "https://registry.example/v2/": tls: failed to verify certificate: x509: certificate has expired or is not yet valid`), runtime.RegistryDown, ""},
		{"20.10", said(errdefs.ErrInternal, `Get "https://registry.example/v2/": http: server gave HTTP response to HTTPS client`), runtime.RegistryDown, ""},
		{"20.10", said(errdefs.ErrInternal, `Get "https://registry.example/v2/": EOF`), runtime.RegistryDown, ""},
		{"20.10", said(errdefs.ErrInternal, "received unexpected HTTP status: 503 Service Unavailable"), runtime.RegistryDown, ""},
		{"20.10, in the stream", errors.New("read tcp 10.0.0.2:44844->192.0.2.1:443: read: connection reset by peer"), runtime.RegistryDown, ""},
		{"20.10, in the stream", errors.New("unexpected EOF"), runtime.RegistryDown, ""},
		{"28", said(errdefs.ErrInternal, `Get "https://registry.example/v2/": proxyconnect tcp: dial tcp 192.0.2.9:3128: connect: no route to host`), runtime.RegistryDown, ""},

		{"20.10 and 28", said(errdefs.ErrNotFound, "no matching manifest for linux/arm64/v8 in the manifest list entries"),
			runtime.ImageWrongArch, "image registry.example/a/nope:1 is not made for this node's kind of machine"},
		{"28, containerd's store", said(errdefs.ErrNotFound, "no matching manifest for linux/amd64 in the manifest list entries: no match for platform in manifest: not found"), runtime.ImageWrongArch, ""},
		{"20.10", said(errdefs.ErrInternal, `image operating system "windows" cannot be used on this platform`), runtime.ImageWrongArch, ""},
		{"20.10", said(errdefs.ErrNotFound, "image with reference registry.example/a/nope:1 was found but does not match the specified platform: wanted linux/amd64, actual: linux/arm64"), runtime.ImageWrongArch, ""},

		{"20.10, in the stream", errors.New("failed to register layer: Error processing tar file(exit status 1): write /usr/lib/x.so: no space left on device"),
			runtime.NoSpace, "the node's disk is full: image registry.example/a/nope:1 does not fit until an admin makes room there"},
		{"28, in the stream", errors.New("failed to register layer: write /usr/lib/x.so: no space left on device"), runtime.NoSpace, ""},
		{"28, containerd's store", errors.New("failed to extract layer sha256:0: write /var/lib/x: disk quota exceeded: unknown"), runtime.NoSpace, ""},

		{"20.10 and 28", said(errdefs.ErrInvalidArgument, "invalid reference format"), runtime.BadReference, ""},
		{"any", said(errdefs.ErrInternal, "something nobody has heard of"),
			runtime.Unknown, "image registry.example/a/nope:1 could not be fetched from registry registry.example"},
		{"the way there", io.ErrUnexpectedEOF, runtime.Unreachable, "the container engine does not answer"},
	} {
		err := pullFailure(t.Context(), named(t, "registry.example/a/nope:1"), runtime.Login{}, c.err)
		checkFailure(t, c.engine, c.err, err, c.want, c.text)
	}
}

// TestPullFailureNames: an image's name can't play an engine's text.
func TestPullFailureNames(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"a/unauthorized", "a/toomanyrequests", "a/denied", "a/eof", "a/x509", "a/b:unauthorized", "a/b:eof", "not/found", "a/dial-tcp"} {
		text := "manifest for registry.example/" + name + " not found: manifest unknown: manifest unknown"
		err := pullFailure(t.Context(), named(t, "registry.example/"+name), runtime.Login{}, said(errdefs.ErrNotFound, text))
		if got := runtime.ReasonOf(err); got != runtime.ImageNotFound {
			t.Errorf("image %s, not found, is taken for %s", name, got)
		}
	}
}

func checkFailure(t *testing.T, engine string, cause, err error, want runtime.Reason, text string) {
	t.Helper()
	var f *runtime.Failure
	if !errors.As(err, &f) {
		t.Errorf("%s: %q gives %v, no Failure", engine, cause, err)
		return
	}
	if f.Reason != want {
		t.Errorf("%s: %q is taken for %s, want %s", engine, cause, f.Reason, want)
	}
	if text != "" && f.Message != text {
		t.Errorf("%s: %q gives the sentence %q, want %q", engine, cause, f.Message, text)
	}
	if !errors.Is(f, cause) {
		t.Errorf("%s: %q is lost as the cause", engine, cause)
	}
}

func TestStartFailure(t *testing.T) {
	t.Parallel()
	const endpoint = "driver failed programming external connectivity on endpoint bt-1 (62e37e3d12295cf0fb35e5f24ffd8bd8d15b78be7b2ce4ac48a8b85dbb693be8): "
	const modern = "failed to set up container networking: " + endpoint
	const runc = "failed to create shim task: OCI runtime create failed: runc create failed: unable to start container process: "
	for _, c := range []struct {
		engine string
		err    error
		want   runtime.Reason
		port   uint16
		text   string
	}{
		{"20.10", said(errdefs.ErrInternal, endpoint+"Bind for 0.0.0.0:25565 failed: port is already allocated"), runtime.PortInUse, 25565, "port 25565 is in use on this node by another container"},
		{"28", said(errdefs.ErrInternal, modern+"Bind for 0.0.0.0:25565 failed: port is already allocated"), runtime.PortInUse, 25565, ""},
		{"28", said(errdefs.ErrInternal, modern+"Bind for :::10000 failed: port is already allocated"), runtime.PortInUse, 10000, ""},
		{"20.10", said(errdefs.ErrInternal, endpoint+"Error starting userland proxy: listen tcp4 0.0.0.0:18081: bind: address already in use"), runtime.PortInUse, 18081, "port 18081 is in use on this node by another program"},
		{"20.10", said(errdefs.ErrInternal, endpoint+"Error starting userland proxy: listen udp4 0.0.0.0:18082: bind: address already in use"), runtime.PortInUse, 18082, ""},
		{"20.10", said(errdefs.ErrInternal, endpoint+"Error starting userland proxy: listen tcp6 [::]:18082: bind: address already in use"), runtime.PortInUse, 18082, ""},
		{"28", said(errdefs.ErrInternal, modern+"failed to bind host port for 0.0.0.0:8080:172.19.0.2:80/tcp: address already in use"), runtime.PortInUse, 8080, "port 8080 is in use on this node by another program"},
		{"28", said(errdefs.ErrInternal, modern+"failed to bind host port for [::]:8080:[fd00::2]:80/udp: address already in use"), runtime.PortInUse, 8080, ""},
		{"later", said(errdefs.ErrInternal, modern+"failed to bind host port 0.0.0.0:8080/tcp: address already in use"), runtime.PortInUse, 8080, ""},
		{"28", said(errdefs.ErrInternal, modern+"failed to listen on TCP socket: address already in use"), runtime.PortInUse, 0, "a port is in use on this node by another program"},

		{"20.10", said(errdefs.ErrInternal, endpoint+"Error starting userland proxy: listen tcp4 10.99.99.99:18083: bind: cannot assign requested address"), runtime.AddressNotHere, 0, "address 10.99.99.99 is not one of this node's"},
		{"20.10", said(errdefs.ErrInternal, endpoint+"Error starting userland proxy: listen udp6 [2001:db8::1]:18083: bind: cannot assign requested address"), runtime.AddressNotHere, 0, "address 2001:db8::1 is not one of this node's"},
		{"28", said(errdefs.ErrInternal, modern+"failed to bind host port for 10.99.99.99:8080:172.19.0.2:80/tcp: cannot assign requested address"), runtime.AddressNotHere, 0, "address 10.99.99.99 is not one of this node's"},

		{"20.10, no init", said(errdefs.ErrInvalidArgument, runc+`exec: "/nope": stat /nope: no such file or directory: unknown`), runtime.CommandNotFound, 0, `the start command "/nope" is not in the image`},
		{"20.10, older runc, no init", said(errdefs.ErrInvalidArgument, `OCI runtime create failed: container_linux.go:380: starting container process caused: exec: "nope": executable file not found in $PATH: unknown`), runtime.CommandNotFound, 0, `the start command "nope" is not in the image`},
		{"28, no init", said(errdefs.ErrInvalidArgument, `failed to create task for container: `+runc[len("failed to create shim task: "):]+`exec: "nope": executable file not found in $PATH: unknown`), runtime.CommandNotFound, 0, ""},
		{"20.10, no init", said(errdefs.ErrInvalidArgument, runc+`exec: "/etc": permission denied: unknown`), runtime.CommandNotFound, 0, `the start command "/etc" is not a program that can be executed`},
		{"28, no init", said(errdefs.ErrInvalidArgument, runc+`exec: "/etc": is a directory: unknown: permission denied`), runtime.CommandNotFound, 0, `the start command "/etc" is not a program that can be executed`},
		{"any, no init", said(errdefs.ErrInternal, runc+`exec /probe: exec format error: unknown`), runtime.CommandNotFound, 0, "the start command can't be executed on this kind of machine"},
		{"20.10", said(errdefs.ErrInvalidArgument, `OCI runtime create failed: runc create failed: unable to start container process: exec: "docker-init": executable file not found in $PATH: unknown`), runtime.Unknown, 0, "the container engine lacks its init program (docker-init)"},

		{"20.10 and 28", said(errdefs.ErrInternal, "mkdir /var/lib/docker/overlay2/x/merged: no space left on device"), runtime.NoSpace, 0, "the node's disk is full"},
		{"20.10 and 28", said(errdefs.ErrNotFound, "network bt-nonet not found"), runtime.InvalidSpec, 0, "the container's network is missing on this node"},
		{"28", said(errdefs.ErrNotFound, "failed to set up container networking: network bt-nonet not found"), runtime.InvalidSpec, 0, ""},
		{"20.10 and 28", said(errdefs.ErrInvalidArgument, "unable to find user nobody2: no matching entries in passwd file"), runtime.InvalidSpec, 0, "user nobody2 is not in the image"},
		{"20.10 and 28", said(errdefs.ErrInvalidArgument, `invalid mount config for type "bind": bind source path does not exist: /srv/berth/volumes/1`), runtime.InvalidSpec, 0, "a directory that the container mounts is missing on this node"},
		{"28", said(errdefs.ErrInvalidArgument, runc+`error during container init: error mounting "/srv/x" to rootfs at "/etc/passwd": mount src=/srv/x: not a directory: unknown`), runtime.InvalidSpec, 0, ""},
		{"28", said(errdefs.ErrInternal, "failed to create shim task: OCI runtime create failed: runc create failed: unable to start container process: container init was OOM-killed (memory limit too low?): unknown"), runtime.InvalidSpec, 0, "the memory limit is too low to start the container"},
		{"20.10 and 28", said(errdefs.ErrConflict, "container is marked for removal and cannot be started"), runtime.Conflict, 0, ""},
		{"any", said(errdefs.ErrInternal, "something nobody has heard of"), runtime.Unknown, 0, "the container engine could not start the container"},
	} {
		f := startFailure(c.err)
		checkFailure(t, c.engine, c.err, f, c.want, c.text)
		if f.Port != c.port {
			t.Errorf("%s: %q is about port %d, want %d", c.engine, c.err, f.Port, c.port)
		}
	}
}

func TestLastWords(t *testing.T) {
	t.Parallel()
	for output, want := range map[string]string{
		"[FATAL tini (7)] exec /nope failed: No such file or directory\n":                        `the start command "/nope" is not in the image`,
		"\x02\x00\x00\x00\x00\x00\x00\x3e[FATAL tini (8)] exec /tmp failed: Permission denied\n": `the start command "/tmp" is not a program that can be executed`,
		"[FATAL tini (7)] exec /a b failed: Exec format error\r\n":                               `the start command "/a b" can't be executed on this kind of machine`,
		"[FATAL tini (7)] exec x failed: Too many levels of symbolic links\n":                    `the start command "x" could not be executed`,
		"Error: No such file or directory":                                                       "",
		"":                                                                                       "",
	} {
		if got := lastWords(output); got != want {
			t.Errorf("%q is taken for %q, want %q", output, got, want)
		}
	}
}

func TestCreateFailure(t *testing.T) {
	t.Parallel()
	spec := runtime.ContainerSpec{Name: "bt-1", Image: "a/b:1"}
	for _, c := range []struct {
		err  error
		want runtime.Reason
		text string
	}{
		{said(errdefs.ErrNotFound, "No such image: a/b:1"), runtime.ImageMissing, "image a/b:1 is not on this node"},
		{said(errdefs.ErrConflict, `Conflict. The container name "/bt-1" is already in use by container "0123". You have to remove (or rename) that container to be able to reuse that name.`), runtime.Conflict, "a container named bt-1 exists already on this node"},
		{said(errdefs.ErrInvalidArgument, "Minimum memory limit allowed is 6MB"), runtime.InvalidSpec, "the container engine refuses the settings: Minimum memory limit allowed is 6MB"},
		{said(errdefs.ErrInvalidArgument, "Range of CPUs is from 0.01 to 2.00, as there are only 2 CPUs available"), runtime.InvalidSpec, ""},
		{said(errdefs.ErrInvalidArgument, `invalid mount config for type "bind": bind source path does not exist: /srv/x`), runtime.InvalidSpec, "a directory that the container mounts is missing on this node"},
		{said(errdefs.ErrNotFound, "network bt-x not found"), runtime.InvalidSpec, "the container's network is missing on this node"},
		{said(errdefs.ErrInternal, "mkdir /var/lib/docker/containers/x: no space left on device"), runtime.NoSpace, "the node's disk is full"},
		{said(errdefs.ErrInternal, "what"), runtime.Unknown, "the container engine could not make the container"},
	} {
		checkFailure(t, "any", c.err, createFailure(t.Context(), spec, c.err), c.want, c.text)
	}
}

func TestNetworkFailure(t *testing.T) {
	t.Parallel()
	spec := runtime.NetworkSpec{Name: "berth", Subnet: "172.30.0.0/16"}
	for _, c := range []struct {
		err  error
		want runtime.Reason
		text string
	}{
		{said(errdefs.ErrPermissionDenied, "Pool overlaps with other one on this address space"), runtime.Conflict, "subnet 172.30.0.0/16 overlaps with another network of this node"},
		{said(errdefs.ErrPermissionDenied, "invalid pool request: Pool overlaps with other one on this address space"), runtime.Conflict, ""},
		{said(errdefs.ErrNotFound, "could not find an available, non-overlapping IPv4 address pool among the defaults to assign to the network"), runtime.Conflict, "the container engine has no subnet left for network berth: name one"},
		{said(errdefs.ErrInvalidArgument, "all predefined address pools have been fully subnetted"), runtime.Conflict, ""},
		{said(errdefs.ErrInvalidArgument, "invalid network config: x"), runtime.InvalidSpec, ""},
		{said(errdefs.ErrInternal, "what"), runtime.Unknown, "network berth could not be made"},
	} {
		checkFailure(t, "any", c.err, networkFailure(t.Context(), spec, c.err), c.want, c.text)
	}
}

// TestBroken: what kept a call from coming through wins over all other reading.
func TestBroken(t *testing.T) {
	t.Parallel()
	for _, err := range []error{
		io.EOF, io.ErrUnexpectedEOF, syscall.ECONNRESET, syscall.EPIPE, fmt.Errorf("reading: %w", io.EOF),
		&net.OpError{Op: "dial", Net: "unix", Err: syscall.ENOENT}, said(errdefs.ErrUnavailable, "shutting down"),
		// 20.10 while it ends, and after its containerd was killed.
		said(errdefs.ErrInternal, "transport is closing: unavailable"), said(errdefs.ErrInternal, "ttrpc: closed: unknown"),
		said(errdefs.ErrInternal, `connection error: desc = "transport: error while dialing: dial unix containerd.sock: connect: connection refused": unavailable`),
		said(errdefs.ErrInternal, "failed to update store for object type *libnetwork.endpoint: open : no such file or directory"),
	} {
		checkFailure(t, "any", err, failure(t.Context(), err, runtime.Unknown, "x"), runtime.Unreachable, "the container engine does not answer")
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if err := failure(ended, io.EOF, runtime.Unknown, "x"); !errors.Is(err, context.Canceled) || runtime.ReasonOf(err) != runtime.Unknown {
		t.Errorf("a call that was cancelled gives %v, want the context's error alone", err)
	}
	if err := failure(t.Context(), nil, runtime.Unknown, "x"); err != nil {
		t.Errorf("no error gives %v", err)
	}
	already := runtime.Fail(runtime.Missing, nil, "gone")
	if err := failure(t.Context(), already, runtime.Unknown, "x"); !errors.Is(err, already) {
		t.Errorf("a Failure becomes %v", err)
	}
}
