package wire

import "github.com/berth-panel/berth/shared/ident"

// Logins are how an agent's SFTP door lets people in. Users log in as
// "username.instanceid". Who may is pushed to the agent, with the public keys, so
// that keys work while the controller is away. A password is the controller's to
// check: the agent asks on a WebSocket that the controller holds open.
//
//	PUT /v1/logins      Logins → LoginsHeld      all who may log in here, replacing what was there
//	GET /v1/logins/ask  → WebSocket of LoginQuestion, answered by LoginAnswer; a newer one takes over
//	GET /v1/sftp/session?instance=I&user=U&key=FINGERPRINT|password=STAMP&address=A
//	    → WebSocket of bytes: the SFTP protocol of somebody whom the controller's own
//	    SFTP door has let in. He must be among the Logins with that very key or stamp.
//
// A session ends with a push that has no place for it: its person or right is
// gone or refused, its key is, or its password is another.
const (
	LoginsMost   = 16 << 20 // bytes of a push
	LoginsAtOnce = 8        // questions that are open at a time
)

// Logins are all who may log in at a node, and what for. Revision rises; an older
// one is ignored.
type Logins struct {
	Revision int64         `json:"revision"`
	People   []LoginPerson `json:"people"`
	Rights   []LoginRight  `json:"rights"`
}

// LoginPerson is somebody who has a right to something here.
type LoginPerson struct {
	User     ident.User `json:"user"`
	Username string     `json:"username"`       // case doesn't matter in ASCII
	Password string     `json:"password"`       // a stamp that is another one after each change of his password; says nothing about it
	Keys     []string   `json:"keys,omitempty"` // public keys, as in authorized_keys, without comment
	// Everywhere gives him all instances of the node, suspended or not: an admin.
	Everywhere bool `json:"everywhere,omitempty"`
}

// LoginRight is one person's right to the files of one instance.
type LoginRight struct {
	User     ident.User     `json:"user"`
	Instance ident.Instance `json:"instance"`
	Write    bool           `json:"write,omitempty"`
	Refused  string         `json:"refused,omitempty"` // why he may not come in for now: a sentence for him
}

// LoginsHeld answers a push.
type LoginsHeld struct {
	Revision int64 `json:"revision"` // that the agent holds now; a higher one than the push's: it was ignored
}

// LoginQuestion asks whether a password is right.
type LoginQuestion struct {
	Ref      string         `json:"ref"`
	Username string         `json:"username"`
	Instance ident.Instance `json:"instance"`
	Password string         `json:"password"`
	Address  string         `json:"address"` // who asks, for the log
}

// LoginAnswer answers it.
type LoginAnswer struct {
	Ref      string     `json:"ref"`
	Allowed  bool       `json:"allowed"`
	User     ident.User `json:"user,omitempty"`
	Password string     `json:"password,omitempty"` // its stamp, as in LoginPerson
	Message  string     `json:"message,omitempty"`  // for who has shown that he knows the password, such as "the instance is suspended"
}
