package stats

import (
	"context"
	"time"

	"github.com/berth-panel/berth/shared/ident"
)

// Round takes one round of samples, as Run does each second.
func (s *Service) Round(ctx context.Context) { s.sample(ctx); s.asked.Wait() }

// FromKernel says whether an instance is measured without the engine.
func (s *Service) FromKernel(id ident.Instance) bool {
	t := s.tracks[id]
	return t != nil && t.source == fromKernel
}

// Write writes what Run writes each minute.
func (s *Service) Write() { s.write(); s.sweep() }

// MeasureDisks is what Run does each ten seconds.
func (s *Service) MeasureDisks(ctx context.Context) { s.measureDisks(ctx) }

// CPU is the processor time of an instance's newest sample.
func (s *Service) CPU(id ident.Instance) time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.tracks[id].last.CPU
}

// Seconds are the times of an instance's points of a second.
func (s *Service) Seconds(id ident.Instance) (at []time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, p := range s.tracks[id].series.recent(0, uint32(s.Now().Unix())) {
		at = append(at, time.Unix(int64(p.at), 0))
	}
	return at
}
