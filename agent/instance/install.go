package instance

import (
	"context"
	"errors"
	"io"

	"github.com/berth-panel/berth/agent/install"
	"github.com/berth-panel/berth/agent/journal"
	"github.com/berth-panel/berth/shared/problem"
	"github.com/berth-panel/berth/shared/wire"
)

// install downloads what the spec names into the volume, and runs its script. The
// downloads come first, and again whenever the script is begun again.
func (o *owner) install(ctx context.Context, j job, owner journal.Owner) error {
	todo := j.desired.Spec.Install
	if len(todo.Downloads) == 0 && todo.Script == nil {
		return nil
	}
	if err := o.beginInstall(j); err != nil {
		return err
	}
	console := o.m.deps.Console.Install(o.id)
	defer func() { _ = console.Close() }()
	if len(o.aides) == 0 {
		if err := o.download(ctx, j, owner, console); err != nil {
			return masked(todo.Secrets, err)
		}
	}
	if todo.Script == nil {
		return nil
	}
	return o.runScript(ctx, j, owner, console)
}

func (o *owner) download(ctx context.Context, j job, owner journal.Owner, console io.Writer) error {
	spec := j.desired.Spec
	if len(spec.Install.Downloads) == 0 {
		return nil
	}
	put := func(path string, fill func(io.Writer) error) error {
		return o.m.deps.Volumes.Put(o.id, path, owner.UID, owner.GID, fill)
	}
	said := installation(console)
	progress := func(p wire.Progress) {
		p.Message = install.Hide(spec.Install.Secrets, p.Message)
		o.report(j, p)
		said(p)
	}
	if err := o.m.deps.Installer.Run(ctx, spec.Install.Downloads, spec.Limits.DiskMiB<<20, put, progress); err != nil {
		return err
	}
	if len(spec.Install.Replace) == 0 {
		return nil
	}
	root, err := o.m.deps.Volumes.Files(o.id)
	if err != nil {
		return err
	}
	defer func() { _ = root.Close() }()
	return install.Replace(root, spec.Install.Downloads, spec.Install.Replace, put)
}

// masked is a failure without the secrets that its sentence may hold.
func masked(secrets []string, err error) error {
	var p *problem.Problem
	if !errors.As(err, &p) {
		return err
	}
	return problem.New(p.Code, "%s", install.Hide(secrets, p.Message)).Because(err)
}
