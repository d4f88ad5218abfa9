package runtime

import (
	"net/netip"
	"path"
	"regexp"
	"strings"
)

// MinMemoryBytes is the least memory that engines accept for a container.
const MinMemoryBytes = 6 << 20

// minNanoCPUs is the least quota that engines accept: a hundredth of a core.
const minNanoCPUs = 1e7

var hardwareAddress = regexp.MustCompile(`^[0-9a-f]{2}(:[0-9a-f]{2}){5}$`)

var containerName = regexp.MustCompile(`^[a-zA-Z0-9][a-zA-Z0-9_.-]{0,127}$`)

// Validate finds what no engine would or should accept, before anything is
// made. The error is a *Failure with reason InvalidSpec, or nil. What only the
// engine knows (cores of the machine, users of the image, directories to mount)
// is left to it.
func (s ContainerSpec) Validate() error {
	for _, check := range []func() error{s.checkNames, s.checkLimits, s.checkPorts, s.checkMounts, s.checkTexts} {
		if err := check(); err != nil {
			return err
		}
	}
	return nil
}

func (s ContainerSpec) checkNames() error {
	switch {
	case !containerName.MatchString(s.Name):
		return invalid("%q can't be a container's name", s.Name)
	case s.Instance == "":
		return invalid("a container needs an instance")
	case s.Role != RoleMain && s.Role != RoleInstall:
		return invalid("%.40q is not what a container can be for", s.Role)
	case s.Image == "":
		return invalid("a container needs an image")
	case s.MAC != "" && !hardwareAddress.MatchString(s.MAC):
		return invalid("%.40q is not a hardware address", s.MAC)
	case s.WorkingDir != "" && !path.IsAbs(s.WorkingDir):
		return invalid("the working directory %q is not an absolute path", s.WorkingDir)
	}
	return nil
}

func (s ContainerSpec) checkLimits() error {
	switch {
	case s.MemoryBytes < MinMemoryBytes:
		return invalid("a container needs at least 6 MiB of memory, not %d bytes", s.MemoryBytes)
	case s.NanoCPUs < minNanoCPUs:
		return invalid("a container needs at least a hundredth of a core")
	case s.PidsLimit < 0:
		return invalid("a limit of %d processes makes no sense", s.PidsLimit)
	}
	return nil
}

func (s ContainerSpec) checkPorts() error {
	seen := make(map[Port]bool, len(s.Ports))
	for _, p := range s.Ports {
		if p.Host == 0 || p.Container == 0 {
			return invalid("port 0 can't be published")
		}
		if p.Protocol != TCP && p.Protocol != UDP {
			return invalid("%q is not a protocol of a port", p.Protocol)
		}
		if _, err := netip.ParseAddr(p.HostIP); err != nil {
			return invalid("%q is not an address to publish a port on", p.HostIP)
		}
		at := Port{HostIP: p.HostIP, Host: p.Host, Protocol: p.Protocol}
		if seen[at] {
			return invalid("port %d is published twice", p.Host)
		}
		seen[at] = true
	}
	return nil
}

func (s ContainerSpec) checkMounts() error {
	seen := make(map[string]bool, len(s.Mounts))
	for _, m := range s.Mounts {
		if !path.IsAbs(m.Source) || !path.IsAbs(m.Target) || path.Clean(m.Target) == "/" {
			return invalid("a mount needs two absolute paths, and a target that is not the root")
		}
		if seen[path.Clean(m.Target)] {
			return invalid("two mounts have the target %q", m.Target)
		}
		seen[path.Clean(m.Target)] = true
	}
	return nil
}

// checkTexts keeps NUL out of all that becomes an argument or a variable of a
// process: the kernel would cut it there.
func (s ContainerSpec) checkTexts() error {
	for _, e := range s.Env {
		if name, _, ok := strings.Cut(e, "="); !ok || name == "" {
			return invalid("a variable needs a name and a value")
		}
	}
	texts := []string{s.User, s.WorkingDir, s.Hostname}
	for _, list := range [][]string{s.Env, s.Entrypoint, s.Command} {
		texts = append(texts, list...)
	}
	for _, m := range s.Mounts {
		texts = append(texts, m.Source, m.Target)
	}
	for _, t := range texts {
		if strings.ContainsRune(t, 0) {
			return invalid("a text of the container holds a NUL character")
		}
	}
	return nil
}

var signalName = regexp.MustCompile(`^(SIG)?[A-Z][A-Z0-9]*([+-][0-9]{1,2})?$|^[1-9][0-9]?$`)

// Validate finds a signal that is no signal's name or number by its form: the
// error is a *Failure with reason InvalidSpec, or nil. Which names there are is
// left to the engine.
func (s StopSpec) Validate() error {
	if s.Signal != "" && !signalName.MatchString(s.Signal) {
		return invalid("%.40q is not a signal", s.Signal)
	}
	return nil
}

var networkName = regexp.MustCompile(`^[a-zA-Z0-9][a-zA-Z0-9_.-]{0,63}$`)

// Validate reads the subnet (the zero prefix when the engine is to choose one)
// and finds what no engine should accept; the error is a *Failure with reason
// InvalidSpec, or nil.
func (n NetworkSpec) Validate() (netip.Prefix, error) {
	if !networkName.MatchString(n.Name) {
		return netip.Prefix{}, invalid("%.80q can't be a network's name", n.Name)
	}
	if n.Subnet == "" {
		return netip.Prefix{}, nil
	}
	p, err := netip.ParsePrefix(n.Subnet)
	if err != nil || !p.Addr().Is4() || p.Bits() > 29 || p.Bits() < 8 {
		return netip.Prefix{}, Fail(InvalidSpec, err, "%.80q is not an IPv4 subnet from /8 to /29 such as 172.30.0.0/16", n.Subnet)
	}
	return p.Masked(), nil
}

func invalid(format string, args ...any) error { return Fail(InvalidSpec, nil, format, args...) }
