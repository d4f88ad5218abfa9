package certificate

import "time"

// Hurry looks at files all the time.
func Hurry(s *Service) { s.every = 10 * time.Millisecond }

// OnlyHTTP proves by http-01 alone.
func OnlyHTTP(s *Service) { s.acme.issuer.DisableTLSALPNChallenge = true }
