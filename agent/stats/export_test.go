package stats

import "context"

// Round takes one round of samples, as Run does each second.
func (s *Service) Round(ctx context.Context) { s.sample(ctx); s.asked.Wait() }

// Write writes what Run writes each minute.
func (s *Service) Write() { s.write(); s.sweep() }

// MeasureDisks is what Run does each ten seconds.
func (s *Service) MeasureDisks(ctx context.Context) { s.measureDisks(ctx) }
