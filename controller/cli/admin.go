package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"
)

type userCommands struct {
	List     userList     `cmd:"" help:"List users."`
	Create   userCreate   `cmd:"" help:"Make a user."`
	Password userPassword `cmd:"" help:"Set a user's password."`

	ResetSecondFactor userResetFactor `cmd:"" help:"Take the authenticator app, passkeys and recovery codes from a user who lost them."`

	Delete userDelete `cmd:"" help:"Delete a user."`
}

type userList struct{ local }

func (u userList) Run(ctx context.Context, out *output) error {
	data, err := u.list(ctx, "/api/v1/users")
	if err != nil {
		return err
	}
	return u.show(out, data, "id", "username", "email", "admin", "disabled")
}

// secretInput reads a password from standard input, so that it is in no list of
// processes and no shell history.
type secretInput struct {
	Password string `help:"The password; '-' reads it from standard input." default:"-"`
}

func (s secretInput) read() (string, error) {
	if s.Password != "-" {
		return s.Password, nil
	}
	text, err := io.ReadAll(io.LimitReader(os.Stdin, 4096))
	return strings.TrimRight(string(text), "\r\n"), err
}

type userCreate struct {
	local
	secretInput
	Username string `required:"" help:"What the user logs in with."`
	Email    string `required:"" help:"The user's address."`
	Admin    bool   `help:"Make the user an admin."`
}

func (u userCreate) Run(ctx context.Context, out *output) error {
	password, err := u.read()
	if err != nil {
		return err
	}
	data, err := u.call(ctx, http.MethodPost, "/api/v1/users", map[string]any{"username": u.Username, "email": u.Email, "password": password, "admin": u.Admin})
	if err != nil {
		return err
	}
	return u.show(out, data, "id", "username", "email", "admin")
}

// findUser gives a user's id by id, username or email.
func (l local) findUser(ctx context.Context, who string) (string, error) {
	data, err := l.list(ctx, "/api/v1/users")
	if err != nil {
		return "", err
	}
	var users []struct{ ID, Username, Email string }
	if err := json.Unmarshal(data, &users); err != nil {
		return "", err
	}
	for _, u := range users {
		if u.ID == who || strings.EqualFold(u.Username, who) || strings.EqualFold(u.Email, who) {
			return u.ID, nil
		}
	}
	return "", fmt.Errorf("there is no user %q", who)
}

type userPassword struct {
	local
	secretInput
	User string `arg:"" help:"Id, username or email."`
}

func (u userPassword) Run(ctx context.Context, out *output) error {
	id, err := u.findUser(ctx, u.User)
	if err != nil {
		return err
	}
	password, err := u.read()
	if err != nil {
		return err
	}
	data, err := u.call(ctx, http.MethodPatch, "/api/v1/users/"+url.PathEscape(id), map[string]any{"password": password, "disabled": false})
	if err != nil {
		return err
	}
	return u.said(out, data, "The password of %s is set.", u.User)
}

type userResetFactor struct {
	local
	User string `arg:"" help:"Id, username or email."`
}

func (u userResetFactor) Run(ctx context.Context, out *output) error {
	id, err := u.findUser(ctx, u.User)
	if err != nil {
		return err
	}
	data, err := u.call(ctx, http.MethodDelete, "/api/v1/users/"+url.PathEscape(id)+"/second-factor", nil)
	if err != nil {
		return err
	}
	return u.said(out, data, "%s logs in with the password alone from now on.", u.User)
}

type userDelete struct {
	local
	User string `arg:"" help:"Id, username or email."`
}

func (u userDelete) Run(ctx context.Context, out *output) error {
	id, err := u.findUser(ctx, u.User)
	if err != nil {
		return err
	}
	data, err := u.call(ctx, http.MethodDelete, "/api/v1/users/"+url.PathEscape(id), nil)
	if err != nil {
		return err
	}
	return u.said(out, data, "%s is deleted.", u.User)
}

type keyCommands struct {
	List   keyList   `cmd:"" help:"List API keys."`
	Create keyCreate `cmd:"" help:"Make an API key and print it once."`
	Revoke keyRevoke `cmd:"" help:"Revoke an API key at once."`
}

