package identity

import (
	"context"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/hex"
	"strings"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/berth-panel/berth/controller/access"
	"github.com/berth-panel/berth/controller/event"
	"github.com/berth-panel/berth/controller/store"
	"github.com/berth-panel/berth/shared/ident"
	"github.com/berth-panel/berth/shared/problem"
)

// The facts of SSH keys. Their subject is the key's id.
const (
	SSHKeyAdded   event.Type = "ssh_key.added"
	SSHKeyRemoved event.Type = "ssh_key.removed"
)

const (
	sshKeysEach = 50 // of one user
	maxSSHKey   = 16 << 10
	minRSA      = 2048
	maxRSA      = 8192 // what is longer costs whoever checks it too much
)

// SSHKey is a public key with which a user logs in over SFTP.
type SSHKey struct {
	ID          string
	User        ident.User
	Name        string
	PublicKey   string // as in authorized_keys, without comment
	Fingerprint string // "SHA256:…"
	Created     time.Time
}

// Person is a user as the doors for SSH know him: enabled, with his keys.
type Person struct {
	ID       ident.User
	Username string
	Admin    bool
	// Permissions are his role's, Shares what owners let him do with theirs.
	Permissions []access.Permission
	Shares      map[ident.Instance][]access.Right
	Password    string // a stamp that is another one after each change of his password, and says nothing about it; "" when it isn't enough to log in
	Keys        []string
}

// stamp makes of a password's hash, which has a salt, what may leave this room.
func stamp(hash string) string {
	sum := sha256.Sum256([]byte("berth password stamp\x00" + hash))
	return hex.EncodeToString(sum[:12])
}

// parseSSHKey reads one public key and refuses what is none, weak, or a secret.
func parseSSHKey(text string) (key ssh.PublicKey, comment string, err error) {
	text = strings.TrimSpace(text)
	const field = "public_key"
	switch {
	case len(text) > maxSSHKey:
		return nil, "", problem.Invalid(field, "at most %d bytes", maxSSHKey)
	case strings.Contains(text, "PRIVATE KEY") || strings.HasPrefix(text, "PuTTY-User-Key-File"):
		return nil, "", problem.Invalid(field, "this is a private key: it must never leave your machine, so make a new pair now, and give the public key (the file that ends in .pub)")
	case strings.HasPrefix(text, "----"):
		return nil, "", problem.Invalid(field, "this is a public key in another format: ssh-keygen -i -f FILE turns it into one line that begins with ssh-")
	}
	key, comment, options, rest, err := ssh.ParseAuthorizedKey([]byte(text))
	if err != nil {
		return nil, "", problem.Invalid(field, "this is no public key: give the one line of the file that ends in .pub, such as ssh-ed25519 AAAA… name")
	}
	if len(options) > 0 {
		return nil, "", problem.Invalid(field, "options before the key mean nothing here: leave them out")
	}
	if len(strings.TrimSpace(string(rest))) > 0 {
		return nil, "", problem.Invalid(field, "one key at a time")
	}
	return key, comment, checkSSHKey(key)
}

func checkSSHKey(key ssh.PublicKey) error {
	const field = "public_key"
	switch key.Type() {
	case ssh.KeyAlgoED25519, ssh.KeyAlgoSKED25519, ssh.KeyAlgoSKECDSA256, ssh.KeyAlgoECDSA256, ssh.KeyAlgoECDSA384, ssh.KeyAlgoECDSA521:
		return nil
	case ssh.KeyAlgoRSA:
		held, ok := key.(ssh.CryptoPublicKey)
		if !ok {
			return problem.Invalid(field, "the key can't be read")
		}
		if public, ok := held.CryptoPublicKey().(*rsa.PublicKey); !ok || public.N.BitLen() < minRSA || public.N.BitLen() > maxRSA {
			return problem.Invalid(field, "an RSA key has %d to %d bits: make another, best with ssh-keygen -t ed25519", minRSA, maxRSA)
		}
		return nil
	default:
		return problem.Invalid(field, "keys of the kind %s are not taken: make another with ssh-keygen -t ed25519", key.Type())
	}
}

// mayManage is nil when the caller may see to the user's SSH keys: they are his, or
// he may change users, and do all that this one may.
func (s *Service) mayManage(ctx context.Context, user ident.User) error {
	c := access.From(ctx)
	if c.User == user && c.Known() {
		return nil
	}
	if !c.Can(access.WriteUsers) {
		return problem.New(problem.NotFound, "there is no such user")
	}
	u, err := s.User(ctx, user)
	if err != nil {
		return err
	}
	return coversUser(ctx, s.db.Snapshot(), u)
}

// checkLasting is nil when the caller may give a key that opens everything from
// everywhere for good: not with an API key that itself doesn't.
func (s *Service) checkLasting(ctx context.Context) error {
	c := access.From(ctx)
	if c.Key == "" {
		return s.checkProof(ctx)
	}
	own, err := findKey(ctx, s.db.Snapshot(), c.Key)
	if err == nil && (own.Expires != nil || len(own.Addresses) > 0) {
		return problem.New(problem.Forbidden, "this API key expires, or may be used from some addresses only, and an SSH key would outlast it: add it in the panel")
	}
	return err
}

