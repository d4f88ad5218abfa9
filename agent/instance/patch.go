package instance

import (
	"context"

	"github.com/berth-panel/berth/agent/patch"
	"github.com/berth-panel/berth/shared/ident"
	"github.com/berth-panel/berth/shared/wire"
)

// Patcher changes files of a volume (agent/patch). It may be repeated. told are the
// changes that found no place and the files that were made; failures are *problem.Problem where people can do
// something about them.
type Patcher interface {
	Apply(ctx context.Context, id ident.Instance, patches []wire.Patch, owner patch.Owner) (told []string, err error)
}

// patch changes the volume's files before a start. A file that can't be changed is
// a start that fails, before the container ran.
func (o *owner) patch(ctx context.Context, j job) error {
	patches := j.desired.Spec.Patches
	if len(patches) == 0 || o.m.deps.Patcher == nil {
		return nil
	}
	var owner patch.Owner
	if known, _ := o.know(); known.Owner != nil {
		owner = patch.Owner{UID: known.Owner.UID, GID: known.Owner.GID}
	}
	told, err := o.m.deps.Patcher.Apply(ctx, o.id, patches, owner)
	o.remark(j, told...)
	return err
}
