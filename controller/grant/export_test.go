package grant

import "time"

// Ready is closed when the service follows events.
func Ready(s *Service) <-chan struct{} { return s.ready }

// Hurry has the service look at every hold so often. Call it before Run.
func Hurry(s *Service, every time.Duration) { s.recheck = every }

// Holds is how many there are.
func Holds(s *Service) int { return len(s.holds.all()) }

// Patient gives guests that long to say who they are.
func Patient(s *Service, hello time.Duration) { s.hello = hello }
