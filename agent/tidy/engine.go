package tidy

import (
	"context"
	"time"

	"github.com/berth-panel/berth/agent/runtime"
)

// Engine is the real one with an eye on its images. Everything of the agent that
// looks images up or pulls them works with it.
type Engine struct {
	runtime.Engine
	tidy *Tidy
}

// Image looks an image up, once none is being removed.
func (e *Engine) Image(ctx context.Context, reference string) (runtime.Image, error) {
	if err := e.tidy.settled(ctx); err != nil {
		return runtime.Image{}, err
	}
	return e.Engine.Image(ctx, reference)
}

// Create makes a container, once no image is being removed.
func (e *Engine) Create(ctx context.Context, spec runtime.ContainerSpec) (runtime.ContainerID, error) {
	if err := e.tidy.settled(ctx); err != nil {
		return "", err
	}
	return e.Engine.Create(ctx, spec)
}

// Pull fetches an image and notes that it did.
func (e *Engine) Pull(ctx context.Context, reference string, login runtime.Login, progress func(runtime.PullProgress)) error {
	leave, err := e.tidy.pulling(ctx, reference)
	if err != nil {
		return err
	}
	defer leave()
	if err := e.Engine.Pull(ctx, reference, login, progress); err != nil {
		return err
	}
	e.tidy.pulled(ctx, reference)
	return nil
}

// settled waits until no image is being removed.
func (t *Tidy) settled(ctx context.Context) error {
	if err := t.removing.enter(ctx); err != nil {
		return err
	}
	t.removing.leave()
	return nil
}

// pulling counts a pull that begins; what it returns ends it.
func (t *Tidy) pulling(ctx context.Context, reference string) (leave func(), err error) {
	if err := t.removing.enter(ctx); err != nil {
		return nil, err
	}
	defer t.removing.leave()
	t.mu.Lock()
	defer t.mu.Unlock()
	t.pulls[reference]++
	return func() {
		t.mu.Lock()
		defer t.mu.Unlock()
		if t.pulls[reference]--; t.pulls[reference] == 0 {
			delete(t.pulls, reference)
		}
	}, nil
}

// noteWithin is how long a pull that has worked may take to be noted.
const noteWithin = 10 * time.Second

// pulled notes an image. One that can't be noted is not cleared, and no worse.
func (t *Tidy) pulled(ctx context.Context, reference string) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), noteWithin)
	defer cancel()
	image, err := t.engine.Image(ctx, reference)
	if err == nil {
		var name string
		if name, err = runtime.FullName(reference); err == nil {
			err = t.journal.Pulled(image.ID, name, t.now().UTC())
		}
	}
	if err != nil {
		t.log.Warn("an image that was pulled can't be noted, and will not be cleared", "image", reference, "error", err)
	}
}
