package image

import (
	"context"
	"net/http"
	"slices"
	"time"

	"github.com/berth-panel/berth/controller/access"
	"github.com/berth-panel/berth/controller/event"
	"github.com/berth-panel/berth/controller/httpapi"
	"github.com/berth-panel/berth/controller/store"
	"github.com/berth-panel/berth/shared/ident"
	"github.com/berth-panel/berth/shared/problem"
)

// Usage says who uses an image; instance's tables are not ours.
type Usage interface {
	// UsingImage counts the instances made from the image.
	UsingImage(ctx context.Context, q store.Querier, id ident.Image) (int, error)
	// ReferencesOf gives the container references that instances of the image run.
	ReferencesOf(ctx context.Context, q store.Querier, id ident.Image) ([]string, error)
}

// Service is the catalogue's verbs. Safe for concurrent use.
type Service struct {
	db     *store.DB
	events *event.Log
	usage  Usage
	now    func() time.Time

	readers []Reader
	fetch   Doer
}

// Doer fetches what an address gives. It is the only way out of here: it must
// refuse what is not on the public internet.
type Doer interface {
	Do(req *http.Request) (*http.Response, error)
}

// NewService makes the catalogue.
func NewService(db *store.DB, events *event.Log, usage Usage, now func() time.Time) *Service {
	return &Service{db: db, events: events, usage: usage, now: now, readers: []Reader{eggReader{}, classicReader{}}}
}

// Attach adds readers of more formats, and what addresses are fetched with;
// without it none is. It is called before the service is used.
func (s *Service) Attach(fetch Doer, readers ...Reader) {
	s.fetch, s.readers = fetch, append(s.readers, readers...)
}

// Create adds an image; a name that is taken is a CONFLICT.
func (s *Service) Create(ctx context.Context, c access.Caller, i Image) (Image, error) {
	if err := i.check(); err != nil {
		return Image{}, err
	}
	i.ID, i.CreatedAt = ident.Image(ident.New()), s.now().UTC()
	i.UpdatedAt = i.CreatedAt
	i.once()
	err := s.db.Write(ctx, func(tx *store.Tx) error {
		if err := put(ctx, tx, i, true); err != nil {
			return err
		}
		if err := s.tell(ctx, tx, c, "image.created", i); err != nil {
			return err
		}
		return httpapi.Keep(ctx, tx, i.View())
	})
	return i, err
}

// Change edits an image in one transaction; instances keep what they run until
// their own next change.
func (s *Service) Change(ctx context.Context, c access.Caller, id ident.Image, edit func(*Image) error) (i Image, err error) {
	err = s.db.Write(ctx, func(tx *store.Tx) error {
		if i, err = ByID(ctx, tx, id); err != nil {
			return err
		}
		if err := edit(&i); err != nil {
			return err
		}
		if err := i.check(); err != nil {
			return err
		}
		i.once()
		i.UpdatedAt = s.now().UTC()
		if err := put(ctx, tx, i, false); err != nil {
			return err
		}
		return s.tell(ctx, tx, c, "image.updated", i)
	})
	return i, err
}

// Delete removes an image that no instance uses; else CONFLICT.
func (s *Service) Delete(ctx context.Context, c access.Caller, id ident.Image) error {
	return s.db.Write(ctx, func(tx *store.Tx) error {
		i, err := ByID(ctx, tx, id)
		if err != nil {
			return err
		}
		n, err := s.usage.UsingImage(ctx, tx, id)
		if err != nil {
			return err
		}
		if n > 0 {
			return problem.New(problem.Conflict, "%d instances are made from %s; delete them first", n, i.Name)
		}
		if err := remove(ctx, tx, id); err != nil {
			return err
		}
		return s.tell(ctx, tx, c, "image.deleted", i)
	})
}

// Get gives one image.
func (s *Service) Get(ctx context.Context, id ident.Image) (Image, error) {
	return ByID(ctx, s.db.Snapshot(), id)
}

// List gives a page of the catalogue and how many there are in all.
func (s *Service) List(ctx context.Context, f Filter) (images []Image, total int, err error) {
	err = s.db.Read(ctx, func(q store.Querier) error {
		images, total, err = list(ctx, q, f)
		return err
	})
	return images, total, err
}

// All gives the whole catalogue, the oldest first.
func (s *Service) All(ctx context.Context) ([]Image, error) { return All(ctx, s.db.Snapshot()) }

// Seed fills an empty catalogue with the demo and a few well-known images.
func (s *Service) Seed(ctx context.Context) error {
	there, err := s.All(ctx)
	if err != nil || len(there) > 0 {
		return err
	}
	for _, i := range wellKnown() {
		if _, err := s.Create(ctx, access.Caller{Actor: access.System()}, i); err != nil {
			return err
		}
	}
	return nil
}

func (s *Service) tell(ctx context.Context, tx *store.Tx, c access.Caller, t event.Type, i Image) error {
	return s.events.Append(ctx, tx, event.Event{Type: t, Subject: string(i.ID), Actor: c.Actor}, map[string]string{"name": i.Name})
}

// once leaves each reference in place once, with its label.
func (d *Definition) once() {
	var refs, labels []string
	for n, r := range d.References {
		if slices.Contains(refs, r) {
			continue
		}
		label := ""
		if n < len(d.Labels) {
			label = d.Labels[n]
		}
		refs, labels = append(refs, r), append(labels, label)
	}
	d.References, d.Labels = refs, anyText(labels)
}
