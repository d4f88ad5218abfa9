package image

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/url"

	"github.com/berth-panel/berth/shared/guard"
	"github.com/berth-panel/berth/shared/problem"
)

// download gets what an address gives. The client looks at each address that is
// dialled, so that nobody reaches the controller's own network through it.
func (s *Service) download(ctx context.Context, address string) (ImportFile, error) {
	u, err := url.Parse(address)
	if err != nil {
		return ImportFile{}, problem.Invalid("url", "it is not an address")
	}
	if err := guard.CheckURL(u); err != nil {
		return ImportFile{}, problem.Invalid("url", "%s", problem.From(err).Message)
	}
	if s.fetch == nil {
		return ImportFile{}, problem.Invalid("url", "nothing is fetched here; send the file")
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), nil)
	if err != nil {
		return ImportFile{}, problem.Invalid("url", "it is not an address")
	}
	res, err := s.fetch.Do(req)
	if errors.Is(err, guard.ErrForbidden) {
		return ImportFile{}, problem.Invalid("url", "%s is not on the public internet; give the file itself", u.Hostname())
	}
	var refused *problem.Problem
	if errors.As(err, &refused) { // a redirect
		return ImportFile{}, problem.Invalid("url", "%s", refused.Message)
	}
	if err != nil {
		return ImportFile{}, problem.Invalid("url", "%s can't be reached", u.Hostname()).Because(err)
	}
	defer func() { _ = res.Body.Close() }()
	if res.StatusCode != http.StatusOK {
		return ImportFile{}, problem.Invalid("url", "%s answers %d", u.Hostname(), res.StatusCode)
	}
	text, err := io.ReadAll(io.LimitReader(res.Body, fileMost+1))
	if err != nil {
		return ImportFile{}, problem.Invalid("url", "%s broke off", u.Hostname()).Because(err)
	}
	if len(text) > fileMost {
		return ImportFile{}, problem.Invalid("url", "the file is too large; %d bytes are the most", fileMost)
	}
	return ImportFile{Name: u.Scheme + "://" + u.Host + u.EscapedPath(), Text: string(text)}, nil // what else it has may be a secret
}
