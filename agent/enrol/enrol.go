package enrol

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"
	"unicode"

	"github.com/berth-panel/berth/shared/build"
	"github.com/berth-panel/berth/shared/problem"
	"github.com/berth-panel/berth/shared/wire"
)

const (
	callWithin = 30 * time.Second
	maxAnswer  = 256 << 10
	maxSkew    = 2 * time.Minute // that is worth a word when something failed
)

// Options say where to enrol and as what.
type Options struct {
	Controller string // URL, with or without a path before /api
	Key        string // text of the enrolment key
	Dir        string // data directory; made when it is missing
	Force      bool   // replace an identity that is there
	Agent      wire.EnrolAgent
	Now        func() time.Time
}

// Enrol asks the controller to let this machine in, checks its answer and keeps
// the identity. Nothing of it is written unless everything is in order; only the
// new key is kept from the first try on, so that the same enrolment key can be
// tried again when the answer got lost. Errors are sentences for the person at
// the terminal.
func Enrol(ctx context.Context, o Options) (Identity, error) {
	key, err := wire.ParseEnrolmentKey(o.Key)
	if err != nil {
		return Identity{}, err
	}
	address, err := enrolURL(o.Controller)
	if err != nil {
		return Identity{}, err
	}
	if err := os.MkdirAll(o.Dir, 0o700); err != nil {
		return Identity{}, fmt.Errorf("make the data directory: %w", err)
	}
	if err := refuseTwice(o); err != nil {
		return Identity{}, err
	}
	private, err := enrolmentKey(o.Dir, key.ID)
	if err != nil {
		return Identity{}, err
	}
	request, err := sign(key, private, o.Agent)
	if err != nil {
		return Identity{}, err
	}
	answer, skew, err := call(ctx, address, request, o.Now)
	if err != nil {
		return Identity{}, err
	}
	if err := check(key, request.Nonce, answer, private, o.Now(), skew); err != nil {
		return Identity{}, err
	}
	text, err := keyPEM(private, nil)
	if err != nil {
		return Identity{}, err
	}
	r := record{Node: answer.Node, Controller: o.Controller, EnrolledAt: o.Now().UTC()}
	if err := save(o.Dir, text, []byte(answer.Certificate), []byte(answer.CA), r); err != nil {
		return Identity{}, err
	}
	return Load(o.Dir)
}

// refuseTwice protects an identity that is there: with another one, the
// controller that runs this node's instances could not reach them any more.
func refuseTwice(o Options) error {
	if o.Force {
		return nil
	}
	held, err := Load(o.Dir)
	if errors.Is(err, ErrNotEnrolled) {
		return nil
	}
	if err != nil {
		return err
	}
	return fmt.Errorf("this machine is enrolled already, as node %s of %s: `berth-agent serve` starts it; --force enrols it anew", held.Node, held.Controller)
}

func enrolURL(controller string) (string, error) {
	u, err := url.Parse(controller)
	if err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Host == "" {
		return "", fmt.Errorf("%q is not the controller's address: it looks like http://panel.example:8080", controller)
	}
	return u.JoinPath(wire.PathEnrol).String(), nil
}

func sign(key wire.EnrolmentKey, private *ecdsa.PrivateKey, agent wire.EnrolAgent) (wire.EnrolRequest, error) {
	csr, err := signingRequest(private)
	if err != nil {
		return wire.EnrolRequest{}, err
	}
	nonce := make([]byte, 16)
	_, _ = rand.Read(nonce) // never fails
	agent.Release, agent.Wire = build.Version, wire.Version
	if agent.Tags == nil {
		agent.Tags = []string{}
	}
	r := wire.EnrolRequest{
		KeyID: key.ID, Nonce: base64.RawURLEncoding.EncodeToString(nonce), Agent: agent,
		CSR: csr,
	}
	r.MAC = key.SignRequest(r)
	return r, nil
}

// call sends the request. skew is how far the controller's clock is ahead of
// ours, as far as its answer says.
func call(ctx context.Context, address string, request wire.EnrolRequest, now func() time.Time) (wire.EnrolAnswer, time.Duration, error) {
	ctx, cancel := context.WithTimeout(ctx, callWithin)
	defer cancel()
	body, err := json.Marshal(request)
	if err != nil {
		return wire.EnrolAnswer{}, 0, fmt.Errorf("write the request: %w", err)
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, address, bytes.NewReader(body))
	if err != nil {
		return wire.EnrolAnswer{}, 0, fmt.Errorf("write the request: %w", err)
	}
	r.Header.Set("Content-Type", "application/json")
	client := newClient()
	defer client.CloseIdleConnections()
	response, err := client.Do(r)
	if err != nil {
		return wire.EnrolAnswer{}, 0, unreachable(address, err)
	}
	defer func() { _ = response.Body.Close() }()
	text, err := io.ReadAll(io.LimitReader(response.Body, maxAnswer))
	if err != nil {
		return wire.EnrolAnswer{}, 0, unreachable(address, err)
	}
	var skew time.Duration
	if date, err := http.ParseTime(response.Header.Get("Date")); err == nil {
		skew = date.Sub(now())
	}
	answer, err := read(response, text)
	return answer, skew, err
}

