package setting

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/berth-panel/berth/controller/access"
	"github.com/berth-panel/berth/controller/event"
	"github.com/berth-panel/berth/controller/secret"
	"github.com/berth-panel/berth/controller/store"
	"github.com/berth-panel/berth/shared/problem"
)

// Changed is the fact that a document was changed. Its subject is the document's
// name, its data {"changed": [names of fields]}.
const Changed event.Type = "settings.changed"

// Store is where documents are kept. It is safe for concurrent use.
type Store struct {
	db     *store.DB
	events *event.Log
	box    *secret.Box
	now    func() time.Time
}

// Config is what the store is made of. All must be there.
type Config struct {
	DB     *store.DB
	Events *event.Log
	Box    *secret.Box
	Now    func() time.Time
}

// New makes the store.
func New(cfg Config) (*Store, error) {
	if cfg.DB == nil || cfg.Events == nil || cfg.Box == nil || cfg.Now == nil {
		return nil, errors.New("setting: DB, Events, Box and Now must be given")
	}
	return &Store{db: cfg.DB, events: cfg.Events, box: cfg.Box, now: cfg.Now}, nil
}

// Document is one room's settings. T marshals to a JSON object and holds no
// secret.
type Document[T any] struct {
	store   *Store
	name    string
	secret  string
	initial T
}

// Of gives the document of a name. secretName is what views and events call its
// secret; "" when it has none. initial is what it is until somebody sets it.
func Of[T any](s *Store, name, secretName string, initial T) *Document[T] {
	return &Document[T]{store: s, name: name, secret: secretName, initial: initial}
}

// State is a document as it stands.
type State[T any] struct {
	Value     T
	HasSecret bool
	Updated   time.Time // zero when nobody has set it
	sealed    []byte
}

// Change is what a change works on.
type Change[T any] struct {
	Value  T
	Secret *string // nil: stays; "": is taken away
	// HasSecret says whether there is one before the change.
	HasSecret bool
	// Stored is where a check looks up what the settings name.
	Stored store.Querier
}

// WillHaveSecret says whether there is one after the change.
func (c *Change[T]) WillHaveSecret() bool {
	if c.Secret != nil {
		return *c.Secret != ""
	}
	return c.HasSecret
}

// Get reads the document; q may be a transaction, or nil for the last commit.
func (d *Document[T]) Get(ctx context.Context, q store.Querier) (State[T], error) {
	if q == nil {
		q = d.store.db.Snapshot()
	}
	row, err := find(ctx, q, d.name)
	if errors.Is(err, store.ErrNoRows) {
		return State[T]{Value: d.initial}, nil
	}
	if err != nil {
		return State[T]{}, err
	}
	st := State[T]{Value: d.initial, HasSecret: len(row.secret) > 0, Updated: row.updated, sealed: row.secret}
	if err := json.Unmarshal([]byte(row.value), &st.Value); err != nil {
		return State[T]{}, fmt.Errorf("read the settings %s: %w", d.name, err)
	}
	return st, nil
}

// Secret opens a state's secret; "" when it has none. A Conflict says that the
// controller's key is no longer the one that it was sealed with.
func (d *Document[T]) Secret(st State[T]) (string, error) {
	if !st.HasSecret {
		return "", nil
	}
	plain, err := d.store.box.Open(d.purpose(), st.sealed)
	if err != nil {
		return "", problem.New(problem.Conflict, "the settings of %s hold a %s that can't be read any more, since the controller's own key was replaced: set it again",
			d.name, d.secret).Because(err)
	}
	return string(plain), nil
}

func (d *Document[T]) purpose() string { return "setting " + d.name }

// Change lets f change the document and writes it. An error from f, of whatever
// it checks, leaves all as it was. The caller in ctx is who did it.
func (d *Document[T]) Change(ctx context.Context, f func(c *Change[T]) error) (State[T], error) {
	var after State[T]
	err := d.store.db.Write(ctx, func(tx *store.Tx) error {
		before, err := d.Get(ctx, tx)
		if err != nil {
			return err
		}
		work, err := d.Get(ctx, tx) // a value of its own, maps and lists too
		if err != nil {
			return err
		}
		c := &Change[T]{Value: work.Value, HasSecret: before.HasSecret, Stored: tx}
		if err := f(c); err != nil {
			return err
		}
		after, err = d.put(ctx, tx, before, c)
		return err
	})
	return after, err
}

func (d *Document[T]) put(ctx context.Context, tx *store.Tx, before State[T], c *Change[T]) (State[T], error) {
	value, changed, err := compare(before.Value, c.Value)
	if err != nil {
		return before, fmt.Errorf("change the settings %s: %w", d.name, err)
	}
	sealed := before.sealed
	if c.Secret != nil && (*c.Secret != "" || before.HasSecret) {
		changed = append(changed, d.secret)
		sealed = nil
		if *c.Secret != "" {
			sealed = d.store.box.Seal(d.purpose(), []byte(*c.Secret))
		}
	}
	if len(changed) == 0 {
		return before, nil
	}
	now := d.store.now().UTC().Truncate(time.Millisecond)
	if err := put(ctx, tx, d.name, string(value), sealed, now); err != nil {
		return before, err
	}
	by := access.System()
	if who := access.From(ctx); who.Known() {
		by = who.Actor
	}
	err = d.store.events.Append(ctx, tx, event.Event{Type: Changed, Subject: d.name, Actor: by}, map[string]any{"changed": changed})
	return State[T]{Value: c.Value, HasSecret: len(sealed) > 0, Updated: now, sealed: sealed}, err
}

// compare gives the later value as JSON, and the names of the fields in which the
// two differ, sorted.
func compare(before, after any) (value []byte, changed []string, err error) {
	old, _, err := fields(before)
	if err != nil {
		return nil, nil, err
	}
	now, value, err := fields(after)
	if err != nil {
		return nil, nil, err
	}
	for name, was := range old {
		if !bytes.Equal(was, now[name]) {
			changed = append(changed, name)
		}
	}
	for name := range now {
		if _, there := old[name]; !there {
			changed = append(changed, name)
		}
	}
	slices.Sort(changed)
	return value, changed, nil
}

func fields(v any) (map[string]json.RawMessage, []byte, error) {
	b, err := json.Marshal(v)
	if err != nil {
		return nil, nil, err
	}
	var m map[string]json.RawMessage
	return m, b, json.Unmarshal(b, &m)
}