type keyList struct{ local }

func (k keyList) Run(ctx context.Context, out *output) error {
	data, err := k.list(ctx, "/api/v1/keys")
	if err != nil {
		return err
	}
	return k.show(out, data, "id", "name", "user_id", "hint", "scopes", "dialect", "addresses", "expires_at")
}

type keyCreate struct {
	local
	User    string   `default:"admin" help:"Whose key: id, username or email."`
	Name    string   `default:"by hand" help:"What it is for."`
	Scopes  []string `default:"admin" help:"read, write, admin."`
	Address []string `help:"From where alone it may be used: addresses and networks (192.0.2.7, 2001:db8::/32)."`
	Dialect string   `default:"documented" enum:"documented,v0.3" help:"How the classic API answers to it."`
}

func (k keyCreate) Run(ctx context.Context, out *output) error {
	user, err := k.findUser(ctx, k.User)
	if err != nil {
		return err
	}
	data, err := k.call(ctx, http.MethodPost, "/api/v1/keys", map[string]any{"user_id": user, "name": k.Name, "scopes": k.Scopes, "dialect": k.Dialect, "addresses": k.Address})
	if err != nil {
		return err
	}
	var made struct{ ID, Key string }
	if err := json.Unmarshal(data, &made); err != nil {
		return err
	}
	return k.said(out, data, "%s", made.Key)
}

type keyRevoke struct {
	local
	ID string `arg:"" help:"The key's id, as list shows it."`
}

func (k keyRevoke) Run(ctx context.Context, out *output) error {
	data, err := k.call(ctx, http.MethodDelete, "/api/v1/keys/"+url.PathEscape(k.ID), nil)
	if err != nil {
		return err
	}
	return k.said(out, data, "The key is revoked.")
}

type nodeCommands struct {
	List   nodeList   `cmd:"" help:"List nodes."`
	Create nodeCreate `cmd:"" help:"Make a node and print the command that enrols its agent."`
	Key    nodeKey    `cmd:"" help:"Make a new enrolment key of a node."`
	Revoke nodeRevoke `cmd:"" help:"Shut a node's agent out."`
	Update nodeUpdate `cmd:"" help:"Bring the agents of nodes to this controller's release."`
	Delete nodeDelete `cmd:"" help:"Delete a node without instances."`

	Maintenance nodeMaintenance `cmd:"" help:"Take a node out of placement, or back in."`
	Drain       nodeDrain       `cmd:"" help:"Take a node into maintenance and move every instance off it."`

	Join nodeJoin `cmd:"" help:"Make a reusable key with which agents register nodes by themselves."`
}

type nodeList struct{ local }

func (n nodeList) Run(ctx context.Context, out *output) error {
	data, err := n.list(ctx, "/api/v1/nodes")
	if err != nil {
		return err
	}
	return n.show(out, data, "id", "name", "state", "last_seen_at", "maintenance", "address", "port", "instances", "memory_free", "disk_free", "reason")
}

type nodeCreate struct {
	local
	Name        string   `required:"" help:"Of the node."`
	Address     string   `required:"" help:"Where the controller reaches the agent; of a machine behind NAT, what players are told."`
	Port        int      `default:"8443" help:"The agent's port."`
	Memory      int64    `required:"" help:"MiB that instances may have in all."`
	Disk        int64    `required:"" help:"MiB that instances may have in all."`
	Tags        []string `help:"For placement and people."`
	PublicHost  string   `help:"What players are told; the address when absent."`
	BindAddress string   `default:"0.0.0.0" help:"Where instances' ports are bound."`
}

func (n nodeCreate) Run(ctx context.Context, out *output) error {
	body := map[string]any{"name": n.Name, "address": n.Address, "port": n.Port, "memory": n.Memory, "disk": n.Disk, "bind_address": n.BindAddress}
	if len(n.Tags) > 0 {
		body["tags"] = n.Tags
	}
	if n.PublicHost != "" {
		body["public_host"] = n.PublicHost
	}
	data, err := n.call(ctx, http.MethodPost, "/api/v1/nodes", body)
	if err != nil {
		return err
	}
	return n.enrolment(out, data)
}

