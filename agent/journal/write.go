package journal

import (
	"encoding/json"
	"fmt"
	"time"

	"go.etcd.io/bbolt"

	"github.com/berth-panel/berth/shared/ident"
	"github.com/berth-panel/berth/shared/wire"
)

// op is one change on its way to the disk. Nobody waits for it when done is nil.
type op struct {
	do   func(tx *bbolt.Tx) error
	done chan error
}

const (
	maxBatch = 512
	// linger is how long a change that nobody waits for may wait for company.
	linger = 100 * time.Millisecond
)

// Write makes the change durable: nil means that it is on the disk.
func (j *Journal) Write(c Change) error {
	return j.run(func(tx *bbolt.Tx) error { return j.apply(tx, c) })
}

// Post hands events over and does not wait: they are on the disk a little
// later, in order with every Write. For progress, which a crash may swallow.
func (j *Journal) Post(events ...wire.Event) {
	o := op{do: func(tx *bbolt.Tx) error { return j.append(tx, events) }}
	select {
	case j.ops <- o:
	case <-j.stopped:
	}
}

// Ack forgets all events up to seq, and the tombstones whose removal they told
// of; it gives the instances that were forgotten.
func (j *Journal) Ack(seq int64) ([]ident.Instance, error) {
	var forgotten []ident.Instance
	err := j.run(func(tx *bbolt.Tx) error {
		var err error
		forgotten, err = j.ack(tx, seq)
		return err
	})
	if err != nil {
		return nil, err
	}
	return forgotten, nil
}

func (j *Journal) run(do func(tx *bbolt.Tx) error) error {
	o := op{do: do, done: make(chan error, 1)}
	select {
	case j.ops <- o:
	case <-j.stopped:
		return ErrClosed
	}
	select {
	case err := <-o.done:
		return err
	case <-j.stopped:
		select { // it may have been among the last that were written
		case err := <-o.done:
			return err
		default:
			return ErrClosed
		}
	}
}

// write is the one goroutine that writes.
func (j *Journal) write() {
	defer close(j.stopped)
	for {
		select {
		case o := <-j.ops:
			j.commit(j.gather(o))
		case <-j.quit:
			for {
				select {
				case o := <-j.ops:
					j.commit(j.gather(o))
				default:
					return
				}
			}
		}
	}
}

// gather takes what else is waiting. When nobody waits for any of it, it gives
// others a moment to join: one sync for all of them.
func (j *Journal) gather(first op) []op {
	batch := []op{first}
	awaited := first.done != nil
	var timeout <-chan time.Time
	for len(batch) < maxBatch {
		select {
		case o := <-j.ops:
			batch = append(batch, o)
			awaited = awaited || o.done != nil
			continue
		default:
		}
		if awaited {
			return batch
		}
		if timeout == nil {
			timer := time.NewTimer(linger)
			defer timer.Stop()
			timeout = timer.C
		}
		select {
		case o := <-j.ops:
			batch = append(batch, o)
			awaited = o.done != nil
		case <-timeout:
			return batch
		case <-j.quit:
			return batch
		}
	}
	return batch
}

func (j *Journal) commit(batch []op) {
	before, count := j.last.Load(), j.count
	last := before
	err := j.db.Update(func(tx *bbolt.Tx) error {
		for _, o := range batch {
			if err := o.do(tx); err != nil {
				return err
			}
		}
		last = int64(tx.Bucket(eventBucket).Sequence())
		return j.compact(tx)
	})
	if err != nil {
		err = fmt.Errorf("write the journal: %w", err)
		j.count = count
	} else {
		j.last.Store(last)
	}
	for _, o := range batch {
		if o.done != nil {
			o.done <- err
		}
	}
	if err == nil && last != before {
		j.announce()
	}
}

func (j *Journal) apply(tx *bbolt.Tx, c Change) error {
	id := []byte(c.Instance)
	if c.Desired != nil {
		if err := putJSON(tx.Bucket(desiredBucket), id, c.Desired); err != nil {
			return err
		}
		if c.Desired.Spec != nil {
			if err := tx.Bucket(tombBucket).Delete(id); err != nil {
				return err
			}
		}
	}
	if c.Known != nil {
		if err := putJSON(tx.Bucket(knownBucket), id, c.Known); err != nil {
			return err
		}
	}
	if err := j.append(tx, c.Events); err != nil {
		return err
	}
	if c.Tombstone {
		return tx.Bucket(tombBucket).Put(id, seqKey(int64(tx.Bucket(eventBucket).Sequence())))
	}
	return nil
}

