package journal

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"

	"go.etcd.io/bbolt"

	"github.com/berth-panel/berth/shared/ident"
	"github.com/berth-panel/berth/shared/wire"
)

// Records gives all instances that the journal holds, tombstones too.
func (j *Journal) Records() ([]Record, error) {
	var records []Record
	err := j.db.View(func(tx *bbolt.Tx) error {
		return tx.Bucket(desiredBucket).ForEach(func(k, v []byte) error {
			r := Record{Instance: ident.Instance(k), Gone: tx.Bucket(tombBucket).Get(k) != nil}
			if !r.Instance.Valid() {
				return fmt.Errorf("an instance named %q", k)
			}
			if err := json.Unmarshal(v, &r.Desired); err != nil {
				return fmt.Errorf("desired state of %s: %w", r.Instance, err)
			}
			if known := tx.Bucket(knownBucket).Get(k); known != nil {
				if err := json.Unmarshal(known, &r.Known); err != nil {
					return fmt.Errorf("known state of %s: %w", r.Instance, err)
				}
			}
			records = append(records, r)
			return nil
		})
	})
	if err != nil {
		return nil, fmt.Errorf("read the journal: %w", err)
	}
	return records, nil
}

// Events gives at most limit kept events with numbers above after, rising.
func (j *Journal) Events(after int64, limit int) ([]wire.Event, error) {
	var events []wire.Event
	err := j.db.View(func(tx *bbolt.Tx) error {
		cursor := tx.Bucket(eventBucket).Cursor()
		for k, v := cursor.Seek(seqKey(after + 1)); k != nil && len(events) < limit; k, v = cursor.Next() {
			e, err := decodeEvent(k, v)
			if err != nil {
				return err
			}
			events = append(events, e)
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("read the journal: %w", err)
	}
	return events, nil
}

// Untold gives the instances whose states are told by events that are not
// acknowledged yet, each once.
func (j *Journal) Untold() ([]ident.Instance, error) {
	untold := map[ident.Instance]struct{}{}
	err := j.db.View(func(tx *bbolt.Tx) error {
		return tx.Bucket(eventBucket).ForEach(func(k, v []byte) error {
			e, err := decodeEvent(k, v)
			if err == nil && e.Type == wire.EventState {
				untold[e.Instance] = struct{}{}
			}
			return err
		})
	})
	if err != nil {
		return nil, fmt.Errorf("read the journal: %w", err)
	}
	return slices.Sorted(maps.Keys(untold)), nil
}

func decodeEvent(k, v []byte) (wire.Event, error) {
	var e wire.Event
	if len(k) != 8 {
		return e, fmt.Errorf("an event with the number %x", k)
	}
	if err := json.Unmarshal(v, &e); err != nil {
		return e, fmt.Errorf("event %d: %w", keySeq(k), err)
	}
	return e, nil
}