// AddSSHKey gives a user another key. A key that he has already is a Conflict.
// The name is the key's comment when there is none.
func (s *Service) AddSSHKey(ctx context.Context, user ident.User, name, public string) (SSHKey, error) {
	if err := s.mayManage(ctx, user); err != nil {
		return SSHKey{}, err
	}
	if err := s.checkLasting(ctx); err != nil {
		return SSHKey{}, err
	}
	key, comment, err := parseSSHKey(public)
	if err != nil {
		return SSHKey{}, err
	}
	if name = strings.TrimSpace(name); name == "" {
		name = comment
	}
	if err := checkKeyName(name); err != nil {
		return SSHKey{}, err
	}
	k := SSHKey{
		ID: ident.New(), User: user, Name: name, PublicKey: strings.TrimSpace(string(ssh.MarshalAuthorizedKey(key))),
		Fingerprint: ssh.FingerprintSHA256(key), Created: s.now().UTC().Truncate(time.Millisecond),
	}
	return k, s.db.Write(ctx, func(tx *store.Tx) error {
		if _, err := Lookup(ctx, tx, user); err != nil {
			return err
		}
		n, err := countSSHKeys(ctx, tx, user)
		if err != nil {
			return err
		}
		if n >= sshKeysEach {
			return problem.New(problem.Conflict, "a user has at most %d SSH keys: remove one first", sshKeysEach)
		}
		if err := insertSSHKey(ctx, tx, k); err != nil {
			return err
		}
		return s.append(ctx, tx, SSHKeyAdded, user, k.ID, map[string]any{"name": k.Name, "fingerprint": k.Fingerprint})
	})
}

// RemoveSSHKey takes a key from a user: what it opened is cut.
func (s *Service) RemoveSSHKey(ctx context.Context, user ident.User, id string) error {
	if err := s.mayManage(ctx, user); err != nil {
		return err
	}
	return s.db.Write(ctx, func(tx *store.Tx) error {
		k, err := findSSHKey(ctx, tx, user, id)
		if err != nil {
			return err
		}
		if err := deleteSSHKey(ctx, tx, id); err != nil {
			return err
		}
		return s.append(ctx, tx, SSHKeyRemoved, user, id, map[string]any{"name": k.Name, "fingerprint": k.Fingerprint})
	})
}

// SSHKeys gives a user's keys, oldest first.
func (s *Service) SSHKeys(ctx context.Context, user ident.User) (list []SSHKey, err error) {
	if err := s.mayManage(ctx, user); err != nil {
		return nil, err
	}
	err = s.db.Read(ctx, func(q store.Querier) error {
		if _, err := Lookup(ctx, q, user); err != nil {
			return err
		}
		list, err = listSSHKeys(ctx, q, user)
		return err
	})
	return list, err
}

// People gives every enabled user with his keys.
func (s *Service) People(ctx context.Context) (people []Person, err error) {
	err = s.db.Read(ctx, func(q store.Querier) error {
		if people, err = listPeople(ctx, q, ""); err != nil {
			return err
		}
		keys, err := listSSHKeys(ctx, q, "")
		if err != nil {
			return err
		}
		of := map[ident.User][]string{}
		for _, k := range keys {
			of[k.User] = append(of[k.User], k.PublicKey)
		}
		shares, err := s.sharedWith(ctx, q, "")
		if err != nil {
			return err
		}
		second, err := s.secondFactors(ctx, q, "")
		for n := range people {
			people[n].Keys, people[n].Shares = of[people[n].ID], shares[people[n].ID]
			if second[people[n].ID] {
				people[n].Password = "" // opens nothing by itself
			}
		}
		return err
	})
	return people, err
}

// KeyHolder gives the enabled user of that name who has the key with that
// fingerprint; without his keys. NotFound when there is none.
func (s *Service) KeyHolder(ctx context.Context, username, fingerprint string) (Person, error) {
	var holder Person
	err := s.db.Read(ctx, func(q store.Querier) (err error) {
		if holder, err = findHolder(ctx, q, username, fingerprint); err != nil {
			return err
		}
		return s.shareOut(ctx, q, &holder)
	})
	return holder, err
}

// LoginPerson is Login for the doors for SSH, where a password alone is enough only
// for those without a second factor; Forbidden, with a sentence for him, for whoever
// has one. The stamp is that of the password that was checked.
func (s *Service) LoginPerson(ctx context.Context, name, password string) (Person, error) {
	u, hash, err := s.login(ctx, name, password)
	if err != nil {
		return Person{}, err
	}
	enough, err := s.MayUsePassword(ctx, u.ID)
	if err != nil {
		return Person{}, err
	}
	if !enough {
		return Person{}, problem.New(problem.Forbidden, "Whoever has a second factor needs a key here: add one in the panel.")
	}
	var p Person
	err = s.db.Read(ctx, func(q store.Querier) error {
		list, err := listPeople(ctx, q, u.ID)
		if err != nil {
			return err
		}
		if len(list) == 0 {
			return problem.New(problem.Unauthorized, "the name or the password is wrong")
		}
		p = list[0]
		return s.shareOut(ctx, q, &p)
	})
	p.Password = stamp(hash)
	return p, err
}

// shareOut completes a person with what others let him do.
func (s *Service) shareOut(ctx context.Context, q store.Querier, p *Person) error {
	shares, err := s.sharedWith(ctx, q, p.ID)
	p.Shares = shares[p.ID]
	return err
}
