package journal

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"
	"go.etcd.io/bbolt"
	berrors "go.etcd.io/bbolt/errors"

	"github.com/berth-panel/berth/shared/ident"
	"github.com/berth-panel/berth/shared/wire"
)

// Owner is the user and group, inside the container, that a volume belongs to.
type Owner struct {
	UID int `json:"uid"`
	GID int `json:"gid"`
}

// Halt says why an instance that should run is left alone.
type Halt string

// The halts. A new power order lifts each.
const (
	HaltNone    Halt = ""
	HaltEnded   Halt = "ended"   // it ended by itself without an error
	HaltGaveUp  Halt = "gave_up" // it crashed too often
	HaltCrashed Halt = "crashed" // it crashed, and is not to be started again
	// By hand, where the spec says that this is only reported; a newer generation
	// lifts these, too.
	HaltStopped Halt = "stopped" // its container was stopped
	HaltRemoved Halt = "removed" // its container was removed
)

// Desired is what should be, as the controller last said: a Spec or a Removal.
type Desired struct {
	Generation int64         `json:"generation"`
	Spec       *wire.Spec    `json:"spec,omitempty"`
	Removal    *wire.Removal `json:"removal,omitempty"`
}

// Known is what the agent must remember of an instance over a restart.
type Known struct {
	State     wire.State `json:"state"`               // as last told
	Told      int64      `json:"told"`                // the generation that State was told for
	Applied   int64      `json:"applied"`             // the last power order carried out
	Owner     *Owner     `json:"owner,omitempty"`     // of the volume; nil until it was given away
	Installed bool       `json:"installed,omitempty"` // the spec's downloads are done
	// Bare says that the volume was thrown away by an order, and that nothing was
	// installed since: it may be made anew.
	Bare        bool        `json:"bare,omitempty"`
	Wiped       int64       `json:"wiped,omitempty"`       // the last wire.Spec.Wipe carried out
	Reinstalled int64       `json:"reinstalled,omitempty"` // the same of Reinstall
	Halt        Halt        `json:"halt,omitempty"`
	HaltAt      time.Time   `json:"halt_at,omitzero"`
	Begun       time.Time   `json:"begun,omitzero"`    // when a start was ordered last: what the run has printed is later
	Crashes     []time.Time `json:"crashes,omitempty"` // since the last quiet time
	Doomed      int64       `json:"doomed,omitempty"`  // generation of a removal that is not finished; 0 for none
	// Fits is the container that is as good as one with that hash, though an older
	// release has made it with another.
	Fits *Fits `json:"fits,omitempty"`
	// Script is the container of an installation under way, and how far its output
	// was taken.
	Script *Script `json:"script,omitempty"`
}

// Fits names a container and the hash of the spec that it fits.
type Fits struct {
	Container string `json:"container"`
	Hash      string `json:"hash"`
}

// Script is how far the output of an installation was taken: up to and with the
// Taken-th part of those that were printed at that time.
type Script struct {
	Container string    `json:"container"`
	At        time.Time `json:"at,omitzero"`
	Taken     int       `json:"taken,omitempty"`
}

// Record is what the journal holds of one instance.
type Record struct {
	Instance ident.Instance
	Desired  Desired
	Known    Known
	Gone     bool // a tombstone: removed, and the event that says so not yet acknowledged
}

// Change is one durable change of one instance (or, without one, of the node).
// Nil parts stay as they are.
type Change struct {
	Instance ident.Instance
	Desired  *Desired
	Known    *Known
	Events   []wire.Event // Seq is filled in by the journal
	// Tombstone turns the instance into a tombstone: it is forgotten once the
	// last of Events is acknowledged. A later Desired with a Spec revives it.
	Tombstone bool
}

// maxEvents is how many unacknowledged events are kept before overtaken states
// are dropped.
const maxEvents = 20_000

var (
	metaBucket     = []byte("meta")
	desiredBucket  = []byte("desired")
	knownBucket    = []byte("known")
	eventBucket    = []byte("events")
	progressBucket = []byte("progress")   // instance → number of its progress event
	tombBucket     = []byte("tombstones") // instance → number of its removed event
	imageBucket    = []byte("images")     // id of an image that the agent pulled → Image
	registryBucket = []byte("registries") // one entry: the logins that the controller sent last
	epochKey       = []byte("epoch")
)

