package login

import (
	"context"

	"github.com/berth-panel/berth/controller/access"
)

// CheckProof gives who is logged in, when he proved who he is a short while ago: for
// other rooms whose changes are to how somebody logs in.
func (s *Service) CheckProof(ctx context.Context) (access.Caller, error) { return s.checkFresh(ctx) }
