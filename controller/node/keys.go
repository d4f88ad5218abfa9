package node

import (
	"context"
	"crypto/rand"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/berth-panel/berth/controller/access"
	"github.com/berth-panel/berth/controller/event"
	"github.com/berth-panel/berth/controller/httpapi"
	"github.com/berth-panel/berth/controller/store"
	"github.com/berth-panel/berth/shared/ident"
	"github.com/berth-panel/berth/shared/problem"
	"github.com/berth-panel/berth/shared/wire"
)

// How long keys work, and how often.
const (
	nodeKeyLife   = time.Hour
	maxKeyUses    = 1000
	maxKeyLife    = 720 * time.Hour
	joinKeyLife   = 24 * time.Hour
	keptOutdated  = 7 * 24 * time.Hour // so long an outdated key is told as such
	agentData     = "/var/lib/berth-agent"
	agentPort     = 8443 // the agent's own default, for nodes that join by themselves
	secretPurpose = "enrolment key "
)

// Enrolment is a new key, in the clear this once.
type Enrolment struct {
	KeyID        string
	Key          string    // text of a wire.EnrolmentKey
	Command      string    // the line that makes a machine the node; without the agents' programs it is EnrolCommand
	EnrolCommand string    // the same for a machine that has the agent already
	ExpiresAt    time.Time // the key works until then
}

// Join asks for a join key.
type Join struct {
	Name string        // what for; may be empty
	Tags []string      // of the nodes that it makes
	Uses int           // 1 to 1000; 0 is 1
	Life time.Duration // up to 720 hours; 0 is 24 hours
}

func (j Join) clean() (Join, error) {
	if j.Uses == 0 {
		j.Uses = 1
	}
	if j.Life == 0 {
		j.Life = joinKeyLife
	}
	if j.Tags == nil {
		j.Tags = []string{}
	}
	switch {
	case utf8.RuneCountInString(j.Name) > maxName || !printable(j.Name):
		return j, problem.Invalid("name", "at most %d characters, none of them a control character", maxName)
	case j.Uses < 1 || j.Uses > maxKeyUses:
		return j, problem.Invalid("uses", "1 to %d", maxKeyUses)
	case j.Life < time.Hour || j.Life > maxKeyLife:
		return j, problem.Invalid("hours", "1 to %d", maxKeyLife/time.Hour)
	}
	return j, checkTags(j.Tags)
}

// NewKey makes a new enrolment key of a node; those before it are void. Its use
// voids the certificate that the node has.
func (s *Service) NewKey(ctx context.Context, c access.Caller, id ident.Node) (e Enrolment, err error) {
	err = s.DB.Write(ctx, func(tx *store.Tx) error {
		n, err := byID(ctx, tx, id)
		if err != nil {
			return err
		}
		if e, err = s.newNodeKey(ctx, tx, n); err != nil {
			return err
		}
		if err := s.tell(ctx, tx, c.Actor, "node.key_made", n, nil); err != nil {
			return err
		}
		return httpapi.Keep(ctx, tx, e.View())
	})
	return e, err
}

func (s *Service) newNodeKey(ctx context.Context, tx *store.Tx, n Node) (Enrolment, error) {
	if err := dropKeysOf(ctx, tx, n.ID); err != nil {
		return Enrolment{}, err
	}
	return s.newKey(ctx, tx, Key{Node: n.ID, UsesLeft: 1, Tags: []string{}}, nodeKeyLife, reach{port: n.Port, tunnel: n.Connection == Tunnel, again: n.EnrolledAt != nil})
}

// newKey draws a key, keeps it sealed, and gives it in the clear.
func (s *Service) newKey(ctx context.Context, tx *store.Tx, k Key, life time.Duration, r reach) (Enrolment, error) {
	k.ID, k.CreatedAt = ident.New(), s.moment()
	k.ExpiresAt = k.CreatedAt.Add(life)
	open := wire.EnrolmentKey{ID: k.ID, Secret: make([]byte, 32), Fingerprint: s.Authority.Fingerprint()}
	_, _ = rand.Read(open.Secret) // never fails
	k.Sealed = s.Secrets.Seal(secretPurpose+k.ID, open.Secret)
	if err := forgetKeys(ctx, tx, k.CreatedAt.Add(-keptOutdated)); err != nil {
		return Enrolment{}, err
	}
	if err := addKey(ctx, tx, k); err != nil {
		return Enrolment{}, err
	}
	e := Enrolment{KeyID: k.ID, Key: open.String(), EnrolCommand: s.enrolCommand(open.String(), r), ExpiresAt: k.ExpiresAt}
	e.Command = s.installCommand(e.Key, r)
	if e.Command == "" {
		e.Command = e.EnrolCommand
	}
	return e, nil
}

