package identity

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"time"

	"github.com/berth-panel/berth/controller/access"
	"github.com/berth-panel/berth/controller/store"
	"github.com/berth-panel/berth/shared/ident"
	"github.com/berth-panel/berth/shared/problem"
)

const userColumns = `id, username, email, admin, verified, disabled, COALESCE(role_id, ''), max_instances, max_memory_mib, max_nano_cpus, max_disk_mib,
	created_at, updated_at`

func scanUser(row func(...any) error) (User, error) {
	var u User
	var created, updated int64
	err := row(&u.ID, &u.Username, &u.Email, &u.Admin, &u.Verified, &u.Disabled, &u.Role,
		&u.Quota.Instances, &u.Quota.MemoryMiB, &u.Quota.NanoCPUs, &u.Quota.DiskMiB, &created, &updated)
	u.Created, u.Updated = time.UnixMilli(created).UTC(), time.UnixMilli(updated).UTC()
	return u, err
}

// findUser's clause is ours, never a caller's.
func findUser(ctx context.Context, q store.Querier, clause, value string) (User, error) {
	u, err := scanUser(q.QueryRowContext(ctx, `SELECT `+userColumns+` FROM users WHERE `+clause, value).Scan)
	if errors.Is(err, store.ErrNoRows) {
		return User{}, problem.New(problem.NotFound, "there is no such user")
	}
	return u, wrap("read a user", err)
}

// Named finds a user by his name or, when that is "", by his address, both without
// regard to ASCII case; NotFound when there is none.
func Named(ctx context.Context, q store.Querier, username, email string) (ident.User, error) {
	clause, value := "username = ?", username
	if username == "" {
		clause, value = "email = ?", email
	}
	u, err := findUser(ctx, q, clause, value)
	return u.ID, err
}

// whoHas names what of the three is taken: "id", "username", "email" or "". People
// log in by either, so a name is taken by who has it as his address, too.
func whoHas(ctx context.Context, q store.Querier, id ident.User, username, email string) (string, error) {
	var taken string
	err := q.QueryRowContext(ctx, `SELECT CASE WHEN id = ?1 THEN 'id' WHEN username = ?2 OR email = ?2 THEN 'username' ELSE 'email' END
		FROM users WHERE id = ?1 OR username IN (?2, ?3) OR email IN (?2, ?3) ORDER BY id = ?1 DESC LIMIT 1`, string(id), username, email).Scan(&taken)
	if errors.Is(err, store.ErrNoRows) {
		return "", nil
	}
	return taken, wrap("look for a user", err)
}

// nameTakenByAnother is whoHas for a user that exists.
func nameTakenByAnother(ctx context.Context, q store.Querier, id ident.User, username, email string) (string, error) {
	var taken string
	err := q.QueryRowContext(ctx, `SELECT CASE WHEN username = ?2 OR email = ?2 THEN 'username' ELSE 'email' END
		FROM users WHERE id <> ?1 AND (username IN (?2, ?3) OR email IN (?2, ?3)) LIMIT 1`, string(id), username, email).Scan(&taken)
	if errors.Is(err, store.ErrNoRows) {
		return "", nil
	}
	return taken, wrap("look for a user", err)
}

func insertUser(ctx context.Context, tx *store.Tx, u User, hash string) error {
	_, err := tx.ExecContext(ctx, `INSERT INTO users (id, username, email, admin, verified, disabled, role_id,
		max_instances, max_memory_mib, max_nano_cpus, max_disk_mib, created_at, updated_at, password_hash)
		VALUES (?, ?, ?, ?, ?, ?, NULLIF(?, ''), ?, ?, ?, ?, ?, ?, ?)`,
		string(u.ID), u.Username, u.Email, u.Admin, u.Verified, u.Disabled, string(u.Role),
		u.Quota.Instances, u.Quota.MemoryMiB, u.Quota.NanoCPUs, u.Quota.DiskMiB, u.Created.UnixMilli(), u.Updated.UnixMilli(), hash)
	if store.IsUnique(err) {
		return problem.New(problem.Conflict, "a user with this id, name or address exists already").Because(err)
	}
	return wrap("write a user", err)
}

// updateUser keeps the password when hash is "".
func updateUser(ctx context.Context, tx *store.Tx, u User, hash string) error {
	_, err := tx.ExecContext(ctx, `UPDATE users SET username = ?, email = ?, admin = ?, verified = ?, disabled = ?, role_id = NULLIF(?, ''),
		max_instances = ?, max_memory_mib = ?, max_nano_cpus = ?, max_disk_mib = ?, updated_at = ?,
		password_hash = COALESCE(NULLIF(?, ''), password_hash) WHERE id = ?`,
		u.Username, u.Email, u.Admin, u.Verified, u.Disabled, string(u.Role),
		u.Quota.Instances, u.Quota.MemoryMiB, u.Quota.NanoCPUs, u.Quota.DiskMiB, u.Updated.UnixMilli(), hash, string(u.ID))
	if store.IsUnique(err) {
		return problem.New(problem.Conflict, "another user has this name or address").Because(err)
	}
	return wrap("change a user", err)
}