// append numbers the events and puts them at the end.
func (j *Journal) append(tx *bbolt.Tx, events []wire.Event) error {
	bucket := tx.Bucket(eventBucket)
	for _, e := range events {
		seq, err := bucket.NextSequence()
		if err != nil {
			return err
		}
		e.Seq = int64(seq)
		if err := putJSON(bucket, seqKey(e.Seq), e); err != nil {
			return err
		}
		j.count++
		if e.Type == wire.EventProgress {
			if err := j.replaceProgress(tx, e); err != nil {
				return err
			}
		}
	}
	return nil
}

// replaceProgress drops the instance's older progress event.
func (j *Journal) replaceProgress(tx *bbolt.Tx, e wire.Event) error {
	latest := tx.Bucket(progressBucket)
	if old := latest.Get([]byte(e.Instance)); old != nil {
		if err := j.drop(tx, old); err != nil {
			return err
		}
	}
	return latest.Put([]byte(e.Instance), seqKey(e.Seq))
}

func (j *Journal) drop(tx *bbolt.Tx, key []byte) error {
	bucket := tx.Bucket(eventBucket)
	if bucket.Get(key) == nil {
		return nil
	}
	j.count--
	return bucket.Delete(key)
}

func (j *Journal) ack(tx *bbolt.Tx, seq int64) ([]ident.Instance, error) {
	var done [][]byte // collected first: a cursor that deletes may skip its next key
	cursor := tx.Bucket(eventBucket).Cursor()
	for k, _ := cursor.First(); k != nil && keySeq(k) <= seq; k, _ = cursor.Next() {
		done = append(done, append([]byte(nil), k...))
	}
	for _, k := range done {
		if err := j.drop(tx, k); err != nil {
			return nil, err
		}
	}
	if _, err := forget(tx, progressBucket, seq); err != nil {
		return nil, err
	}
	gone, err := forget(tx, tombBucket, seq)
	if err != nil {
		return nil, err
	}
	for _, id := range gone {
		for _, name := range [][]byte{desiredBucket, knownBucket} {
			if err := tx.Bucket(name).Delete([]byte(id)); err != nil {
				return nil, err
			}
		}
	}
	return gone, nil
}

// forget deletes the keys whose value is a number not above seq, and gives them.
func forget(tx *bbolt.Tx, name []byte, seq int64) ([]ident.Instance, error) {
	var keys []ident.Instance
	bucket := tx.Bucket(name)
	err := bucket.ForEach(func(k, v []byte) error {
		if keySeq(v) <= seq {
			keys = append(keys, ident.Instance(k))
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	for _, k := range keys {
		if err := bucket.Delete([]byte(k)); err != nil {
			return nil, err
		}
	}
	return keys, nil
}

// compact drops states that a newer state of the same instance (or, for the
// engine's, of the node) has overtaken, once too many events are kept.
func (j *Journal) compact(tx *bbolt.Tx) error {
	if j.count <= j.limit {
		return nil
	}
	seen := map[string]bool{}
	var overtaken [][]byte
	cursor := tx.Bucket(eventBucket).Cursor()
	for k, v := cursor.Last(); k != nil; k, v = cursor.Prev() {
		e, err := decodeEvent(k, v)
		if err != nil {
			return err
		}
		about := string(e.Type) + " " + string(e.Instance)
		if seen[about] && (e.Type == wire.EventState || e.Type == wire.EventEngine) {
			overtaken = append(overtaken, append([]byte(nil), k...))
		}
		seen[about] = true
	}
	for _, k := range overtaken {
		if err := j.drop(tx, k); err != nil {
			return err
		}
	}
	// So many instances that even their newest events are over the limit: don't walk at every write.
	j.limit = max(j.floor, 2*j.count)
	return nil
}

func putJSON(bucket *bbolt.Bucket, key []byte, v any) error {
	text, err := json.Marshal(v)
	if err != nil {
		return err
	}
	return bucket.Put(key, text)
}
