package enrol

import (
	"bytes"
	"crypto/x509"
	"encoding/pem"
	"math/big"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/berth-panel/berth/shared/problem"
	"github.com/berth-panel/berth/shared/wire"
)

// keeper enrols and keeps the identity.
func (c *controller) keeper(t *testing.T) (*Keeper, string) {
	t.Helper()
	o := c.options(t)
	if _, err := Enrol(t.Context(), o); err != nil {
		t.Fatal(err)
	}
	return keep(t, o.Dir), o.Dir
}

func keep(t *testing.T, dir string) *Keeper {
	t.Helper()
	k, err := Keep(dir, time.Now)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func request(t *testing.T, k *Keeper) any {
	t.Helper()
	text, err := k.Request()
	if err != nil {
		t.Fatal(err)
	}
	block, _ := pem.Decode([]byte(text))
	csr, err := x509.ParseCertificateRequest(block.Bytes)
	if err != nil || csr.CheckSignature() != nil {
		t.Fatalf("the request: %v", err)
	}
	return csr.PublicKey
}

// shows checks that the keeper, and one that starts anew, show the certificate.
func shows(t *testing.T, k *Keeper, dir, certificate string) {
	t.Helper()
	block, _ := pem.Decode([]byte(certificate))
	for _, k := range []*Keeper{k, keep(t, dir)} {
		if !bytes.Equal(k.Certificate().Certificate[0], block.Bytes) {
			t.Error("it shows another certificate")
		}
	}
	info, err := os.Stat(filepath.Join(dir, keyFile))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the key's file: %v, %v", info, err)
	}
}

func text(k *Keeper) string { return certPEM(k.Certificate().Certificate[0]) }

func TestRenewal(t *testing.T) {
	t.Parallel()
	c := newController(t)
	k, dir := c.keeper(t)
	before := text(k)
	public := request(t, k)
	if info, err := os.Stat(filepath.Join(dir, nextKeyFile)); err != nil || info.Mode().Perm() != 0o600 {
		t.Fatalf("the new key's file: %v, %v", info, err)
	}
	shows(t, k, dir, before)
	renewed := c.issue(public, c.ca, c.caKey)
	for range 2 { // the answer to the first was lost
		if err := k.Install(renewed); err != nil {
			t.Fatal(err)
		}
		shows(t, k, dir, renewed)
	}
	if _, err := os.Stat(filepath.Join(dir, nextKeyFile)); !os.IsNotExist(err) {
		t.Errorf("the new key is still beside the old one: %v", err)
	}
}

// The agent is killed between the calls: the key is still there.
func TestRenewalAcrossARestart(t *testing.T) {
	t.Parallel()
	c := newController(t)
	k, dir := c.keeper(t)
	renewed := c.issue(request(t, k), c.ca, c.caKey)
	k = keep(t, dir)
	if err := k.Install(renewed); err != nil {
		t.Fatal(err)
	}
	shows(t, k, dir, renewed)
}

// The agent is killed between the two files.
func TestReplacementThatWasCutShort(t *testing.T) {
	t.Parallel()
	for name, next := range map[string]func(t *testing.T, k *Keeper){
		"a restart": func(*testing.T, *Keeper) {},
		"another request, with no restart": func(t *testing.T, k *Keeper) {
			request(t, k)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := newController(t)
			k, dir := c.keeper(t)
			renewed := c.issue(request(t, k), c.ca, c.caKey)
			if err := replace(filepath.Join(dir, certFile), []byte(renewed), 0o644); err != nil {
				t.Fatal(err)
			}
			next(t, k)
			again := keep(t, dir)
			shows(t, again, dir, renewed)
		})
	}
}

