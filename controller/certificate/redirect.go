package certificate

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// Redirect serves the plain door until ctx ends: challenges of the authority, and
// the way to HTTPS. public is the address that browsers are sent to, such as
// https://panel.example.com. It closes the listener.
func (s *Service) Redirect(ctx context.Context, ln net.Listener, public string) error {
	to, err := url.Parse(public)
	if err != nil || to.Scheme != "https" || to.Host == "" {
		return errors.Join(fmt.Errorf("the public URL %q is not one that begins with https: name it with --public-url", public), ln.Close())
	}
	var handler http.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { send(w, r, to) })
	if s.acme != nil {
		handler = s.acme.issuer.HTTPChallengeHandler(handler)
	}
	server := &http.Server{Handler: handler, ReadTimeout: 10 * time.Second, WriteTimeout: 10 * time.Second, IdleTimeout: 30 * time.Second, MaxHeaderBytes: 16 << 10}
	server.SetKeepAlivesEnabled(false)
	defer context.AfterFunc(ctx, func() { _ = server.Close() })()
	if err := server.Serve(ln); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serve plain HTTP: %w", err)
	}
	return nil
}

// send says where to go. Calls of programs are refused: they would send their key
// again the same way.
func send(w http.ResponseWriter, r *http.Request, to *url.URL) {
	h := w.Header()
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'; sandbox")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Cache-Control", "no-store")
	api := r.URL.Path == "/api" || strings.HasPrefix(r.URL.Path, "/api/")
	if api || r.Method != http.MethodGet && r.Method != http.MethodHead || r.Header.Get("X-Api-Key") != "" || r.Header.Get("Authorization") != "" {
		http.Error(w, "Only over HTTPS: call "+to.Scheme+"://"+to.Host+". A key that was sent here went over the net in the clear: replace it.", http.StatusForbidden)
		return
	}
	target := url.URL{Scheme: to.Scheme, Host: to.Host, Path: "/" + strings.TrimLeft(r.URL.Path, "/"), RawQuery: r.URL.RawQuery}
	http.Redirect(w, r, target.String(), http.StatusPermanentRedirect)
}