// reach is which side opens the connection with a new agent, and where.
type reach struct {
	port   int
	tunnel bool
	again  bool // the machine may be enrolled from before
}

// flags are those of the agent that say so; the usual port needs none.
func (r reach) flags() []string {
	switch {
	case r.tunnel:
		return []string{"--tunnel"}
	case r.port != agentPort:
		return []string{"--listen", ":" + strconv.Itoa(r.port)}
	default:
		return nil
	}
}

// installCommand is the line that makes a machine the node, "" when this
// controller can't give one.
func (s *Service) installCommand(key string, r reach) string {
	if s.Install == nil || s.PublicURL == "" {
		return ""
	}
	line, err := s.Install(s.PublicURL, append([]string{"--key", key}, r.flags()...)...)
	if err != nil {
		s.Log.Warn("the line that installs an agent can't be made; the command for a machine that has the agent is shown instead", "error", err)
		return ""
	}
	return line
}

// enrolCommand is for a machine that has the agent's program already.
func (s *Service) enrolCommand(key string, r reach) string {
	command := "berth-agent enrol --controller " + ShellWord(s.PublicURL) + " --key " + key + " --data " + agentData
	if r.again { // the script of the other line sees by itself that it is needed
		command += " --force"
	}
	command += " && berth-agent serve --data " + agentData
	for _, flag := range r.flags() {
		command += " " + flag
	}
	return command
}

// ShellWord makes the text one word of a shell's line.
func ShellWord(text string) string {
	if harmless(text) {
		return text
	}
	return "'" + strings.ReplaceAll(text, "'", `'\''`) + "'"
}

func harmless(text string) bool {
	return text != "" && !strings.ContainsFunc(text, func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && !strings.ContainsRune(":/.-_,", r)
	})
}

// NewJoinKey makes a key with which agents register nodes by themselves.
func (s *Service) NewJoinKey(ctx context.Context, c access.Caller, j Join) (e Enrolment, err error) {
	if j, err = j.clean(); err != nil {
		return e, err
	}
	err = s.DB.Write(ctx, func(tx *store.Tx) error {
		if e, err = s.newKey(ctx, tx, Key{Name: j.Name, Tags: j.Tags, UsesLeft: j.Uses}, j.Life, reach{port: agentPort}); err != nil {
			return err
		}
		if err := s.tellKey(ctx, tx, c.Actor, "join_key.created", e.KeyID, map[string]any{"name": j.Name, "uses": j.Uses}); err != nil {
			return err
		}
		return httpapi.Keep(ctx, tx, e.View())
	})
	return e, err
}

// JoinKeys gives a page of the join keys, the newest first, and how many there
// are in all. Those that ran out or were used up are among them for a week.
func (s *Service) JoinKeys(ctx context.Context, limit, offset int) (keys []Key, total int, err error) {
	err = s.DB.Read(ctx, func(q store.Querier) error {
		keys, total, err = joinKeys(ctx, q, limit, offset)
		return err
	})
	return keys, total, err
}

// DeleteJoinKey voids a join key. The nodes that it made stay.
func (s *Service) DeleteJoinKey(ctx context.Context, c access.Caller, id string) error {
	return s.DB.Write(ctx, func(tx *store.Tx) error {
		there, err := dropJoinKey(ctx, tx, id)
		if err != nil {
			return err
		}
		if !there {
			return problem.New(problem.NotFound, "there is no such join key")
		}
		return s.tellKey(ctx, tx, c.Actor, "join_key.deleted", id, nil)
	})
}

func (s *Service) tellKey(ctx context.Context, tx *store.Tx, by access.Actor, t event.Type, id string, data map[string]any) error {
	return s.Deps.Events.Append(ctx, tx, event.Event{Type: t, Subject: id, Actor: by}, data)
}
