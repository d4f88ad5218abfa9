package instance

import (
	"context"

	"github.com/berth-panel/berth/agent/journal"
	"github.com/berth-panel/berth/shared/ident"
	"github.com/berth-panel/berth/shared/problem"
	"github.com/berth-panel/berth/shared/wire"
)

// anew carries out an order to install again, each number once: the container
// goes, with wipe the volume too, and what follows makes both. Killed in between,
// the agent begins the order again, or goes on with the installation.
func (o *owner) anew(ctx context.Context, j job) error {
	spec := j.desired.Spec
	known, _ := o.know()
	wipe := spec.Wipe > known.Wiped
	if !wipe && spec.Reinstall <= known.Reinstalled {
		return nil
	}
	if len(o.boxes) > 0 && isUp(o.boxes[0]) {
		if err := o.bringDown(ctx, j); err != nil {
			return err
		}
	}
	o.set(j, func(s *wire.State) { s.Phase, s.Actual, s.RetryAt = wire.PhaseInstalling, wire.ActualStopped, nil })
	if err := o.tell(); err != nil {
		return err
	}
	if err := o.removeFrom(ctx, 0); err != nil {
		return err
	}
	o.cut()
	if wipe {
		o.step(j, "wipe", "Throwing the volume away")
		if err := o.m.deps.Volumes.Remove(o.id); err != nil {
			return err
		}
	}
	o.learn(func(k *journal.Known) {
		k.Wiped, k.Reinstalled, k.Installed = spec.Wipe, spec.Reinstall, false
		k.Owner = nil // the image may have another user by now
		if wipe {
			k.Bare = true
		}
	})
	return o.tell()
}

// mayMake refuses to begin with an empty volume where there was one that is gone.
func (o *owner) mayMake(j job) error {
	known, _ := o.know()
	if known.Bare || !known.Installed && !j.desired.Spec.Installed {
		return nil
	}
	there, err := o.m.deps.Volumes.Has(o.id)
	if err != nil || there {
		return err
	}
	return problem.New(problem.NotFound, "the data of instance %s is gone from its node; bring its volume back, or order a reinstall with wipe to begin with an empty one", o.id)
}

// rest is what is left to do of an instance whose volume is on its way to another
// node: it is down, and stays so.
func (o *owner) rest(ctx context.Context, j job) error {
	if err := o.removeFrom(ctx, 1); err != nil {
		return err
	}
	if _, state := o.know(); !state.Converged {
		o.cut() // before it is told: the last copy begins then
	}
	o.set(j, func(s *wire.State) { s.Failure, s.RetryAt, s.Converged = nil, nil, true })
	return nil
}

// Writers are those who write to volumes beside the containers (agent/transfer,
// agent/sftp). Cut ends what they have under way of an instance, and returns when
// none of it writes any more; Manager.Writable has been refusing new ones by then.
type Writers interface {
	Cut(id ident.Instance, why *problem.Problem)
}

// cut ends all writers, for the reason for which new ones are refused.
func (o *owner) cut() {
	if o.m.deps.Writers == nil {
		return
	}
	if err := o.writable(); err != nil {
		o.m.deps.Writers.Cut(o.id, problem.From(err))
	}
}

// Writable says whether somebody beside its container may write to the instance's
// volume: NOT_FOUND when this node doesn't have it, CONFLICT while it is being
// moved, removed or thrown away.
func (m *Manager) Writable(id ident.Instance) error {
	m.mu.Lock()
	o := m.owners[id]
	m.mu.Unlock()
	if o == nil {
		return problem.New(problem.NotFound, "this node has no instance %s", id)
	}
	return o.writable()
}

func (o *owner) writable() error {
	if _, err := o.spec(); err != nil {
		return err
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	switch spec := o.desired.Spec; {
	case spec == nil:
		return problem.New(problem.NotFound, "this node has no instance %s", o.id)
	case o.known.Doomed > 0:
		return problem.New(problem.Conflict, "instance %s is being removed", o.id)
	case spec.Moving:
		return problem.New(problem.Conflict, "instance %s is being moved to another node; its files can be changed again when it has arrived", o.id)
	case spec.Wipe > o.known.Wiped || spec.Reinstall > o.known.Reinstalled || !o.known.Installed && o.state.Phase == wire.PhaseInstalling:
		return problem.New(problem.Conflict, "instance %s is being installed; its files can be changed when it is ready", o.id)
	default:
		return nil
	}
}
