package login

import "context"

// Flush does now what Run does in time.
func Flush(ctx context.Context, s *Service) {
	s.flush(ctx)
	s.purge(ctx)
}

// Held is how much is remembered of who tried to log in.
func Held(s *Service) int { return s.guesses.Held() + s.codes.Held() + s.ceremonies.held() }
