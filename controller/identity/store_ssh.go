package identity

import (
	"context"
	"errors"
	"time"

	"github.com/berth-panel/berth/controller/store"
	"github.com/berth-panel/berth/shared/ident"
	"github.com/berth-panel/berth/shared/problem"
)

const sshColumns = `id, user_id, name, public_key, fingerprint, created_at`

func scanSSHKey(row func(...any) error) (SSHKey, error) {
	var k SSHKey
	var created int64
	err := row(&k.ID, &k.User, &k.Name, &k.PublicKey, &k.Fingerprint, &created)
	k.Created = time.UnixMilli(created).UTC()
	return k, err
}

func countSSHKeys(ctx context.Context, q store.Querier, user ident.User) (int, error) {
	n, err := store.Count(ctx, q, `SELECT COUNT(*) FROM ssh_keys WHERE user_id = ?`, string(user))
	return n, wrap("count SSH keys", err)
}

func insertSSHKey(ctx context.Context, tx *store.Tx, k SSHKey) error {
	_, err := tx.ExecContext(ctx, `INSERT INTO ssh_keys (`+sshColumns+`) VALUES (?, ?, ?, ?, ?, ?)`,
		k.ID, string(k.User), k.Name, k.PublicKey, k.Fingerprint, k.Created.UnixMilli())
	if store.IsUnique(err) {
		return problem.New(problem.Conflict, "the user has this key already").Because(err)
	}
	return wrap("write an SSH key", err)
}

// findSSHKey finds a key through its user.
func findSSHKey(ctx context.Context, q store.Querier, user ident.User, id string) (SSHKey, error) {
	k, err := scanSSHKey(q.QueryRowContext(ctx, `SELECT `+sshColumns+` FROM ssh_keys WHERE user_id = ? AND id = ?`, string(user), id).Scan)
	if errors.Is(err, store.ErrNoRows) {
		return SSHKey{}, problem.New(problem.NotFound, "there is no such SSH key")
	}
	return k, wrap("read an SSH key", err)
}

func deleteSSHKey(ctx context.Context, tx *store.Tx, id string) error {
	_, err := tx.ExecContext(ctx, `DELETE FROM ssh_keys WHERE id = ?`, id)
	return wrap("remove an SSH key", err)
}

// listSSHKeys gives a user's keys, oldest first; user "" is all.
func listSSHKeys(ctx context.Context, q store.Querier, user ident.User) ([]SSHKey, error) {
	list, err := store.Collect(ctx, q, scanSSHKey, `SELECT `+sshColumns+` FROM ssh_keys WHERE ?1 = '' OR user_id = ?1 ORDER BY created_at, id`, string(user))
	return list, wrap("list SSH keys", err)
}

func scanPerson(row func(...any) error) (Person, error) {
	var p Person
	var hash, permissions string
	err := row(&p.ID, &p.Username, &p.Admin, &hash, &permissions)
	if err == nil {
		p.Permissions, err = readPermissions(permissions)
	}
	p.Password = stamp(hash)
	return p, err
}

const personColumns = `id, username, admin, password_hash, COALESCE((SELECT permissions FROM roles WHERE roles.id = role_id), '')`

// listPeople gives the enabled users; id "" is all.
func listPeople(ctx context.Context, q store.Querier, id ident.User) ([]Person, error) {
	list, err := store.Collect(ctx, q, scanPerson, `SELECT `+personColumns+` FROM users WHERE NOT disabled AND (?1 = '' OR id = ?1) ORDER BY id`, string(id))
	return list, wrap("list who may log in", err)
}

func findHolder(ctx context.Context, q store.Querier, username, fingerprint string) (Person, error) {
	p, err := scanPerson(q.QueryRowContext(ctx, `SELECT `+personColumns+` FROM users u WHERE username = ? AND NOT disabled
		AND EXISTS (SELECT 1 FROM ssh_keys k WHERE k.user_id = u.id AND k.fingerprint = ?)`, username, fingerprint).Scan)
	if errors.Is(err, store.ErrNoRows) {
		return Person{}, problem.New(problem.NotFound, "nobody has this key")
	}
	return p, wrap("look for who has a key", err)
}
