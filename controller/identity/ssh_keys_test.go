package identity_test

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"encoding/pem"
	"net/http"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/berth-panel/berth/controller/access"
	"github.com/berth-panel/berth/controller/identity"
	"github.com/berth-panel/berth/shared/problem"
)

// publicKey is a new key as a file that ends in .pub holds it.
func publicKey(t *testing.T, of any, comment string) string {
	t.Helper()
	key, err := ssh.NewPublicKey(of)
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(ssh.MarshalAuthorizedKey(key))) + " " + comment
}

func ed25519Key(t *testing.T, comment string) string {
	t.Helper()
	public, _, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return publicKey(t, public, comment)
}

func TestSSHKeysOverHTTP(t *testing.T) {
	t.Parallel()
	b := setup(t).serve()
	anna, annas := b.user("anna", false, access.ScopeWrite)
	_, reads := b.user("reader", false, access.ScopeRead)
	_, bobs := b.user("bob", false, access.ScopeWrite)
	path := "/api/v1/users/" + string(anna) + "/ssh-keys"
	body := func(name, key string) string {
		text, _ := json.Marshal(map[string]string{"name": name, "public_key": key})
		return string(text)
	}
	mine := ed25519Key(t, "anna@laptop")
	for what, c := range map[string]struct {
		key, method, path, body string
		status                  int
	}{
		"nobody":             {"", http.MethodPost, path, body("x", mine), 401},
		"somebody else":      {bobs, http.MethodPost, path, body("x", mine), 404},
		"somebody else asks": {bobs, http.MethodGet, path, "", 404},
		"a key that reads":   {reads, http.MethodPost, path, body("x", mine), 403},
		"no user":            {adminKey, http.MethodPost, "/api/v1/users/nobody/ssh-keys", body("x", mine), 404},
		"no key":             {annas, http.MethodPost, path, body("x", ""), 422},
		"no such key":        {annas, http.MethodDelete, path + "/nothing", "", 404},
	} {
		before := b.happened()
		if got := b.do(c.key, c.method, c.path, c.body); got.status != c.status {
			t.Errorf("%s: %d", what, got.status)
		}
		if after := b.happened(); after != before {
			t.Errorf("%s: it happened %s, and before %s", what, after, before)
		}
	}
	if got := b.do(annas, http.MethodPost, path, body("", mine)); got.status != http.StatusCreated {
		t.Fatalf("her own: %d", got.status)
	}
	if got := b.do(annas, http.MethodPost, path, body("again", mine)); got.status != http.StatusConflict {
		t.Errorf("twice: %d", got.status)
	}
	b.clock.add(time.Second) // lists are in the order of time
	if got := b.do(adminKey, http.MethodPost, path, body("from the admin", ed25519Key(t, ""))); got.status != http.StatusCreated {
		t.Errorf("an admin for her: %d", got.status)
	}
	keys, err := b.svc.SSHKeys(b.local(), anna)
	if err != nil || len(keys) != 2 || keys[0].Name != "anna@laptop" || !strings.HasPrefix(keys[0].Fingerprint, "SHA256:") || strings.Contains(keys[0].PublicKey, "laptop") {
		t.Fatalf("%+v, %v", keys, err)
	}
	if got := b.do(bobs, http.MethodDelete, "/api/v1/users/bob/ssh-keys/"+keys[0].ID, ""); got.status != http.StatusNotFound {
		t.Errorf("through another user: %d", got.status)
	}
	if got := b.do(annas, http.MethodDelete, path+"/"+keys[0].ID, ""); got.status != http.StatusOK {
		t.Errorf("taken back: %d", got.status)
	}
	if keys, err = b.svc.SSHKeys(b.local(), anna); err != nil || len(keys) != 1 {
		t.Errorf("%+v, %v", keys, err)
	}
}

