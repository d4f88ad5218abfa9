package identity

import (
	"context"
	"net/http"
	"time"

	"github.com/berth-panel/berth/controller/access"
	"github.com/berth-panel/berth/controller/httpapi"
	"github.com/berth-panel/berth/shared/ident"
)

// SSHKeyView is a public key as the API shows it.
type SSHKeyView struct {
	ID          string    `json:"id"`
	Name        string    `json:"name"`
	PublicKey   string    `json:"public_key"`
	Fingerprint string    `json:"fingerprint" doc:"As ssh-keygen -l shows it"`
	CreatedAt   time.Time `json:"created_at"`
}

func viewSSHKey(k SSHKey) SSHKeyView {
	return SSHKeyView{ID: k.ID, Name: k.Name, PublicKey: k.PublicKey, Fingerprint: k.Fingerprint, CreatedAt: k.Created}
}

// SSHKeyBody is a public key to add.
type SSHKeyBody struct {
	Name      string `json:"name,omitempty" maxLength:"100" doc:"The key's comment when absent"`
	PublicKey string `json:"public_key" minLength:"1" maxLength:"16384" doc:"One line, as in a file that ends in .pub. Ed25519, ECDSA, RSA from 2048 bits, and those of security keys"`
}

type sshKeysQuery struct {
	ID ident.User `path:"id"`
	httpapi.PageQuery
}

type sshKeyPath struct {
	ID  ident.User `path:"id"`
	Key string     `path:"key" doc:"The SSH key's id"`
}

func (s *Service) registerSSHKeys(a *httpapi.API) {
	const path = "/users/{id}/ssh-keys"
	sshOp := func(id, method, path, summary string, scope access.Scope) httpapi.Operation {
		o := op(id, method, path, summary, access.Needs(scope))
		o.Description = "A user's own, or an admin's work."
		return o
	}
	httpapi.HandlePage(a, sshOp("list-ssh-keys", http.MethodGet, path, "List a user's SSH keys", access.ScopeRead), s.getSSHKeys)
	add := sshOp("add-ssh-key", http.MethodPost, path, "Let a user log in over SFTP with a key", access.ScopeWrite)
	add.Status, add.Idempotent = http.StatusCreated, true
	httpapi.Handle(a, add, s.postSSHKey)
	httpapi.Handle(a, sshOp("remove-ssh-key", http.MethodDelete, path+"/{key}", "Take an SSH key back: sessions that it opened are cut", access.ScopeWrite), s.deleteSSHKey)
}

func (s *Service) getSSHKeys(ctx context.Context, in *sshKeysQuery) (httpapi.Page[SSHKeyView], error) {
	list, err := s.SSHKeys(ctx, in.ID)
	page := httpapi.Page[SSHKeyView]{Items: []SSHKeyView{}, Total: len(list)}
	for n, k := range list {
		if n >= in.Offset() && len(page.Items) < in.Limit {
			page.Items = append(page.Items, viewSSHKey(k))
		}
	}
	return page, err
}

func (s *Service) postSSHKey(ctx context.Context, in *struct {
	ID   ident.User `path:"id"`
	Body SSHKeyBody
}) (SSHKeyView, error) {
	k, err := s.AddSSHKey(ctx, in.ID, in.Body.Name, in.Body.PublicKey)
	return viewSSHKey(k), err
}

func (s *Service) deleteSSHKey(ctx context.Context, in *sshKeyPath) (httpapi.Done, error) {
	return httpapi.Did("the SSH key is removed"), s.RemoveSSHKey(ctx, in.ID, in.Key)
}
