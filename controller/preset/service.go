package preset

import (
	"context"
	"time"

	"github.com/berth-panel/berth/controller/access"
	"github.com/berth-panel/berth/controller/event"
	"github.com/berth-panel/berth/controller/httpapi"
	"github.com/berth-panel/berth/controller/image"
	"github.com/berth-panel/berth/controller/store"
	"github.com/berth-panel/berth/shared/ident"
	"github.com/berth-panel/berth/shared/problem"
)

// maxOfImage is how many presets an image may have: lists of them have no pages.
const maxOfImage = 100

// Service is the verbs of presets. Safe for concurrent use.
type Service struct {
	db     *store.DB
	events *event.Log
	now    func() time.Time
}

// NewService makes the service.
func NewService(db *store.DB, events *event.Log, now func() time.Time) *Service {
	return &Service{db: db, events: events, now: now}
}

// Of gives a preset of the image, in a transaction of the caller's.
func Of(ctx context.Context, q store.Querier, img ident.Image, id ident.Preset) (Preset, error) {
	return find(ctx, q, img, id)
}

// List gives the presets of an image by their names, with what the caller may see.
func (s *Service) List(ctx context.Context, c access.Caller, of ident.Image) (presets []Preset, err error) {
	err = s.db.Read(ctx, func(q store.Querier) error {
		img, err := image.ByID(ctx, q, of)
		if err != nil {
			return err
		}
		presets, err = ofImage(ctx, q, of)
		for n := range presets {
			presets[n].PresetSettings = presets[n].without(img, seesHidden(c))
		}
		return err
	})
	return presets, err
}

// Get gives one of them.
func (s *Service) Get(ctx context.Context, c access.Caller, of ident.Image, id ident.Preset) (p Preset, err error) {
	err = s.db.Read(ctx, func(q store.Querier) error {
		img, err := image.ByID(ctx, q, of)
		if err != nil {
			return err
		}
		if p, err = find(ctx, q, of, id); err == nil {
			p.PresetSettings = p.without(img, seesHidden(c))
		}
		return err
	})
	return p, err
}

// seesHidden says whether the caller sees variables that customers don't.
func seesHidden(c access.Caller) bool {
	return c.Holds(access.WriteImages) || c.Holds(access.WriteInstances)
}

// Create adds a preset; a name that the image has already is a CONFLICT.
func (s *Service) Create(ctx context.Context, c access.Caller, p Preset) (Preset, error) {
	p.ID, p.CreatedAt = ident.Preset(ident.New()), s.now().UTC()
	p.UpdatedAt = p.CreatedAt
	err := s.db.Write(ctx, func(tx *store.Tx) error {
		img, err := image.ByID(ctx, tx, p.Image)
		if err != nil {
			return err
		}
		if err := p.check(img); err != nil {
			return err
		}
		there, err := ofImage(ctx, tx, p.Image)
		if err != nil {
			return err
		}
		if len(there) >= maxOfImage {
			return problem.New(problem.Conflict, "an image has at most %d presets; delete one first", maxOfImage)
		}
		if err := put(ctx, tx, p); err != nil {
			return err
		}
		if err := s.tell(ctx, tx, c, "preset.created", p); err != nil {
			return err
		}
		return httpapi.Keep(ctx, tx, p.view())
	})
	return p, err
}

// Change edits a preset in one transaction.
func (s *Service) Change(ctx context.Context, c access.Caller, of ident.Image, id ident.Preset, edit func(*Preset)) (p Preset, err error) {
	err = s.db.Write(ctx, func(tx *store.Tx) error {
		img, err := image.ByID(ctx, tx, of)
		if err != nil {
			return err
		}
		if p, err = find(ctx, tx, of, id); err != nil {
			return err
		}
		p.PresetSettings = p.without(img, true) // of variables that are gone, or secret by now
		edit(&p)
		if err := p.check(img); err != nil {
			return err
		}
		p.UpdatedAt = s.now().UTC()
		if err := put(ctx, tx, p); err != nil {
			return err
		}
		return s.tell(ctx, tx, c, "preset.updated", p)
	})
	return p, err
}

// Delete removes a preset; instances that were made with it stay as they are.
func (s *Service) Delete(ctx context.Context, c access.Caller, of ident.Image, id ident.Preset) error {
	return s.db.Write(ctx, func(tx *store.Tx) error {
		p, err := find(ctx, tx, of, id)
		if err != nil {
			return err
		}
		if err := remove(ctx, tx, id); err != nil {
			return err
		}
		return s.tell(ctx, tx, c, "preset.deleted", p)
	})
}

func (s *Service) tell(ctx context.Context, tx *store.Tx, c access.Caller, t event.Type, p Preset) error {
	return s.events.Append(ctx, tx, event.Event{Type: t, Subject: string(p.ID), Actor: c.Actor}, map[string]string{"name": p.Name, "image": string(p.Image)})
}
