package stats

import (
	"encoding/binary"
	"hash/crc32"
	"math"
)

// point is what is kept of a time span. Of an instance and of the node alike:
// read and pids are the node's load and its running instances.
type point struct {
	at                        uint32 // Unix seconds of the span's begin; 0 is no point
	cpu, in, out, read, write float32
	memory, disk              uint32 // KiB, up to 4 TiB; disk may be unmeasured
	pids                      uint32
}

// unmeasured is the disk of a point that knows nothing of it.
const unmeasured = math.MaxUint32

// slotSize is the length of a point in a file, which is a part of a disk's sector
// rarely torn; what is torn fails its checksum.
const slotSize = 40

func kib(bytes int64) uint32 {
	switch {
	case bytes < 0:
		return unmeasured
	case bytes>>10 >= unmeasured:
		return unmeasured - 1
	}
	return uint32(bytes >> 10)
}

func bytesOf(kib uint32) int64 {
	if kib == unmeasured {
		return -1
	}
	return int64(kib) << 10
}

// encode appends the slot of a point.
func (p point) encode(to []byte) []byte {
	from := len(to)
	le := binary.LittleEndian
	to = le.AppendUint32(to, p.at)
	for _, f := range []float32{p.cpu, p.in, p.out, p.read, p.write} {
		to = le.AppendUint32(to, math.Float32bits(f))
	}
	for _, n := range []uint32{p.memory, p.disk, p.pids} {
		to = le.AppendUint32(to, n)
	}
	return le.AppendUint32(to, crc32.ChecksumIEEE(to[from:]))
}

// decode reads a slot; false when there is no whole point in it.
func decode(slot []byte) (point, bool) {
	le := binary.LittleEndian
	if len(slot) != slotSize || le.Uint32(slot) == 0 || le.Uint32(slot[36:]) != crc32.ChecksumIEEE(slot[:36]) {
		return point{}, false
	}
	f := func(at int) float32 { return math.Float32frombits(le.Uint32(slot[at:])) }
	p := point{at: le.Uint32(slot), cpu: f(4), in: f(8), out: f(12), read: f(16), write: f(20),
		memory: le.Uint32(slot[24:]), disk: le.Uint32(slot[28:]), pids: le.Uint32(slot[32:])}
	for _, v := range []float32{p.cpu, p.in, p.out, p.read, p.write} {
		if v < 0 || v != v || math.IsInf(float64(v), 0) { // not written by us: JSON has no such numbers
			return point{}, false
		}
	}
	return p, true
}

// bucket makes one point of the samples within its span.
type bucket struct {
	at     uint32
	weight float64 // seconds
	sums   [5]float64
	high   point
}

func (b *bucket) add(p point, seconds float64) {
	for i, v := range []float32{p.cpu, p.in, p.out, p.read, p.write} {
		b.sums[i] += float64(v) * seconds
	}
	first := b.weight == 0
	b.weight += seconds
	b.high.memory = max(b.high.memory, p.memory)
	b.high.pids = max(b.high.pids, p.pids)
	switch {
	case first || b.high.disk == unmeasured:
		b.high.disk = p.disk
	case p.disk != unmeasured:
		b.high.disk = max(b.high.disk, p.disk)
	}
}

func (b *bucket) point() point {
	p := b.high
	p.at = b.at
	for i, to := range []*float32{&p.cpu, &p.in, &p.out, &p.read, &p.write} {
		*to = float32(b.sums[i] / b.weight)
	}
	return p
}
