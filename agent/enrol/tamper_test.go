package enrol

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/berth-panel/berth/shared/wire"
)

// nothingKept checks that a failed enrolment leaves no identity, and at most the
// key that the next try needs.
func nothingKept(t *testing.T, dir string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err == nil && len(entries) == 1 && entries[0].Name() == enrolKeyFile {
		if info, err := entries[0].Info(); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("the key's file: %v, %v", info, err)
		}
		return
	}
	if err == nil && len(entries) != 0 {
		t.Errorf("something was kept: %v", entries)
	}
	if _, err := Load(dir); !errors.Is(err, ErrNotEnrolled) {
		t.Errorf("loading says %v", err)
	}
}

// TestTamperedOnTheWay is somebody in the middle who changes the answer, but
// does not know the key. Every field is tried, found by reflection.
func TestTamperedOnTheWay(t *testing.T) {
	t.Parallel()
	fields := reflect.TypeFor[wire.EnrolAnswer]()
	for i := range fields.NumField() {
		t.Run("answer "+fields.Field(i).Name, func(t *testing.T) {
			t.Parallel()
			c := newController(t)
			c.sent = func(a *wire.EnrolAnswer) {
				field := reflect.ValueOf(a).Elem().Field(i)
				field.SetString(strings.Replace(field.String(), field.String()[:1], "x", 1))
			}
			o := c.options(t)
			_, err := Enrol(t.Context(), o)
			if err == nil || !strings.Contains(err.Error(), "was not made with this enrolment key") {
				t.Errorf("the error is %v", err)
			}
			nothingKept(t, o.Dir)
		})
	}
	for name, replay := range map[string]func(a *wire.EnrolAnswer, other wire.EnrolAnswer){
		"another enrolment's answer": func(a *wire.EnrolAnswer, other wire.EnrolAnswer) { *a = other },
		"no proof":                   func(a *wire.EnrolAnswer, _ wire.EnrolAnswer) { a.MAC = "" },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := newController(t)
			var first wire.EnrolAnswer
			c.sent = func(a *wire.EnrolAnswer) { first = *a }
			if _, err := Enrol(t.Context(), c.options(t)); err != nil {
				t.Fatal(err)
			}
			c.sent = func(a *wire.EnrolAnswer) { replay(a, first) }
			o := c.options(t)
			if _, err := Enrol(t.Context(), o); err == nil {
				t.Error("it was taken")
			}
			nothingKept(t, o.Dir)
		})
	}
	t.Run("request", func(t *testing.T) {
		t.Parallel()
		c := newController(t)
		proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			var request wire.EnrolRequest
			if err := json.NewDecoder(r.Body).Decode(&request); err != nil {
				t.Error(err)
			}
			request.Agent.Address = "192.0.2.66"
			text, err := json.Marshal(request)
			if err != nil {
				t.Error(err)
			}
			on, err := http.Post(c.server.URL+r.URL.Path, "application/json", strings.NewReader(string(text)))
			if err != nil {
				t.Error(err)
				return
			}
			defer func() { _ = on.Body.Close() }()
			w.WriteHeader(on.StatusCode)
			_ = on.Write(w)
		}))
		defer proxy.Close()
		o := c.options(t)
		o.Controller = proxy.URL
		if _, err := Enrol(t.Context(), o); err == nil {
			t.Error("it was taken")
		}
		nothingKept(t, o.Dir)
	})
}

// TestAnswersThatProveButDoNotHold come from one who knows the key, as when it
// leaked, or from a controller with a fault.
func TestAnswersThatProveButDoNotHold(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		spoil func(c *controller)
		words string
	}{
		"another CA": {func(c *controller) {
			ca, key := newCA(c.t)
			c.signed = func(a *wire.EnrolAnswer) {
				a.CA = certPEM(ca.Raw)
				block := certPublic(c.t, a.Certificate)
				a.Certificate = c.issue(block, ca, key)
			}
		}, "not the one that the enrolment key names"},
		"certificate of another CA": {func(c *controller) {
			ca, key := newCA(c.t)
			c.signed = func(a *wire.EnrolAnswer) { a.Certificate = c.issue(certPublic(c.t, a.Certificate), ca, key) }
		}, "does not hold"},
		"two CAs": {func(c *controller) {
			ca, _ := newCA(c.t)
			c.signed = func(a *wire.EnrolAnswer) { a.CA += certPEM(ca.Raw) }
		}, "more than one certificate"},
		"no CA":          {func(c *controller) { c.signed = func(a *wire.EnrolAnswer) { a.CA = "" } }, "not a certificate"},
		"no certificate": {func(c *controller) { c.signed = func(a *wire.EnrolAnswer) { a.Certificate = "hello" } }, "not a certificate"},
		"another key": {func(c *controller) {
			key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
			if err != nil {
				c.t.Fatal(err)
			}
			c.public = func(any) any { return &key.PublicKey }
		}, "for another key"},
		"another node's name": {func(c *controller) {
			c.template = func(x *x509.Certificate) { x.URIs = []*url.URL{{Scheme: "berth", Host: "node", Path: "/other"}} }
		}, "names another node"},
		"another node": {func(c *controller) { c.signed = func(a *wire.EnrolAnswer) { a.Node = "other" } }, "names another node"},
		"no node":      {func(c *controller) { c.signed = func(a *wire.EnrolAnswer) { a.Node = "" } }, "names another node"},
		"the controller's name": {func(c *controller) {
			c.template = func(x *x509.Certificate) { x.URIs = []*url.URL{{Scheme: "berth", Host: "controller"}} }
		}, "names another node"},
		"for clients only": {func(c *controller) {
			c.template = func(x *x509.Certificate) { x.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth} }
		}, "does not hold"},
		"expired": {func(c *controller) {
			c.template = func(x *x509.Certificate) { x.NotAfter = time.Now().Add(-time.Second) }
		}, "clock"},
		"of tomorrow": {func(c *controller) {
			c.template = func(x *x509.Certificate) { x.NotBefore = time.Now().Add(time.Hour) }
		}, "clock"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := newController(t)
			tt.spoil(c)
			o := c.options(t)
			if _, err := Enrol(t.Context(), o); err == nil || !strings.Contains(err.Error(), tt.words) {
				t.Errorf("the error is %v, want %q in it", err, tt.words)
			}
			nothingKept(t, o.Dir)
		})
	}
}

func certPublic(t *testing.T, text string) any {
	t.Helper()
	cert, err := parseCertificate([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return cert.PublicKey
}

func TestFingerprintIsOfTheCertificate(t *testing.T) {
	t.Parallel()
	c := newController(t)
	o := c.options(t)
	wrong := c.key
	other := sha256.Sum256([]byte("another"))
	wrong.Fingerprint = other[:]
	o.Key = wrong.String()
	if _, err := Enrol(t.Context(), o); err == nil || !strings.Contains(err.Error(), "not the one that the enrolment key names") {
		t.Errorf("the error is %v", err)
	}
	nothingKept(t, o.Dir)
}
