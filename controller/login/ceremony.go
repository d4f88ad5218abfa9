package login

import (
	"container/list"
	"crypto/rand"
	"encoding/base64"
	"net"
	"net/netip"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/go-webauthn/webauthn/protocol"
	"github.com/go-webauthn/webauthn/webauthn"

	"github.com/berth-panel/berth/controller/httpapi"
	"github.com/berth-panel/berth/shared/ident"
	"github.com/berth-panel/berth/shared/problem"
)

// newParty says whose passkeys these are: the public URL's host's. Browsers refuse
// addresses there; with one, and without https elsewhere than on localhost, only a
// page at localhost can use passkeys.
func newParty(public string) (*webauthn.WebAuthn, error) {
	u, err := url.Parse(public)
	if err != nil {
		return nil, err
	}
	host, schemes := strings.ToLower(u.Hostname()), []string{u.Scheme}
	if _, err := netip.ParseAddr(host); err == nil || host == "" {
		host, schemes = "localhost", []string{"http", "https"}
	}
	origins := make([]string, len(schemes))
	for n, scheme := range schemes {
		origins[n] = scheme + "://" + host
		if port := u.Port(); port != "" && port != defaultPorts[scheme] { // browsers leave those out
			origins[n] = scheme + "://" + net.JoinHostPort(host, port)
		}
	}
	required := true
	return webauthn.New(&webauthn.Config{
		RPID: host, RPDisplayName: "Berth", RPOrigins: origins,
		AttestationPreference: protocol.PreferNoAttestation,
		AuthenticatorSelection: protocol.AuthenticatorSelection{
			ResidentKey: protocol.ResidentKeyRequirementRequired, RequireResidentKey: &required, UserVerification: protocol.VerificationRequired,
		},
	})
}

var defaultPorts = map[string]string{"http": "80", "https": "443"}

// What a ceremony is for: an answer to one is none to another.
type purpose string

const (
	toLogin purpose = "login"
	toProve purpose = "prove"
	toAdd   purpose = "add"
)

// ceremony is a challenge that waits for its answer.
type ceremony struct {
	purpose purpose
	user    ident.User    // "" to log in
	session ident.Session // "" to log in
	data    webauthn.SessionData
	network string
	until   time.Time
	name    string
}

const (
	ceremoniesMost = 10_000
	ceremoniesEach = 64 // from one network
)

// ceremonies are the challenges that wait. They are in memory: a restart costs
// whoever is about to answer one another click.
type ceremonies struct {
	mu    sync.Mutex
	of    map[string]*list.Element // of *ceremony
	order *list.List               // the oldest first
	from  map[string]int
}

func newCeremonies() *ceremonies {
	return &ceremonies{of: map[string]*list.Element{}, order: list.New(), from: map[string]int{}}
}

// put keeps a ceremony and names it. Whoever asks for too many waits.
func (c *ceremonies) put(one ceremony, now time.Time) (string, error) {
	raw := make([]byte, 16)
	_, _ = rand.Read(raw) // never fails: crypto/rand aborts the process instead
	c.mu.Lock()
	defer c.mu.Unlock()
	for at := c.order.Front(); at != nil && !now.Before(waiting(at).until); at = c.order.Front() {
		c.drop(at)
	}
	if c.from[one.network] >= ceremoniesEach {
		return "", httpapi.TooMany(time.Minute, "too many passkeys are waited for")
	}
	if c.order.Len() >= ceremoniesMost {
		c.drop(c.order.Front())
	}
	one.name, one.until = base64.RawURLEncoding.EncodeToString(raw), now.Add(CeremonyLife)
	c.of[one.name] = c.order.PushBack(&one)
	c.from[one.network]++
	return one.name, nil
}

// take gives a ceremony, once, whether it is the right one or not.
func (c *ceremonies) take(name string, p purpose, user ident.User, session ident.Session, now time.Time) (webauthn.SessionData, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	at := c.of[name]
	if at == nil {
		return webauthn.SessionData{}, stale()
	}
	one := waiting(at)
	c.drop(at)
	if one.purpose != p || one.user != user || one.session != session || !now.Before(one.until) {
		return webauthn.SessionData{}, stale()
	}
	return one.data, nil
}

func stale() error {
	return problem.New(problem.Conflict, "this took longer than %d minutes, or was answered already: begin again", int(CeremonyLife/time.Minute))
}

// waiting is what an element of order holds.
func waiting(at *list.Element) *ceremony {
	one, _ := at.Value.(*ceremony)
	return one
}

func (c *ceremonies) drop(at *list.Element) {
	one := waiting(at)
	delete(c.of, one.name)
	c.order.Remove(at)
	if c.from[one.network]--; c.from[one.network] == 0 {
		delete(c.from, one.network)
	}
}

// held is how many wait.
func (c *ceremonies) held() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.order.Len()
}
