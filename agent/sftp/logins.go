package sftp

import (
	"strings"
	"sync"

	"golang.org/x/crypto/ssh"

	"github.com/berth-panel/berth/shared/ident"
	"github.com/berth-panel/berth/shared/problem"
	"github.com/berth-panel/berth/shared/wire"
)

// guest is somebody who was let in, and by what.
type guest struct {
	user     ident.User
	instance ident.Instance
	address  string
	key      string // fingerprint; "" by password
	stamp    string // of the password
}

var (
	errGone = problem.New(problem.Forbidden, "you may not use SFTP with this instance any more")
	errKey  = problem.New(problem.Forbidden, "the key that you came in with is no longer yours: log in again")
	errWord = problem.New(problem.Forbidden, "your password was changed: log in again")
)

// logins are who may log in. Safe for concurrent use.
type logins struct {
	mu       sync.Mutex
	revision int64
	names    map[string]*person // by folded name
	people   map[ident.User]*person
	rights   map[right]wire.LoginRight
	changed  chan struct{} // closed by the next change
}

type person struct {
	wire.LoginPerson
	keys map[string]bool // by fingerprint
}

type right struct {
	user     ident.User
	instance ident.Instance
}

func newLogins() *logins { return &logins{changed: make(chan struct{})} }

// put takes over who may log in, and gives the revision that is held then. One
// that is older than what is held changes nothing.
func (l *logins) put(all wire.Logins) (held int64, taken bool) {
	names, people, rights := map[string]*person{}, map[ident.User]*person{}, map[right]wire.LoginRight{}
	for _, p := range all.People {
		known := &person{LoginPerson: p, keys: map[string]bool{}}
		for _, text := range p.Keys {
			if key, _, _, _, err := ssh.ParseAuthorizedKey([]byte(text)); err == nil {
				known.keys[ssh.FingerprintSHA256(key)] = true
			}
		}
		known.Keys = nil
		names[fold(p.Username)], people[p.User] = known, known
	}
	for _, r := range all.Rights {
		rights[right{r.User, r.Instance}] = r
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if all.Revision < l.revision {
		return l.revision, false
	}
	l.revision, l.names, l.people, l.rights = all.Revision, names, people, rights
	close(l.changed)
	l.changed = make(chan struct{})
	return l.revision, true
}

// fold makes names equal that differ in ASCII case only.
func fold(name string) string {
	return strings.Map(func(r rune) rune {
		if r >= 'A' && r <= 'Z' {
			return r + 'a' - 'A'
		}
		return r
	}, name)
}

// byKey says who of that name has the key and some right to the instance, be it
// one that is refused for now.
func (l *logins) byKey(name string, id ident.Instance, fingerprint string) (ident.User, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	p := l.names[fold(name)]
	if p == nil || !p.keys[fingerprint] {
		return "", false
	}
	_, has := l.rights[right{p.User, id}]
	return p.User, has || p.Everywhere
}

// check says whether the guest may be here, and whether he may write. changed is
// closed when the answer may be another.
func (l *logins) check(g guest) (write bool, changed <-chan struct{}, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	p := l.people[g.user]
	switch {
	case p == nil:
		return false, l.changed, errGone
	case g.key != "" && !p.keys[g.key]:
		return false, l.changed, errKey
	case g.key == "" && (g.stamp == "" || p.Password != g.stamp):
		return false, l.changed, errWord
	case p.Everywhere:
		return true, l.changed, nil
	}
	r, has := l.rights[right{g.user, g.instance}]
	switch {
	case !has:
		return false, l.changed, errGone
	case r.Refused != "":
		return false, l.changed, problem.New(problem.Conflict, "%s", r.Refused)
	}
	return r.Write, l.changed, nil
}