// deleteUser takes his keys with him (ON DELETE CASCADE). The database refuses
// it while he owns instances.
func deleteUser(ctx context.Context, tx *store.Tx, id ident.User) error {
	_, err := tx.ExecContext(ctx, `DELETE FROM users WHERE id = ?`, string(id))
	return wrap("delete a user", err)
}

func countOtherAdmins(ctx context.Context, q store.Querier, id ident.User) (int, error) {
	return store.Count(ctx, q, `SELECT COUNT(*) FROM users WHERE admin AND NOT disabled AND id <> ?`, string(id))
}

// heirOf is who keeps what is being deleted: the one who asked, else the oldest
// enabled admin, never the user who goes.
func heirOf(ctx context.Context, q store.Querier, asked, gone ident.User) (ident.User, error) {
	var heir ident.User
	err := q.QueryRowContext(ctx, `SELECT id FROM users WHERE id <> ?2 AND (id = ?1 OR (admin AND NOT disabled))
		ORDER BY id = ?1 DESC, created_at LIMIT 1`, string(asked), string(gone)).Scan(&heir)
	return heir, wrap("look for an admin", err)
}

func findLogin(ctx context.Context, q store.Querier, name string) (id ident.User, hash string, err error) {
	err = q.QueryRowContext(ctx, `SELECT id, password_hash FROM users WHERE username = ?1 OR email = ?1 ORDER BY username = ?1 DESC LIMIT 1`, name).Scan(&id, &hash)
	return id, hash, wrap("read a login", err)
}

func countUsers(ctx context.Context, q store.Querier) (int, error) {
	return store.Count(ctx, q, `SELECT COUNT(*) FROM users`)
}

// userOrders are the orders that may be asked for; each ends in the id, so that
// pages don't overlap.
func userOrder(sort string) (string, error) {
	name, falling := strings.CutPrefix(sort, "-")
	column, ok := map[string]string{"": "username", "username": "username", "email": "email", "created_at": "created_at"}[name]
	if !ok || sort == "-" {
		return "", problem.Invalid("sort", "%q is none of username, email, created_at, with or without a - before it", sort)
	}
	if falling {
		return " ORDER BY " + column + " DESC, id DESC", nil
	}
	return " ORDER BY " + column + ", id", nil
}

func listUsers(ctx context.Context, q store.Querier, f UserFilter) ([]User, int, error) {
	order, err := userOrder(f.Sort)
	if err != nil {
		return nil, 0, err
	}
	where, args := " WHERE 1", []any{}
	if f.Search != "" {
		where += ` AND (instr(lower(username), lower(?)) > 0 OR instr(lower(email), lower(?)) > 0)`
		args = append(args, f.Search, f.Search)
	}
	if f.Admin != nil {
		where += ` AND admin = ?`
		args = append(args, *f.Admin)
	}
	if f.Disabled != nil {
		where += ` AND disabled = ?`
		args = append(args, *f.Disabled)
	}
	total, err := store.Count(ctx, q, `SELECT COUNT(*) FROM users`+where, args...)
	if err != nil {
		return nil, 0, wrap("count users", err)
	}
	list, err := store.Collect(ctx, q, scanUser, `SELECT `+userColumns+` FROM users`+where+order+` LIMIT ? OFFSET ?`, append(args, noLimit(f.Limit), f.Offset)...)
	return list, total, wrap("list users", err)
}

// noLimit makes of 0 what SQLite means by all.
func noLimit(n int) int {
	if n == 0 {
		return -1
	}
	return n
}

const keyColumns = `id, user_id, name, hint, scopes, dialect, rate_limit, expires_at, last_used_at, addresses, created_at`

func scanKey(row func(...any) error) (Key, error) {
	var k Key
	var scopes, addresses string
	var limit, expires, used sql.NullInt64
	var created int64
	err := row(&k.ID, &k.User, &k.Name, &k.Hint, &scopes, &k.Dialect, &limit, &expires, &used, &addresses, &created)
	if err == nil {
		k.Addresses, err = readAddresses(addresses)
	}
	k.Scopes = splitScopes(scopes)
	k.RateLimit, k.Expires, k.LastUsed, k.Created = number(limit), store.Moment(expires), store.Moment(used), time.UnixMilli(created).UTC()
	return k, err
}

func splitScopes(s string) []access.Scope {
	var out []access.Scope
	for name := range strings.SplitSeq(s, ",") {
		out = append(out, access.Scope(name))
	}
	return out
}

func joinScopes(scopes []access.Scope) string {
	names := make([]string, len(scopes))
	for i, s := range scopes {
		names[i] = string(s)
	}
	return strings.Join(names, ",")
}

func number(n sql.NullInt64) *int {
	if !n.Valid {
		return nil
	}
	v := int(n.Int64)
	return &v
}

func findKey(ctx context.Context, q store.Querier, id ident.Key) (Key, error) {
	k, err := scanKey(q.QueryRowContext(ctx, `SELECT `+keyColumns+` FROM api_keys WHERE id = ?`, string(id)).Scan)
	if errors.Is(err, store.ErrNoRows) {
		return Key{}, problem.New(problem.NotFound, "there is no such API key")
	}
	return k, wrap("read an API key", err)
}