// enrolment is what an answer says of a new enrolment key.
type enrolment struct {
	Command   string
	ExpiresAt time.Time `json:"expires_at"`
}

// enrolment prints the command that an answer with a new enrolment key holds.
func (l local) enrolment(out *output, data json.RawMessage) error {
	var made struct {
		enrolment
		Enrolment enrolment
	}
	if err := json.Unmarshal(data, &made); err != nil {
		return err
	}
	if made.Enrolment.Command != "" {
		made.enrolment = made.Enrolment
	}
	return l.said(out, data, "On the machine that becomes the node, before %s:\n\n%s\n", made.ExpiresAt.UTC().Format("2006-01-02 15:04 MST"), made.Command)
}

// findNode gives a node's id by id or name.
func (l local) findNode(ctx context.Context, which string) (string, error) {
	data, err := l.list(ctx, "/api/v1/nodes")
	if err != nil {
		return "", err
	}
	var nodes []struct{ ID, Name string }
	if err := json.Unmarshal(data, &nodes); err != nil {
		return "", err
	}
	for _, n := range nodes {
		if n.ID == which || strings.EqualFold(n.Name, which) {
			return n.ID, nil
		}
	}
	return "", fmt.Errorf("there is no node %q", which)
}

type oneNode struct {
	local
	Node string `arg:"" help:"Id or name."`
}

func (n oneNode) ask(ctx context.Context, method, suffix string) (json.RawMessage, error) {
	return n.askWith(ctx, method, suffix, nil)
}

func (n oneNode) askWith(ctx context.Context, method, suffix string, body any) (json.RawMessage, error) {
	id, err := n.findNode(ctx, n.Node)
	if err != nil {
		return nil, err
	}
	return n.call(ctx, method, "/api/v1/nodes/"+url.PathEscape(id)+suffix, body)
}

type nodeMaintenance struct {
	oneNode
	State string `arg:"" enum:"on,off" help:"on: it takes no new instances; off: it does again."`
}

func (n nodeMaintenance) Run(ctx context.Context, out *output) error {
	data, err := n.askWith(ctx, http.MethodPost, "/maintenance", map[string]bool{"on": n.State == "on"})
	if err != nil {
		return err
	}
	if n.State == "on" {
		return n.said(out, data, "%s takes no new instances; those that are there go on.", n.Node)
	}
	return n.said(out, data, "%s takes new instances again.", n.Node)
}

type nodeKey struct{ oneNode }

func (n nodeKey) Run(ctx context.Context, out *output) error {
	data, err := n.ask(ctx, http.MethodPost, "/enrolment-key")
	if err != nil {
		return err
	}
	return n.enrolment(out, data)
}

type nodeRevoke struct{ oneNode }

func (n nodeRevoke) Run(ctx context.Context, out *output) error {
	data, err := n.ask(ctx, http.MethodPost, "/revoke")
	if err != nil {
		return err
	}
	return n.said(out, data, "The agent of %s is shut out.", n.Node)
}

type nodeDelete struct{ oneNode }

func (n nodeDelete) Run(ctx context.Context, out *output) error {
	data, err := n.ask(ctx, http.MethodDelete, "")
	if err != nil {
		return err
	}
	return n.said(out, data, "%s is deleted.", n.Node)
}

type nodeJoin struct {
	local
	Name  string   `default:"by hand" help:"What the key is for."`
	Uses  int      `default:"1" help:"How many nodes may register with it."`
	Hours int      `default:"24" help:"How long it works."`
	Tags  []string `help:"Of the nodes it makes."`
}

func (n nodeJoin) Run(ctx context.Context, out *output) error {
	body := map[string]any{"name": n.Name, "uses": n.Uses, "hours": n.Hours}
	if len(n.Tags) > 0 {
		body["tags"] = n.Tags
	}
	data, err := n.call(ctx, http.MethodPost, "/api/v1/join-keys", body)
	if err != nil {
		return err
	}
	return n.enrolment(out, data)
}