func newClient() *http.Client {
	return &http.Client{
		Transport: &http.Transport{
			Proxy:       http.ProxyFromEnvironment,
			DialContext: (&net.Dialer{Timeout: 10 * time.Second}).DialContext,
			// Who answers proves itself by the enrolment key: see the package's doc.
			TLSClientConfig:     &tls.Config{MinVersion: tls.VersionTLS12, InsecureSkipVerify: true},
			TLSHandshakeTimeout: 10 * time.Second,
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

func unreachable(address string, cause error) error {
	var inner *url.Error
	if errors.As(cause, &inner) {
		cause = inner.Err
	}
	if errors.Is(cause, context.DeadlineExceeded) {
		cause = errors.New("no answer in time")
	}
	return fmt.Errorf("the controller can't be reached at %s: %w", address, cause)
}

// read takes the answer apart: the bare EnrolAnswer, or one inside the
// envelope of /api/v1; or the refusal.
func read(response *http.Response, text []byte) (wire.EnrolAnswer, error) {
	var body struct {
		wire.EnrolAnswer
		Data  *wire.EnrolAnswer `json:"data"`
		Error *problem.Problem  `json:"error"`
	}
	err := json.Unmarshal(text, &body)
	switch {
	case response.StatusCode >= 300 && response.StatusCode < 400:
		return wire.EnrolAnswer{}, fmt.Errorf("the controller sends us on to %s: use that address", clean(response.Header.Get("Location")))
	case err == nil && body.Error != nil && body.Error.Message != "":
		return wire.EnrolAnswer{}, fmt.Errorf("the controller refuses: %s", clean(body.Error.Message))
	case response.StatusCode != http.StatusCreated:
		return wire.EnrolAnswer{}, fmt.Errorf("what answers there is no Berth controller (HTTP status %d)", response.StatusCode)
	case err != nil:
		return wire.EnrolAnswer{}, errors.New("what answers there is no Berth controller (its answer can't be read)")
	case body.Data != nil:
		return *body.Data, nil
	}
	return body.EnrolAnswer, nil
}

// clean makes text from the wire fit for a terminal.
func clean(text string) string {
	text = strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || !unicode.IsPrint(r) {
			return -1
		}
		return r
	}, text)
	if runes := []rune(text); len(runes) > 300 {
		text = string(runes[:300]) + "…"
	}
	return text
}

// check believes nothing of the answer that the key doesn't prove, and then
// nothing that the certificates don't.
func check(key wire.EnrolmentKey, nonce string, a wire.EnrolAnswer, private *ecdsa.PrivateKey, now time.Time, skew time.Duration) error {
	if !wire.Proves(a.MAC, key.SignAnswer(nonce, a)) {
		return errors.New("the answer was not made with this enrolment key: somebody may sit between this machine and the controller, or the key is another controller's")
	}
	ca, err := parseCertificate([]byte(a.CA))
	if err != nil {
		return fmt.Errorf("the controller's CA: %w", err)
	}
	if print := sha256.Sum256(ca.Raw); !bytes.Equal(print[:], key.Fingerprint) {
		return errors.New("the controller's CA is not the one that the enrolment key names")
	}
	leaf, err := parseCertificate([]byte(a.Certificate))
	if err != nil {
		return fmt.Errorf("the node's certificate: %w", err)
	}
	if public, ok := leaf.PublicKey.(*ecdsa.PublicKey); !ok || !private.PublicKey.Equal(public) {
		return errors.New("the node's certificate is for another key")
	}
	if a.Node == "" || len(leaf.URIs) != 1 || leaf.URIs[0].String() != wire.NodeURI(a.Node) {
		return errors.New("the node's certificate names another node")
	}
	if now.Before(leaf.NotBefore) || now.After(leaf.NotAfter) || now.Before(ca.NotBefore) || now.After(ca.NotAfter) {
		return errors.New(clockError(leaf, now, skew, "set the clocks right and enrol again"))
	}
	roots := x509.NewCertPool()
	roots.AddCert(ca)
	usage := []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
	if _, err := leaf.Verify(x509.VerifyOptions{Roots: roots, CurrentTime: now, KeyUsages: usage}); err != nil {
		return fmt.Errorf("the node's certificate does not hold: %w", err)
	}
	return nil
}

func clockError(leaf *x509.Certificate, now time.Time, skew time.Duration, advice string) string {
	message := fmt.Sprintf("the certificate holds from %s to %s, but this machine's clock says %s",
		leaf.NotBefore.UTC().Format(time.RFC3339), leaf.NotAfter.UTC().Format(time.RFC3339), now.UTC().Format(time.RFC3339))
	if skew.Abs() > maxSkew {
		message += fmt.Sprintf(" (the controller's differs by %s)", skew.Abs().Round(time.Second))
	}
	return message + ": " + advice
}
