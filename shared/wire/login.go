package wire

import "github.com/berth-panel/berth/shared/ident"

// Logins are how an agent's SFTP door lets people in. Users log in as
// "username.instanceid". A password is the controller's to check: the agent hands
// it on over its event stream's sibling, a WebSocket that the controller holds
// open. Public keys are pushed to the agent, so that they work while the
// controller is away.
//
//	PUT /v1/logins   Logins → 204                   all who may log in here by key, replacing what was there
//	GET /v1/logins/ask  → WebSocket of LoginQuestion, answered by LoginAnswer
//	GET /v1/sftp/session?…  see agent/sftp: a session that the controller's own SFTP door carries here

// Logins are all who may log in at a node, and what for. Revision rises; an older
// one is ignored.
type Logins struct {
	Revision int64   `json:"revision"`
	Logins   []Login `json:"logins"`
}

// Login is one person's right to the files of one instance.
type Login struct {
	User     ident.User     `json:"user"`
	Username string         `json:"username"`
	Instance ident.Instance `json:"instance"`
	Keys     []string       `json:"keys"` // public keys, as in authorized_keys, without comment
	Write    bool           `json:"write"`
}

// LoginQuestion asks whether a password is right.
type LoginQuestion struct {
	Ref      string         `json:"ref"`
	Username string         `json:"username"`
	Instance ident.Instance `json:"instance"`
	Password string         `json:"password"`
	Address  string         `json:"address"` // who asks, for the throttle and the log
}

// LoginAnswer answers it.
type LoginAnswer struct {
	Ref     string     `json:"ref"`
	Allowed bool       `json:"allowed"`
	User    ident.User `json:"user,omitempty"`
	Write   bool       `json:"write,omitempty"`
	Message string     `json:"message,omitempty"` // for the person, such as "you have a second factor: use a key"
}