func insertKey(ctx context.Context, tx *store.Tx, k Key, hash []byte) error {
	_, err := tx.ExecContext(ctx, `INSERT INTO api_keys (`+keyColumns+`, hash) VALUES (?, ?, ?, ?, ?, ?, ?, ?, NULL, ?, ?, ?)`,
		string(k.ID), string(k.User), k.Name, k.Hint, joinScopes(k.Scopes), string(k.Dialect), k.RateLimit, store.Millis(k.Expires), writeAddresses(k.Addresses), k.Created.UnixMilli(), hash)
	if store.IsUnique(err) {
		return problem.New(problem.Conflict, "this API key exists already").Because(err)
	}
	return wrap("write an API key", err)
}

func updateKey(ctx context.Context, tx *store.Tx, k Key) error {
	_, err := tx.ExecContext(ctx, `UPDATE api_keys SET name = ?, scopes = ?, dialect = ?, rate_limit = ?, expires_at = ?, addresses = ? WHERE id = ?`,
		k.Name, joinScopes(k.Scopes), string(k.Dialect), k.RateLimit, store.Millis(k.Expires), writeAddresses(k.Addresses), string(k.ID))
	return wrap("change an API key", err)
}

func deleteKey(ctx context.Context, tx *store.Tx, id ident.Key) error {
	_, err := tx.ExecContext(ctx, `DELETE FROM api_keys WHERE id = ?`, string(id))
	return wrap("revoke an API key", err)
}

// listKeys gives keys, oldest first; owner "" is all.
func listKeys(ctx context.Context, q store.Querier, owner ident.User, limit, offset int) ([]Key, int, error) {
	const where = ` WHERE ?1 = '' OR user_id = ?1`
	total, err := store.Count(ctx, q, `SELECT COUNT(*) FROM api_keys`+where, string(owner))
	if err != nil {
		return nil, 0, wrap("count API keys", err)
	}
	list, err := store.Collect(ctx, q, scanKey, `SELECT `+keyColumns+` FROM api_keys`+where+` ORDER BY created_at, id LIMIT ?2 OFFSET ?3`,
		string(owner), noLimit(limit), offset)
	return list, total, wrap("list API keys", err)
}

// demoteKeys takes the scope admin off a user's keys.
func demoteKeys(ctx context.Context, tx *store.Tx, user ident.User) error {
	keys, _, err := listKeys(ctx, tx, user, 0, 0)
	if err != nil {
		return err
	}
	for _, k := range keys {
		k.Scopes = withoutAdmin(k.Scopes)
		if err := updateKey(ctx, tx, k); err != nil {
			return err
		}
	}
	return nil
}

// found is what authenticating needs of a key and its user.
type found struct {
	caller    access.Caller
	expires   sql.NullInt64
	addresses []netip.Prefix
	disabled  bool
}

const callerColumns = `SELECT k.id, k.user_id, k.scopes, k.dialect, k.rate_limit, k.expires_at, k.addresses, u.username, u.admin, u.disabled,
	COALESCE(u.role_id, ''), COALESCE(r.permissions, '')
	FROM api_keys k JOIN users u ON u.id = k.user_id LEFT JOIN roles r ON r.id = u.role_id WHERE `

// findByHash gives ErrNoRows for a key that isn't there. It runs for each call; of
// +? see package store.
func findByHash(ctx context.Context, q store.Querier, hash []byte) (found, error) {
	return scanFound(q.QueryRowContext(ctx, callerColumns+`k.hash = +?`, hash).Scan)
}

// findCaller is findByHash for a key's id.
func findCaller(ctx context.Context, q store.Querier, id ident.Key) (found, error) {
	return scanFound(q.QueryRowContext(ctx, callerColumns+`k.id = ?`, string(id)).Scan)
}

func scanFound(row func(...any) error) (found, error) {
	var f found
	var scopes, addresses, permissions string
	var limit sql.NullInt64
	c := &f.caller
	err := row(&c.Key, &c.User, &scopes, &c.Dialect, &limit, &f.expires, &addresses, &c.Username, &c.Admin, &f.disabled, &c.Role, &permissions)
	if err == nil {
		f.addresses, err = readAddresses(addresses)
	}
	if err == nil {
		c.Permissions, err = readPermissions(permissions)
	}
	c.Via, c.Scopes, c.RateLimit = access.ViaKey, splitScopes(scopes), number(limit)
	return f, wrap("look for an API key", err)
}

// touchKeys notes when keys were used.
func touchKeys(ctx context.Context, tx *store.Tx, at map[ident.Key]int64) error {
	for id, when := range at {
		if _, err := tx.ExecContext(ctx, `UPDATE api_keys SET last_used_at = MAX(COALESCE(last_used_at, 0), ?) WHERE id = ?`, when, string(id)); err != nil {
			return wrap("note when an API key was used", err)
		}
	}
	return nil
}

func wrap(doing string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s: %w", doing, err)
}