func TestWhatIsNoSSHKey(t *testing.T) {
	t.Parallel()
	b := setup(t)
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	block, err := ssh.MarshalPrivateKey(private, "")
	if err != nil {
		t.Fatal(err)
	}
	small, err := rsa.GenerateKey(rand.Reader, 1024) //nolint:gosec // it is to be refused
	if err != nil {
		t.Fatal(err)
	}
	good, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	curve, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	one := ed25519Key(t, "one")
	const dsa = "ssh-dss AAAAB3NzaC1kc3MAAACBAP0EsZX19i6Rp1vQHvJEYiXbBLCzpTnOPl9NoVTbqp0VHoNWQGgtqAXTtMhoWzVQN1N3BkGNSEj0kVtBHbCg"
	for what, c := range map[string]struct{ key, says string }{
		"a private key":      {string(pem.EncodeToMemory(block)), "private key"},
		"PuTTY's":            {"PuTTY-User-Key-File-3: ssh-ed25519\n", "private key"},
		"another format":     {"---- BEGIN SSH2 PUBLIC KEY ----\nAAAA\n---- END SSH2 PUBLIC KEY ----", "ssh-keygen -i"},
		"a small RSA key":    {publicKey(t, &small.PublicKey, "x"), "2048"},
		"a DSA key":          {dsa, "public_key"},
		"two":                {one + "\n" + ed25519Key(t, "two"), "one key at a time"},
		"options":            {`command="id" ` + one, "options"},
		"text":               {"hello", "no public key"},
		"a long one":         {strings.Repeat("x", 20_000), "at most"},
		"nothing":            {" ", "no public key"},
		"a name of nothing":  {strings.Join(strings.Fields(one)[:2], " "), "name"},
		"half a key":         {one[:40], "no public key"},
		"an unprintable one": {"ssh-ed25519 \x00\x01", "no public key"},
	} {
		_, err := b.svc.AddSSHKey(b.local(), b.admin, "", c.key)
		if !problem.Is(err, problem.Validation) || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v", what, err)
		}
		if strings.Contains(string(c.key), "PRIVATE") && strings.Contains(err.Error(), strings.Split(c.key, "\n")[1]) {
			t.Errorf("%s is in the answer", what)
		}
	}
	for what, key := range map[string]string{"ed25519": one, "RSA": publicKey(t, &good.PublicKey, "rsa"), "ECDSA": publicKey(t, &curve.PublicKey, "ec")} {
		if _, err := b.svc.AddSSHKey(b.local(), b.admin, "", key+"\n"); err != nil {
			t.Errorf("%s: %v", what, err)
		}
	}
	for n := 3; ; n++ {
		if _, err := b.svc.AddSSHKey(b.local(), b.admin, "more", ed25519Key(t, "")); err != nil {
			if n != 50 || !problem.Is(err, problem.Conflict) {
				t.Errorf("key %d: %v", n, err)
			}
			break
		}
	}
}

func TestWhoTheDoorsKnow(t *testing.T) {
	t.Parallel()
	b := setup(t)
	anna, _ := b.user("anna", false, access.ScopeWrite)
	key := ed25519Key(t, "laptop")
	k, err := b.svc.AddSSHKey(b.local(), anna, "", key)
	if err != nil {
		t.Fatal(err)
	}
	find := func() (found identity.Person) {
		t.Helper()
		people, err := b.svc.People(b.ctx())
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range people {
			if p.ID == anna {
				found = p
			}
		}
		return found
	}
	before := find()
	if before.Username != "anna" || before.Admin || len(before.Keys) != 1 || before.Keys[0] != k.PublicKey || before.Password == "" {
		t.Fatalf("%+v", before)
	}
	if p, err := b.svc.KeyHolder(b.ctx(), "ANNA", k.Fingerprint); err != nil || p.ID != anna {
		t.Errorf("who has the key: %+v, %v", p, err)
	}
	if _, err := b.svc.KeyHolder(b.ctx(), "admin", k.Fingerprint); !problem.Is(err, problem.NotFound) {
		t.Errorf("another name: %v", err)
	}
	word := "another password"
	if _, err := b.svc.UpdateUser(b.local(), anna, identity.UserChange{Password: &word}); err != nil {
		t.Fatal(err)
	}
	p, err := b.svc.LoginPerson(b.ctx(), "anna", word)
	if err != nil || p.Password == before.Password || p.Password != find().Password {
		t.Errorf("the stamp is %q, was %q: %v", p.Password, before.Password, err)
	}
	if _, err := b.svc.LoginPerson(b.ctx(), "anna", "wrong"); !problem.Is(err, problem.Unauthorized) {
		t.Errorf("a wrong password: %v", err)
	}
	off := true
	if _, err := b.svc.UpdateUser(b.local(), anna, identity.UserChange{Disabled: &off}); err != nil {
		t.Fatal(err)
	}
	if found := find(); found.ID != "" {
		t.Errorf("a disabled user is known: %+v", found)
	}
	if _, err := b.svc.KeyHolder(b.ctx(), "anna", k.Fingerprint); !problem.Is(err, problem.NotFound) {
		t.Errorf("a disabled user's key: %v", err)
	}
	if err := b.svc.DeleteUser(b.local(), anna, identity.Refuse, ""); err != nil {
		t.Fatal(err)
	}
	if _, err := b.svc.SSHKeys(b.local(), anna); !problem.Is(err, problem.NotFound) {
		t.Errorf("a deleted user's keys: %v", err)
	}
}