func TestCertificatesThatAreRefused(t *testing.T) {
	t.Parallel()
	foreign, foreignKey := newCA(t)
	other, err := url.Parse("berth://node/another")
	if err != nil {
		t.Fatal(err)
	}
	issue := func(c *controller, public any, change func(*x509.Certificate)) string {
		c.template = change
		defer func() { c.template = nil }()
		return c.issue(public, c.ca, c.caKey)
	}
	cases := map[string]struct {
		make func(c *controller, k *Keeper, public any) string
		code problem.Code
		text string
	}{
		"another key": {func(c *controller, k *Keeper, _ any) string {
			return issue(c, k.Certificate().Leaf.PublicKey, func(x *x509.Certificate) { x.SerialNumber = big.NewInt(9) })
		}, problem.Conflict, "not for the key"},
		"an earlier request's": {func(c *controller, k *Keeper, public any) string {
			request(c.t, k)
			return c.issue(public, c.ca, c.caKey)
		}, problem.Conflict, "not for the key"},
		"another node's": {func(c *controller, _ *Keeper, public any) string {
			return issue(c, public, func(x *x509.Certificate) { x.URIs = []*url.URL{other} })
		}, problem.Conflict, "names another node"},
		"another CA's": {func(c *controller, _ *Keeper, public any) string {
			return c.issue(public, foreign, foreignKey)
		}, problem.Conflict, "not of this node's controller"},
		"the controller's own": {func(c *controller, _ *Keeper, public any) string {
			return issue(c, public, func(x *x509.Certificate) { x.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth} })
		}, problem.Conflict, "not of this node's controller"},
		"one that ran out": {func(c *controller, _ *Keeper, public any) string {
			return issue(c, public, func(x *x509.Certificate) { x.NotAfter = time.Now().Add(-time.Second) })
		}, problem.Conflict, "clock"},
		"nothing": {func(*controller, *Keeper, any) string { return "" }, problem.Validation, "not a certificate"},
		"two": {func(c *controller, _ *Keeper, public any) string {
			return c.issue(public, c.ca, c.caKey) + certPEM(c.ca.Raw)
		}, problem.Validation, "more than one"},
	}
	for name, bad := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := newController(t)
			k, dir := c.keeper(t)
			before := text(k)
			err := k.Install(bad.make(c, k, request(t, k)))
			if !problem.Is(err, bad.code) || !strings.Contains(err.Error(), bad.text) {
				t.Errorf("%v", err)
			}
			shows(t, k, dir, before)
		})
	}
	c := newController(t)
	k, dir := c.keeper(t)
	before := text(k)
	foreignKeyed := c.issue(&foreignKey.PublicKey, c.ca, c.caKey)
	if err := k.Install(foreignKeyed); !problem.Is(err, problem.Conflict) || !strings.Contains(err.Error(), "no certificate was asked for") {
		t.Errorf("unasked: %v", err)
	}
	shows(t, k, dir, before)
}

// The answer to an enrolment got lost: the next try has the same key, by which
// the controller knows it again.
func TestEnrolmentIsTriedAgainWithTheSameKey(t *testing.T) {
	t.Parallel()
	c := newController(t)
	lose := true
	c.respond = func(w http.ResponseWriter, _ wire.EnrolAnswer) bool {
		if lose {
			w.WriteHeader(http.StatusCreated)
			_, _ = w.Write([]byte(`{"node":"6f9`))
		}
		return lose
	}
	o := c.options(t)
	public := func() any {
		block, _ := pem.Decode([]byte(c.request.CSR))
		csr, err := x509.ParseCertificateRequest(block.Bytes)
		if err != nil {
			t.Fatal(err)
		}
		return csr.RawSubjectPublicKeyInfo
	}
	if _, err := Enrol(t.Context(), o); err == nil {
		t.Fatal("it was let in without an answer")
	}
	first := public()
	if _, err := Enrol(t.Context(), o); err == nil {
		t.Fatal("it was let in without an answer")
	}
	second := public()
	lose = false
	if _, err := Enrol(t.Context(), o); err != nil {
		t.Fatal(err)
	}
	third := public()
	if !bytes.Equal(first.([]byte), second.([]byte)) || !bytes.Equal(first.([]byte), third.([]byte)) {
		t.Error("each try has a key of its own")
	}
	if _, err := os.Stat(filepath.Join(o.Dir, enrolKeyFile)); !os.IsNotExist(err) {
		t.Errorf("the key of the tries is still there: %v", err)
	}
	// Another enrolment key, and one that can't be read, begin anew.
	o.Force = true
	for _, content := range []string{"garbage", "-----BEGIN PRIVATE KEY-----\nEnrolment-Key: k1\n\nAAAA\n-----END PRIVATE KEY-----\n"} {
		if err := os.WriteFile(filepath.Join(o.Dir, enrolKeyFile), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := Enrol(t.Context(), o); err != nil {
			t.Fatal(err)
		}
		if bytes.Equal(public().([]byte), first.([]byte)) {
			t.Error("an old key is used again")
		}
	}
}
