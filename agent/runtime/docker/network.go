package docker

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"net/netip"
	"time"

	"github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/network"

	"github.com/berth-panel/berth/agent/runtime"
)

const (
	optionICC        = "com.docker.network.bridge.enable_icc"
	optionMasquerade = "com.docker.network.bridge.enable_ip_masquerade"
	optionBridge     = "com.docker.network.bridge.name"
)

// A busy engine takes seconds to make a network, and refuses its name to others
// before it shows it.
const (
	networkAttempts = 100
	networkPause    = 150 * time.Millisecond
)

// EnsureNetwork makes Berth's bridge, or finds that it is there and is as asked.
// The bridge's device has a name made of the network's, so that of two agents
// that make it at once only one succeeds: Docker takes two networks of one name,
// but not two of one device. The other fails and finds the first one's, after a
// moment.
func (e *Engine) EnsureNetwork(ctx context.Context, spec runtime.NetworkSpec) error {
	subnet, err := spec.Validate()
	if err != nil {
		return err
	}
	e.nets.Lock()
	defer e.nets.Unlock()
	var last error
	for attempt := range networkAttempts {
		if there, err := e.checkNetwork(ctx, spec, subnet); there || err != nil {
			return err
		}
		if last != nil && !underWay(last) {
			break
		}
		if attempt > 0 { // somebody may be making it, and the engine does not show it yet
			if err := pause(ctx, networkPause); err != nil {
				return err
			}
		}
		if last = e.createNetwork(ctx, spec, subnet); last == nil {
			return nil
		}
	}
	return networkFailure(ctx, spec, last)
}

func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// checkNetwork says whether the network is there; one that is there and can't
// serve is a failure.
func (e *Engine) checkNetwork(ctx context.Context, spec runtime.NetworkSpec, subnet netip.Prefix) (bool, error) {
	found, err := e.api.NetworkInspect(ctx, spec.Name, network.InspectOptions{})
	if errdefs.IsNotFound(err) {
		return false, nil
	}
	if err != nil {
		return false, failure(ctx, err, runtime.Unknown, "the container engine could not look at network %s", spec.Name)
	}
	if found.Name != spec.Name { // an id that begins like the name
		return false, nil
	}
	if found.Labels[labelNetwork] == "" || found.Driver != "bridge" || found.Options[optionICC] != "false" {
		return false, runtime.Fail(runtime.Conflict, nil, "a network named %s is on this node already and was not made by Berth", spec.Name)
	}
	if !subnet.IsValid() {
		return true, nil
	}
	for _, c := range found.IPAM.Config {
		if p, err := netip.ParsePrefix(c.Subnet); err == nil && p.Masked() == subnet {
			return true, nil
		}
	}
	return false, runtime.Fail(runtime.Conflict, nil, "network %s is on this node already with another subnet than %s", spec.Name, spec.Subnet)
}

func (e *Engine) createNetwork(ctx context.Context, spec runtime.NetworkSpec, subnet netip.Prefix) error {
	options := network.CreateOptions{
		Driver:  "bridge",
		Options: map[string]string{optionICC: "false", optionMasquerade: "true", optionBridge: BridgeName(spec.Name)},
		Labels:  map[string]string{labelNode: string(e.node), labelNetwork: spec.Name},
	}
	if subnet.IsValid() {
		options.IPAM = &network.IPAM{Driver: "default", Config: []network.IPAMConfig{{Subnet: subnet.String()}}}
	}
	_, err := e.api.NetworkCreate(ctx, spec.Name, options)
	return err
}

// BridgeName is the device of one of Berth's networks: at most 15 characters, of
// which "br-" says to people what it is.
func BridgeName(name string) string {
	const most = 15 - len("br-")
	if len(name) <= most {
		return "br-" + name
	}
	sum := sha256.Sum256([]byte(name))
	return "br-" + hex.EncodeToString(sum[:])[:most]
}
