package oidc

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"time"

	gooidc "github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"

	"github.com/berth-panel/berth/controller/setting"
	"github.com/berth-panel/berth/shared/problem"
)

const (
	callTimeout  = 10 * time.Second
	answerLimit  = 1 << 20
	discoverLife = time.Hour        // then it is discovered anew
	failedPause  = 10 * time.Second // of a provider that didn't answer: strangers may begin flows
)

// provider is what was discovered of the issuer under one state of the settings.
type provider struct {
	*gooidc.Provider
	settings Settings
	updated  time.Time
	at       time.Time
	oauth    oauth2.Config
	verifier *gooidc.IDTokenVerifier
}

// failure is the last discovery that went wrong.
type failure struct {
	updated, at time.Time
	err         error
}

// client speaks to providers: a while, so much, and encrypted.
func (s *Service) client() *http.Client {
	return &http.Client{
		Timeout:   s.Timeout,
		Transport: limited{http.DefaultTransport},
		CheckRedirect: func(r *http.Request, via []*http.Request) error {
			if len(via) > 3 {
				return fmt.Errorf("redirected too often")
			}
			return nil // where to is checked by limited, as each address is
		},
	}
}

type limited struct{ http.RoundTripper }

// RoundTrip refuses what isn't encrypted, and cuts answers that are too long.
func (l limited) RoundTrip(r *http.Request) (*http.Response, error) {
	if err := checkEndpoint(r.URL); err != nil {
		return nil, err
	}
	res, err := l.RoundTripper.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	res.Body = struct {
		io.Reader
		io.Closer
	}{io.LimitReader(res.Body, answerLimit), res.Body}
	return res, nil
}

// checkEndpoint lets https pass, and http on this very machine.
func checkEndpoint(u *url.URL) error {
	host := u.Hostname()
	ip := net.ParseIP(host)
	here := host == "localhost" || (ip != nil && ip.IsLoopback())
	if u.Scheme == "https" && host != "" || u.Scheme == "http" && here {
		return nil
	}
	return problem.New(problem.Conflict, "the provider's address %s isn't one that begins with https://", u.Redacted())
}

// provider gives the provider as it is set, discovered a while ago at most. A
// Conflict says that none is set or that it doesn't answer.
func (s *Service) provider(ctx context.Context) (*provider, error) {
	st, err := s.settings.Get(ctx, nil)
	if err != nil {
		return nil, err
	}
	if !st.Value.enabled() || s.PublicURL == "" {
		return nil, problem.New(problem.Conflict, "no other login is set, or this controller doesn't know its own address (--public-url)")
	}
	s.mu.Lock()
	defer s.mu.Unlock() // of many at once one asks
	now := s.Now()
	if p := s.known; p != nil && p.updated.Equal(st.Updated) && now.Sub(p.at) < discoverLife {
		return p, nil
	}
	if f := s.failed; f.err != nil && f.updated.Equal(st.Updated) && now.Sub(f.at) < failedPause {
		return nil, f.err
	}
	p, err := s.discover(ctx, st)
	if err != nil {
		s.failed = failure{updated: st.Updated, at: now, err: err}
		return nil, err
	}
	s.known, s.failed = p, failure{}
	return p, nil
}

func (s *Service) discover(ctx context.Context, st setting.State[Settings]) (*provider, error) {
	secret, err := s.settings.Secret(st)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(gooidc.ClientContext(ctx, s.client()), s.Timeout)
	defer cancel()
	found, err := gooidc.NewProvider(ctx, st.Value.Issuer)
	if err != nil {
		return nil, problem.New(problem.Conflict, "the provider %s could not be asked who it is: see that its address is right and that it answers", st.Value.Issuer).Because(err)
	}
	return &provider{
		Provider: found, settings: st.Value, updated: st.Updated, at: s.Now(),
		oauth: oauth2.Config{ClientID: st.Value.ClientID, ClientSecret: secret, Endpoint: found.Endpoint(),
			RedirectURL: s.PublicURL + callbackPath, Scopes: []string{gooidc.ScopeOpenID, "email", "profile"}},
		verifier: found.Verifier(&gooidc.Config{ClientID: st.Value.ClientID, Now: s.Now}),
	}, nil
}
