package login

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/go-webauthn/webauthn/webauthn"

	"github.com/berth-panel/berth/controller/store"
	"github.com/berth-panel/berth/shared/ident"
	"github.com/berth-panel/berth/shared/problem"
)

// kept is a passkey with what checks it.
type kept struct {
	Passkey
	credential webauthn.Credential
}

const passkeyColumns = `id, user_id, name, credential, created_at, last_used_at`

func scanPasskey(row func(...any) error) (kept, error) {
	var k kept
	var text string
	var created int64
	var used sql.NullInt64
	if err := row(&k.ID, &k.User, &k.Name, &text, &created, &used); err != nil {
		return kept{}, err
	}
	k.Created = at(created)
	if used.Valid {
		when := at(used.Int64)
		k.LastUsed = &when
	}
	if err := json.Unmarshal([]byte(text), &k.credential); err != nil {
		return kept{}, fmt.Errorf("decode the passkey %s: %w", k.ID, err)
	}
	return k, nil
}

func noPasskey() error { return problem.New(problem.NotFound, "there is no such passkey") }

// findPasskey finds a passkey through its user.
func findPasskey(ctx context.Context, q store.Querier, user ident.User, id string) (kept, error) {
	k, err := scanPasskey(q.QueryRowContext(ctx, `SELECT `+passkeyColumns+` FROM passkeys WHERE id = ? AND user_id = ?`, id, string(user)).Scan)
	if errors.Is(err, store.ErrNoRows) {
		return kept{}, noPasskey()
	}
	return k, wrap("read a passkey", err)
}

func findCredential(ctx context.Context, q store.Querier, credential []byte) (kept, error) {
	k, err := scanPasskey(q.QueryRowContext(ctx, `SELECT `+passkeyColumns+` FROM passkeys WHERE credential_id = ?`, credential).Scan)
	if errors.Is(err, store.ErrNoRows) {
		return kept{}, noPasskey()
	}
	return k, wrap("look for a passkey", err)
}

// listPasskeys gives a user's, the oldest first.
func listPasskeys(ctx context.Context, q store.Querier, user ident.User) ([]kept, error) {
	list, err := store.Collect(ctx, q, scanPasskey, `SELECT `+passkeyColumns+` FROM passkeys WHERE user_id = ? ORDER BY created_at, id`, string(user))
	return list, wrap("list passkeys", err)
}

func insertPasskey(ctx context.Context, tx *store.Tx, k kept) error {
	text, err := json.Marshal(k.credential)
	if err != nil {
		return fmt.Errorf("encode a passkey: %w", err)
	}
	_, err = tx.ExecContext(ctx, `INSERT INTO passkeys (id, user_id, name, credential_id, credential, created_at) VALUES (?, ?, ?, ?, ?, ?)`,
		k.ID, string(k.User), k.Name, k.credential.ID, string(text), k.Created.UnixMilli())
	if store.IsUnique(err) {
		return problem.New(problem.Conflict, "this passkey is there already").Because(err)
	}
	return wrap("write a passkey", err)
}

// usePasskey keeps the counter that came with its use.
func usePasskey(ctx context.Context, tx *store.Tx, id string, c webauthn.Credential, now time.Time) error {
	text, err := json.Marshal(c)
	if err != nil {
		return fmt.Errorf("encode a passkey: %w", err)
	}
	_, err = tx.ExecContext(ctx, `UPDATE passkeys SET credential = ?, last_used_at = ? WHERE id = ?`, string(text), now.UnixMilli(), id)
	return wrap("note the use of a passkey", err)
}

func renamePasskey(ctx context.Context, tx *store.Tx, id, name string) error {
	_, err := tx.ExecContext(ctx, `UPDATE passkeys SET name = ? WHERE id = ?`, name, id)
	return wrap("rename a passkey", err)
}

func deletePasskey(ctx context.Context, tx *store.Tx, id string) error {
	_, err := tx.ExecContext(ctx, `DELETE FROM passkeys WHERE id = ?`, id)
	return wrap("remove a passkey", err)
}
