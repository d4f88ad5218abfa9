package identity_test

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/berth-panel/berth/controller/access"
	"github.com/berth-panel/berth/controller/identity"
	"github.com/berth-panel/berth/shared/problem"
)

func (b *bundle) from(address, key string) (access.Caller, error) {
	ctx := access.With(b.ctx(), access.Caller{Actor: access.Actor{Address: address}})
	return b.svc.Authenticate(ctx, key)
}

func TestAKeyIsBoundToAddresses(t *testing.T) {
	t.Parallel()
	b := setup(t).serve()
	var made identity.KeyIssuedView
	b.do(adminKey, "POST", "/api/v1/keys", `{"name":"k","scopes":["admin"],"addresses":["192.0.2.7"," 2001:db8:1::5/32","192.0.2.7","10.0.0.0/8"]}`).read(t, &made)
	if got := strings.Join(made.Addresses, " "); got != "192.0.2.7 2001:db8::/32 10.0.0.0/8" {
		t.Fatalf("%q", got)
	}
	for address, ok := range map[string]bool{
		"192.0.2.7": true, "::ffff:192.0.2.7": true, "10.200.0.1": true, "2001:db8:ffff::1": true,
		"192.0.2.8": false, "11.0.0.1": false, "2001:db9::1": false, "": false, "nonsense": false,
	} {
		if _, err := b.from(address, made.Key); (err == nil) != ok || !ok && (!problem.Is(err, problem.Unauthorized) || strings.Contains(err.Error(), "10.0.0.0")) {
			t.Errorf("from %q: %v", address, err)
		}
	}
	if a := b.do(made.Key, "GET", "/api/v1/me", ""); a.status != 401 || !strings.Contains(a.body, "127.0.0.1") {
		t.Errorf("over HTTP: %d %s", a.status, a.body)
	}
	c, err := b.from("192.0.2.7", made.Key)
	if err != nil {
		t.Fatal(err)
	}
	c.Address = "192.0.2.8"
	if _, err := b.svc.Recall(b.ctx(), c); !problem.Is(err, problem.Unauthorized) {
		t.Errorf("what goes on: %v", err)
	}
	var changed identity.KeyView
	b.do(adminKey, "PATCH", "/api/v1/keys/"+string(made.ID), `{"addresses":["127.0.0.0/8"]}`).read(t, &changed)
	if a := b.do(made.Key, "GET", "/api/v1/me", ""); a.status != 200 {
		t.Errorf("%d %s", a.status, a.body)
	}
	b.do(adminKey, "PATCH", "/api/v1/keys/"+string(made.ID), `{"addresses":[]}`).read(t, &changed)
	if _, err := b.from("203.0.113.9", made.Key); err != nil || changed.Addresses == nil || len(changed.Addresses) != 0 {
		t.Errorf("%v, %v", changed.Addresses, err)
	}
	for _, bad := range []string{`["localhost"]`, `["10.0.0.0/33"]`, `["fe80::1%eth0"]`, `["::ffff:10.0.0.0/104"]`, `[""]`, `[` + strings.Repeat(`"10.0.0.1",`, 50) + `"10.0.0.1"]`} {
		if code, _ := b.do(adminKey, "PATCH", "/api/v1/keys/"+string(made.ID), `{"addresses":`+bad+`}`).code(t); code != "VALIDATION_ERROR" {
			t.Errorf("%s: %s", bad, code)
		}
	}
}

// A key that is bound makes none that is less so.
func TestABoundKeyMakesBoundKeys(t *testing.T) {
	t.Parallel()
	b := setup(t)
	user, _ := b.user("anna", false, access.ScopeWrite)
	nets := func(texts ...string) (out []netip.Prefix) {
		for _, s := range texts {
			out = append(out, netip.MustParsePrefix(s))
		}
		return out
	}
	write := []access.Scope{access.ScopeWrite}
	bound, err := b.svc.CreateKey(b.local(), identity.NewKey{User: user, Name: "bound", Scopes: write, Addresses: nets("10.0.0.0/8", "2001:db8::/32")})
	if err != nil {
		t.Fatal(err)
	}
	c, err := b.from("10.1.1.1", bound.Text)
	if err != nil {
		t.Fatal(err)
	}
	ctx := access.With(b.ctx(), c)
	for want, in := range map[string][]netip.Prefix{"10.0.0.0/8 2001:db8::/32": nil, "10.2.0.0/16": nets("10.2.0.0/16"), "10.0.0.0/8": nets("10.0.0.0/8")} {
		k, err := b.svc.CreateKey(ctx, identity.NewKey{Name: "k", Scopes: write, Addresses: in})
		var got []string
		for _, p := range k.Addresses {
			got = append(got, p.String())
		}
		if err != nil || strings.Join(got, " ") != want {
			t.Errorf("%v: %v, %v", in, got, err)
		}
	}
	for _, in := range [][]netip.Prefix{nets("0.0.0.0/0"), nets("10.2.0.0/16", "11.0.0.0/8"), nets("::/0")} {
		if _, err := b.svc.CreateKey(ctx, identity.NewKey{Name: "k", Scopes: write, Addresses: in}); !problem.Is(err, problem.Forbidden) {
			t.Errorf("%v: %v", in, err)
		}
	}
	wide := nets("0.0.0.0/0")
	if _, err := b.svc.UpdateKey(ctx, bound.ID, identity.KeyChange{Addresses: &wide}); !problem.Is(err, problem.Forbidden) {
		t.Errorf("its own: %v", err)
	}
}
