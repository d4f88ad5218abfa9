package classic

import "time"

// SetWaits sets how long deploy and delete wait for the node.
func (s *Service) SetWaits(deploy, remove time.Duration) { s.deployWait, s.deleteWait = deploy, remove }

// Often has figures come ten times as often.
func Often(s *Service) { s.statsEvery = statsEvery / 10 }