// Journal is the open file. Every method is safe for concurrent use.
type Journal struct {
	db    *bbolt.DB
	epoch string
	last  atomic.Int64
	count int // events kept; the writer's own, as are the next two
	floor int // up to here nothing is dropped
	limit int // where the next look for overtaken states is due

	ops     chan op
	quit    chan struct{}
	stopped chan struct{}
	once    sync.Once

	mu      sync.Mutex
	changed chan struct{} // closed when events were added
}

// ErrClosed answers writes after Close.
var ErrClosed = errors.New("the journal is closed")

// Open opens the journal at path and makes it when there is none. A file that
// another agent holds, or that is damaged, is an error that says what to do.
func Open(path string) (*Journal, error) {
	j := &Journal{floor: maxEvents, limit: maxEvents, ops: make(chan op, 256), quit: make(chan struct{}), stopped: make(chan struct{}), changed: make(chan struct{})}
	if err := j.open(path); err != nil {
		return nil, err
	}
	go j.write()
	return j, nil
}

// open guards against a damaged file: bbolt reads it through a memory map and
// answers some damage with a fault or a panic.
func (j *Journal) open(path string) (err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if r := recover(); r != nil {
			err = damaged(path, fmt.Errorf("%v", r))
		}
		if err != nil && j.db != nil {
			_ = j.db.Close()
		}
	}()
	j.db, err = bbolt.Open(path, 0o600, &bbolt.Options{Timeout: 2 * time.Second, FreelistType: bbolt.FreelistMapType, PreLoadFreelist: true})
	switch {
	case errors.Is(err, berrors.ErrTimeout):
		return fmt.Errorf("the journal %s is in use: another agent runs with this data directory", path)
	case errors.Is(err, os.ErrPermission):
		return fmt.Errorf("open the journal: %w", err)
	case err != nil:
		return damaged(path, err)
	}
	if err := j.prepare(); err != nil {
		return err
	}
	if err := j.readAll(); err != nil {
		return damaged(path, err)
	}
	return nil
}

func damaged(path string, cause error) error {
	return fmt.Errorf("the journal %s is damaged (%w): move it away and start again; running containers are kept and the controller sends what should be", path, cause)
}

// prepare makes what a new file needs and draws its epoch.
func (j *Journal) prepare() error {
	return j.db.Update(func(tx *bbolt.Tx) error {
		for _, name := range [][]byte{metaBucket, desiredBucket, knownBucket, eventBucket, progressBucket, tombBucket, imageBucket, registryBucket} {
			if _, err := tx.CreateBucketIfNotExists(name); err != nil {
				return fmt.Errorf("prepare the journal: %w", err)
			}
		}
		meta := tx.Bucket(metaBucket)
		if meta.Get(epochKey) == nil {
			if err := meta.Put(epochKey, []byte(uuid.NewString())); err != nil {
				return fmt.Errorf("prepare the journal: %w", err)
			}
		}
		j.epoch = string(meta.Get(epochKey))
		return nil
	})
}

// readAll reads every value once, so that damage shows now and not in the middle
// of an instance's life.
func (j *Journal) readAll() error {
	if _, err := j.Records(); err != nil {
		return err
	}
	if _, err := j.Images(); err != nil {
		return err
	}
	return j.db.View(func(tx *bbolt.Tx) error {
		events := tx.Bucket(eventBucket)
		j.last.Store(int64(events.Sequence()))
		return events.ForEach(func(k, v []byte) error {
			j.count++
			_, err := decodeEvent(k, v)
			return err
		})
	})
}

// Epoch is the UUID of this journal.
func (j *Journal) Epoch() string { return j.epoch }

// LastSeq is the number of the newest event ever written; 0 when there was none.
func (j *Journal) LastSeq() int64 { return j.last.Load() }

// Changed gives a channel that is closed when the next event is written. Take
// it before reading Events, so that none is missed.
func (j *Journal) Changed() <-chan struct{} {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.changed
}

func (j *Journal) announce() {
	j.mu.Lock()
	defer j.mu.Unlock()
	close(j.changed)
	j.changed = make(chan struct{})
}

// Close writes what waits and closes the file.
func (j *Journal) Close() error {
	j.once.Do(func() { close(j.quit) })
	<-j.stopped
	if err := j.db.Close(); err != nil {
		return fmt.Errorf("close the journal: %w", err)
	}
	return nil
}

func seqKey(seq int64) []byte { return binary.BigEndian.AppendUint64(nil, uint64(seq)) }

func keySeq(key []byte) int64 { return int64(binary.BigEndian.Uint64(key)) }
