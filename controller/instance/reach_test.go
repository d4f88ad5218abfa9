package instance_test

import (
	"reflect"
	"testing"

	"github.com/berth-panel/berth/controller/instance"
	"github.com/berth-panel/berth/controller/job"
	"github.com/berth-panel/berth/shared/problem"
	"github.com/berth-panel/berth/shared/wire"
)

// What an instance reaches and how fast its disk is are an admin's to say, are told
// to the node, stay when the container is described anew, and are shown.
func TestReach(t *testing.T) {
	t.Parallel()
	b := setup(t)
	i := b.ready(ports(30000))
	network := instance.InstanceNetworkBody{Allow: []string{"10.1.2.3/16", "192.0.2.7", "10.1.0.0/16", "fd00::1/64"}, Instances: true, OutBytes: 1 << 20}
	io := instance.InstanceIOBody{WriteBytes: 1 << 20, ReadOps: 100}
	patch := instance.Patch{Network: &network, IO: &io}
	if _, _, err := b.instances.Change(t.Context(), b.owner, i.ID, patch); !problem.Is(err, problem.Forbidden) {
		t.Errorf("its owner: %v", err)
	}
	before := b.get(i.ID).Spec
	_, j, err := b.instances.Change(t.Context(), b.admin, i.ID, patch)
	if err != nil {
		t.Fatal(err)
	}
	before.Generation++
	before.Network = wire.Network{Allow: []string{"10.1.0.0/16", "192.0.2.7/32", "fd00::/64"}, Instances: true, OutBytes: 1 << 20}
	before.Limits.WriteBytes, before.Limits.ReadOps = 1<<20, 100
	if got := b.handed(i.ID); !follows(got, before) {
		t.Errorf("the node is told %+v, want %+v", got, before)
	}
	b.carryOut(i.ID)
	b.ended(j, job.Succeeded)
	if _, j, err := b.instances.Change(t.Context(), b.admin, i.ID, patch); err != nil || j.ID != "" {
		t.Errorf("the same again is a change: %+v %v", j, err)
	}
	_, j, err = b.instances.Change(t.Context(), b.admin, i.ID, instance.Patch{MemoryMiB: pointer(int64(777))})
	if err != nil {
		t.Fatal(err)
	}
	if got := b.handed(i.ID); !reflect.DeepEqual(got.Network, before.Network) || got.Limits.WriteBytes != 1<<20 || got.Limits.ReadOps != 100 || got.Limits.MemoryMiB != 777 {
		t.Errorf("after another change: %+v", got)
	}
	b.carryOut(i.ID)
	b.ended(j, job.Succeeded)
	d := b.get(i.ID).Detail()
	if d.Network.Allow[0] != "10.1.0.0/16" || !d.Network.Instances || d.IO != io {
		t.Errorf("%+v %+v", d.Network, d.IO)
	}
	if _, _, err := b.instances.Change(t.Context(), b.admin, i.ID, instance.Patch{Network: &instance.InstanceNetworkBody{}, IO: &instance.InstanceIOBody{}}); err != nil {
		t.Fatal(err)
	}
	if got := b.get(i.ID).Spec; !reflect.DeepEqual(got.Network, wire.Network{}) || got.Limits.WriteBytes != 0 {
		t.Errorf("it was not taken back: %+v", got)
	}
}

func TestReachRefused(t *testing.T) {
	t.Parallel()
	b := setup(t)
	i := b.ready()
	before := b.rows()
	for field, p := range map[string]instance.Patch{
		"network.allow":     {Network: &instance.InstanceNetworkBody{Allow: []string{"10.0.0.0/33"}}},
		"network.out_bytes": {Network: &instance.InstanceNetworkBody{OutBytes: 1}},
		"network.in_bytes":  {Network: &instance.InstanceNetworkBody{InBytes: 100}},
		"io.read_bytes":     {IO: &instance.InstanceIOBody{ReadBytes: 1}},
		"io.write_ops":      {IO: &instance.InstanceIOBody{WriteOps: 1}},
	} {
		_, _, err := b.instances.Change(t.Context(), b.admin, i.ID, p)
		if p := problem.From(err); p.Code != problem.Validation || len(p.Fields) != 1 || p.Fields[0].Field != field {
			t.Errorf("%s: %v", field, err)
		}
	}
	for _, text := range []string{"fe80::1%eth0", "x", "", "1.2.3.4/8/9"} {
		_, _, err := b.instances.Change(t.Context(), b.admin, i.ID, instance.Patch{Network: &instance.InstanceNetworkBody{Allow: []string{text}}})
		if !problem.Is(err, problem.Validation) {
			t.Errorf("%q: %v", text, err)
		}
	}
	if after := b.rows(); !reflect.DeepEqual(before, after) {
		t.Errorf("%v became %v", before, after)
	}
}
