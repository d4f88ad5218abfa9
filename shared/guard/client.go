package guard

import (
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"time"

	"github.com/berth-panel/berth/shared/problem"
)

const maxRedirects = 5

// Client makes a client, safe for concurrent use. allowed are networks that the
// program's own settings open, such as a mirror in the same rack; everything public
// is open anyway. A dial that is refused is ErrForbidden; a redirect that is, a
// *problem.Problem.
func Client(allowed []netip.Prefix) *http.Client {
	dialer := &net.Dialer{Timeout: 15 * time.Second, Control: guard{allowed: allowed}.control}
	transport := &http.Transport{
		// No Proxy: through one, the guard would see only the proxy's address.
		DialContext:            dialer.DialContext,
		TLSHandshakeTimeout:    15 * time.Second,
		ResponseHeaderTimeout:  30 * time.Second,
		IdleConnTimeout:        30 * time.Second,
		MaxIdleConns:           4,
		MaxResponseHeaderBytes: 64 << 10,
		DisableCompression:     true, // the file as it is, and no bomb
		ForceAttemptHTTP2:      true,
	}
	return &http.Client{Transport: transport, CheckRedirect: checkRedirect}
}

func checkRedirect(req *http.Request, via []*http.Request) error {
	if len(via) > maxRedirects {
		return problem.New(problem.Validation, "more than %d redirects", maxRedirects)
	}
	if via[len(via)-1].URL.Scheme == "https" && req.URL.Scheme != "https" {
		return problem.New(problem.Validation, "a redirect from https to %s", req.URL.Scheme)
	}
	req.Header.Del("Referer") // the old address may hold a token
	return CheckURL(req.URL)
}

// CheckURL says whether an address is one that can be asked for at all.
func CheckURL(u *url.URL) error {
	if (u.Scheme != "http" && u.Scheme != "https") || u.Hostname() == "" {
		return problem.New(problem.Validation, "only http and https addresses can be downloaded")
	}
	return nil
}
