package stats

import (
	"math"
	"slices"
	"time"

	"github.com/berth-panel/berth/shared/ident"
	"github.com/berth-panel/berth/shared/problem"
	"github.com/berth-panel/berth/shared/wire"
)

// Newest gives the newest sample of an instance. NOT_FOUND says that the agent
// doesn't hold it.
func (s *Service) Newest(id ident.Instance) (wire.Sample, error) {
	if !s.Instances.Holds(id) {
		return wire.Sample{}, notHeld(id)
	}
	now := s.Now()
	s.mu.Lock()
	defer s.mu.Unlock()
	t := s.tracks[id]
	if t == nil {
		t = &track{disk: holding{used: -1}}
		s.tracks[id] = t
	}
	if t.running {
		t.watched = now
		if t.newest.Running {
			return t.newest, nil
		}
	} else {
		t.ended = now // kept for whoever looks again
		if now.Sub(t.diskAt) >= disksEvery {
			t.diskAt = now // the others that look take what is known
			s.mu.Unlock()
			disk := s.measure(id)
			s.mu.Lock()
			t.disk = disk
		}
	}
	return wire.Sample{At: now, Running: t.running, DiskUsed: t.disk.used, DiskLimit: t.disk.limit}, nil
}

func notHeld(id ident.Instance) error {
	return problem.New(problem.NotFound, "this node has no instance %s", id)
}

// Node gives the newest samples of the node and of all that runs. It is a look at
// the node; at the instances it is one, too, when it comes again within a few
// seconds, as somebody does who shows them. Else theirs are up to ten seconds old.
func (s *Service) Node() wire.NodeStats {
	now := s.Now()
	s.mu.Lock()
	defer s.mu.Unlock()
	if now.Sub(s.listed) < listedAgain {
		for _, t := range s.tracks {
			t.watched = now
		}
	}
	s.watched, s.listed = now, now
	all := wire.NodeStats{Node: s.node, Instances: map[ident.Instance]wire.Sample{}}
	for id, t := range s.tracks {
		if t.newest.Running {
			all.Instances[id] = t.newest
		}
	}
	return all
}

// History gives an instance's points of a resolution that begin at since or
// later.
func (s *Service) History(id ident.Instance, r wire.Resolution, since time.Time) (wire.StatsHistory, error) {
	if !s.Instances.Holds(id) {
		return wire.StatsHistory{}, notHeld(id)
	}
	now := s.Now()
	points, err := s.points(nameOf(id), r, since, func() *series {
		if t := s.tracks[id]; t != nil {
			t.watched = now // who reads what was goes on to what is
			return &t.series
		}
		return nil
	})
	if err != nil {
		return wire.StatsHistory{}, err
	}
	h := columns(r, points)
	for _, p := range points {
		h.Read, h.Write = append(h.Read, bytesPerSecond(p.read)), append(h.Write, bytesPerSecond(p.write))
		h.Pids = append(h.Pids, int64(p.pids))
	}
	return h, nil
}

// NodeHistory is History of the node.
func (s *Service) NodeHistory(r wire.Resolution, since time.Time) (wire.StatsHistory, error) {
	now := s.Now()
	points, err := s.points(nodeName, r, since, func() *series {
		s.watched = now
		return &s.history
	})
	if err != nil {
		return wire.StatsHistory{}, err
	}
	h := columns(r, points)
	for _, p := range points {
		h.Load, h.Running = append(h.Load, round(p.read, 100)), append(h.Running, int64(p.pids))
	}
	return h, nil
}

// points reads a level out of memory and the file.
func (s *Service) points(name string, r wire.Resolution, since time.Time, find func() *series) ([]point, error) {
	now := uint32(s.Now().Unix())
	from := uint32(min(max(since.Unix(), 0), math.MaxUint32))
	i := slices.Index([]wire.Resolution{wire.Ten, wire.Minute}, r)
	if i < 0 {
		s.mu.Lock()
		defer s.mu.Unlock()
		if h := find(); h != nil {
			return h.recent(from, now), nil
		}
		return nil, nil
	}
	// What waits is looked at first: written meanwhile, it is there twice and not
	// never.
	var waiting []point
	s.mu.Lock()
	if h := find(); h != nil {
		waiting = slices.Clone(h.pending[i])
	}
	s.mu.Unlock()
	written, err := s.files.read(name, i)
	if err != nil {
		s.Log.Error("a history can't be read", "file", name, "error", err)
		return nil, problem.New(problem.Internal, "the node can't read this history: its log says why").Because(err)
	}
	return ordered(append(written, waiting...), inFile[i], from, now), nil
}

func columns(r wire.Resolution, points []point) wire.StatsHistory {
	h := wire.StatsHistory{Resolution: r, At: []int64{}, CPU: []float64{}, Memory: []int64{}, NetIn: []int64{}, NetOut: []int64{}, DiskUsed: []int64{}}
	for _, p := range points {
		h.At, h.CPU, h.Memory = append(h.At, int64(p.at)), append(h.CPU, round(p.cpu, 10_000)), append(h.Memory, bytesOf(p.memory))
		h.NetIn, h.NetOut = append(h.NetIn, bytesPerSecond(p.in)), append(h.NetOut, bytesPerSecond(p.out))
		h.DiskUsed = append(h.DiskUsed, bytesOf(p.disk))
	}
	return h
}

// round keeps so many parts of one: more digits say nothing and cost room.
func round(f float32, parts float64) float64 { return math.Round(float64(f)*parts) / parts }

// bytesPerSecond is a rate in whole bytes.
func bytesPerSecond(f float32) int64 { return int64(min(math.Round(float64(f)), 1<<62)) }
