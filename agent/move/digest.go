package move

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"os"
	"sync"
	"time"

	"github.com/berth-panel/berth/agent/files"
	"github.com/berth-panel/berth/agent/volume"
	"github.com/berth-panel/berth/shared/ident"
	"github.com/berth-panel/berth/shared/wire"
)

// digestKeep is how long a finished digest is told.
const digestKeep = 10 * time.Minute

// digestKey names what a digest is of.
type digestKey struct {
	id       ident.Instance
	incoming bool
}

// digest is being worked out, or is.
type digest struct {
	cancel context.CancelFunc

	mu    sync.Mutex
	read  int64 // bytes
	total int64 // the same; -1 while nobody knows
	ended time.Time
	told  wire.Digest // once it has ended
	err   error
}

// Digest tells the digest of an instance's volume, or of its incoming one, and
// begins to work it out when it isn't known. A failure is told once; then it is
// tried again.
func (s *Store) Digest(id ident.Instance, incoming bool) (wire.Digest, error) {
	key := digestKey{id: id, incoming: incoming}
	root, err := s.openFor(key) // also to see that it is there still
	if err != nil {
		return wire.Digest{}, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	d := s.digests[key]
	if d != nil && !d.over(s.Now()) {
		_ = root.Close()
		answer, err := d.tell()
		if err != nil {
			delete(s.digests, key)
		}
		return answer, explain(err)
	}
	if s.live == nil {
		_ = root.Close()
		return wire.Digest{}, errStopping
	}
	ctx, cancel := context.WithCancel(s.live)
	d = &digest{cancel: cancel, total: -1}
	s.digests[key] = d
	s.work.Go(func() {
		defer cancel()
		defer func() { _ = root.Close() }()
		answer, err := s.digest(ctx, root, d)
		d.end(answer, err, s.Now())
	})
	return d.tell()
}

func (s *Store) openFor(key digestKey) (*files.Root, error) {
	if !key.incoming {
		return s.open(key.id)
	}
	staged, err := s.Volumes.OpenStaged(key.id)
	if errors.Is(err, volume.ErrNone) {
		return nil, notIncoming(key.id)
	}
	if err != nil {
		return nil, fmt.Errorf("open the incoming volume of %s: %w", key.id, err)
	}
	root := staged.Data
	staged.Data = nil
	staged.Close()
	return root, nil
}

// forget drops a digest: what it is of changes.
func (s *Store) forget(key digestKey) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if d := s.digests[key]; d != nil {
		d.cancel()
		delete(s.digests, key)
	}
}

func (d *digest) tell() (wire.Digest, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if !d.ended.IsZero() {
		return d.told, d.err
	}
	answer := wire.Digest{Percent: -1}
	if d.total > 0 {
		answer.Percent = int(min(99, d.read*100/d.total))
	}
	return answer, nil
}

func (d *digest) end(answer wire.Digest, err error, now time.Time) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.told, d.err, d.ended = answer, err, now
}

func (d *digest) over(now time.Time) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return !d.ended.IsZero() && now.Sub(d.ended) > digestKeep
}

func (d *digest) count(bytes int64) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.read += bytes
}

// digest waits for its turn, measures the tree and reads it.
func (s *Store) digest(ctx context.Context, root *files.Root, d *digest) (wire.Digest, error) {
	select {
	case s.digestSlots <- struct{}{}:
		defer s.digestSlots.leave()
	case <-ctx.Done():
		return wire.Digest{}, ctx.Err()
	}
	var total int64
	err := each(ctx, root, func(e wire.Entry) error {
		total += e.Weight()
		return nil
	})
	if err != nil {
		return wire.Digest{}, err
	}
	d.mu.Lock()
	d.total = total
	d.mu.Unlock()
	return tally(ctx, root, d.count)
}

// each calls f for every entry that is carried.
func each(ctx context.Context, root *files.Root, f func(wire.Entry) error) error {
	walk, err := root.Walk("")
	if err != nil {
		return err
	}
	defer walk.Close()
	for {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		info, err := walk.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if entry, ok := entryOf(info); ok {
			if err := f(entry); err != nil {
				return err
			}
		}
	}
}

// tally works the digest of a tree out. What is hashed is the same for a hole and
// for zeros in its place: content goes in as numbered blocks, those of zeros left
// out.
func tally(ctx context.Context, root *files.Root, count func(int64)) (wire.Digest, error) {
	answer := wire.Digest{Done: true, Percent: 100}
	sum := sha256.New()
	buffer, zeros := make([]byte, chunkSize), make([]byte, blockSize)
	err := each(ctx, root, func(e wire.Entry) error {
		answer.Entries++
		answer.Bytes += e.Size
		hashEntry(sum, e)
		if e.Kind != wire.EntryFile {
			return nil
		}
		file, _, err := root.Open(e.Path)
		if files.Gone(err) {
			return nil // it vanished: this digest is of no use, and of no harm
		}
		if err != nil {
			return err
		}
		defer func() { _ = file.Close() }()
		return hashContent(ctx, sum, file, e.Size, buffer, zeros, count)
	})
	answer.Sum = hex.EncodeToString(sum.Sum(nil))
	return answer, err
}

const blockSize = 64 << 10

// hashEntry takes in what an entry is, each part with its length.
func hashEntry(sum hash.Hash, e wire.Entry) {
	head := []byte(e.Kind[:1])
	for _, n := range []int64{int64(e.UID), int64(e.GID), e.Size, int64(len(e.Path)), int64(len(e.Target))} {
		head = binary.BigEndian.AppendUint64(head, uint64(n))
	}
	if e.Kind != wire.EntryLink { // a link has no mode
		head = binary.BigEndian.AppendUint32(head, e.Mode)
	}
	head = append(head, e.Path...)
	head = append(head, e.Target...)
	_, _ = sum.Write(head) // a hash never fails
}

// hashContent takes in the blocks of a file that hold anything.
func hashContent(ctx context.Context, sum hash.Hash, file *os.File, size int64, buffer, zeros []byte, count func(int64)) error {
	for next := int64(0); next < size; {
		start, end, err := files.Data(file, next, size)
		if err != nil {
			return err
		}
		if start >= size {
			return nil
		}
		at := max(next, start-start%blockSize) // next is at a block's begin, too
		for at < end {
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
			upTo := min(size, (end+blockSize-1)/blockSize*blockSize, at+int64(len(buffer)))
			n, err := file.ReadAt(buffer[:upTo-at], at)
			if err != nil && !errors.Is(err, io.EOF) {
				return err
			}
			hashBlocks(sum, buffer[:n], at, zeros)
			count(int64(n))
			if int64(n) < upTo-at {
				return nil // it shrank
			}
			at = upTo
		}
		next = at
	}
	return nil
}

// hashBlocks takes in blocks that begin at a multiple of the block's size.
func hashBlocks(sum hash.Hash, data []byte, at int64, zeros []byte) {
	for len(data) > 0 {
		block := data[:min(len(data), blockSize)]
		if !bytes.Equal(block, zeros[:len(block)]) {
			_, _ = sum.Write(binary.BigEndian.AppendUint64(nil, uint64(at)))
			_, _ = sum.Write(block)
		}
		data, at = data[len(block):], at+int64(len(block))
	}
}
