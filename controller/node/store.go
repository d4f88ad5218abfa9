package node

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/berth-panel/berth/controller/store"
	"github.com/berth-panel/berth/shared/ident"
	"github.com/berth-panel/berth/shared/problem"
	"github.com/berth-panel/berth/shared/wire"
)

const columns = `id, name, tags, address, port, connection, bind_address, public_host, processor, memory_mib, disk_mib, memory_factor, disk_factor,
	certificate, next_certificate, certificate_ends_at, enrolled_at, revoked_at, hello, last_seen_at, created_at, updated_at,
	cpu_factor, memory_reserve_mib, disk_reserve_mib, maintenance`

func scan(row func(...any) error) (Node, error) {
	var n Node
	var tags, hello string
	var ends, enrolled, revoked, seen sql.NullInt64
	var created, updated int64
	err := row(&n.ID, &n.Name, &tags, &n.Address, &n.Port, &n.Connection, &n.BindAddress, &n.PublicHost, &n.Processor, &n.MemoryMiB, &n.DiskMiB, &n.MemoryFactor,
		&n.DiskFactor, &n.Certificate, &n.NextCertificate, &ends, &enrolled, &revoked, &hello, &seen, &created, &updated,
		&n.CPUFactor, &n.MemoryReserveMiB, &n.DiskReserveMiB, &n.Maintenance)
	if err != nil {
		return n, err
	}
	n.CertificateEndsAt = store.Moment(ends)
	n.EnrolledAt, n.RevokedAt, n.LastSeenAt = store.Moment(enrolled), store.Moment(revoked), store.Moment(seen)
	n.CreatedAt, n.UpdatedAt = time.UnixMilli(created).UTC(), time.UnixMilli(updated).UTC()
	if err := json.Unmarshal([]byte(tags), &n.Tags); err != nil {
		return n, fmt.Errorf("node %s: tags: %w", n.ID, err)
	}
	if err := json.Unmarshal([]byte(hello), &n.Hello); err != nil {
		return n, fmt.Errorf("node %s: hello: %w", n.ID, err)
	}
	return n, nil
}

func byID(ctx context.Context, q store.Querier, id ident.Node) (Node, error) {
	n, err := scan(q.QueryRowContext(ctx, `SELECT `+columns+` FROM nodes WHERE id = ?`, string(id)).Scan)
	if errors.Is(err, store.ErrNoRows) {
		return n, problem.New(problem.NotFound, "there is no such node")
	}
	return n, err
}

func all(ctx context.Context, q store.Querier) ([]Node, error) {
	return store.Collect(ctx, q, scan, `SELECT `+columns+` FROM nodes ORDER BY created_at, id`)
}

func nameTaken(ctx context.Context, q store.Querier, name string, but ident.Node) (bool, error) {
	n, err := store.Count(ctx, q, `SELECT COUNT(*) FROM nodes WHERE name = ? AND id <> ?`, name, string(but))
	return n > 0, err
}

func put(ctx context.Context, tx *store.Tx, n Node) error {
	tags, err := json.Marshal(n.Tags)
	if err != nil {
		return err
	}
	_, err = tx.ExecContext(ctx, `INSERT INTO nodes (id, name, tags, address, port, connection, bind_address, public_host, processor, memory_mib, disk_mib,
			memory_factor, disk_factor, certificate, next_certificate, certificate_ends_at, enrolled_at, revoked_at, created_at, updated_at,
			cpu_factor, memory_reserve_mib, disk_reserve_mib, maintenance)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
		ON CONFLICT (id) DO UPDATE SET name = excluded.name, tags = excluded.tags, address = excluded.address, port = excluded.port,
			connection = excluded.connection, next_certificate = excluded.next_certificate, certificate_ends_at = excluded.certificate_ends_at,
			bind_address = excluded.bind_address, public_host = excluded.public_host, processor = excluded.processor,
			memory_mib = excluded.memory_mib, disk_mib = excluded.disk_mib, memory_factor = excluded.memory_factor, disk_factor = excluded.disk_factor,
			certificate = excluded.certificate, enrolled_at = excluded.enrolled_at, revoked_at = excluded.revoked_at, updated_at = excluded.updated_at,
			cpu_factor = excluded.cpu_factor, memory_reserve_mib = excluded.memory_reserve_mib, disk_reserve_mib = excluded.disk_reserve_mib,
			maintenance = excluded.maintenance`,
		string(n.ID), n.Name, string(tags), n.Address, n.Port, string(n.Connection), n.BindAddress, n.PublicHost, n.Processor, n.MemoryMiB, n.DiskMiB, n.MemoryFactor, n.DiskFactor,
		n.Certificate, n.NextCertificate, store.Millis(n.CertificateEndsAt), store.Millis(n.EnrolledAt), store.Millis(n.RevokedAt), n.CreatedAt.UnixMilli(), n.UpdatedAt.UnixMilli(),
		n.CPUFactor, n.MemoryReserveMiB, n.DiskReserveMiB, n.Maintenance)
	if store.IsUnique(err) {
		return nameConflict(n.Name)
	}
	return err
}

func nameConflict(name string) error {
	return problem.New(problem.Conflict, "there is a node named %s already", name)
}

func remove(ctx context.Context, tx *store.Tx, id ident.Node) error {
	_, err := tx.ExecContext(ctx, `DELETE FROM nodes WHERE id = ?`, string(id))
	return err
}

// Filter narrows a list. Zero fields don't narrow.
type Filter struct {
	Tag    string
	State  State
	Search string // part of the name
	Sort   string // "name", "created_at", "memory"; with a leading "-" downwards
	Limit  int
	Offset int
}

var orders = map[string]string{
	"": "created_at, id", "created_at": "created_at, id", "-created_at": "created_at DESC, id DESC", "name": "name, id", "-name": "name DESC, id",
	"memory": "memory_mib, id", "-memory": "memory_mib DESC, id",
}

// states are the conditions that Node.state holds; the parameter is the JSON
// list of the nodes that are online, one parameter however many they are.
var states = map[State]string{
	Revoked:      `revoked_at IS NOT NULL AND ? <> ''`,
	Unconfigured: `revoked_at IS NULL AND enrolled_at IS NULL AND ? <> ''`,
	Online:       `revoked_at IS NULL AND enrolled_at IS NOT NULL AND id IN (SELECT value FROM json_each(?))`,
	Offline:      `revoked_at IS NULL AND enrolled_at IS NOT NULL AND id NOT IN (SELECT value FROM json_each(?))`,
}

// list gives a page; online are the nodes that are connected now.
func list(ctx context.Context, q store.Querier, f Filter, online []ident.Node) ([]Node, int, error) {
	where := ` WHERE name LIKE ? ESCAPE '\'`
	args := []any{"%" + strings.NewReplacer(`\`, `\\`, `%`, `\%`, `_`, `\_`).Replace(f.Search) + "%"}
	if f.Tag != "" {
		where += ` AND EXISTS (SELECT 1 FROM json_each(tags) WHERE value = ?)`
		args = append(args, f.Tag)
	}
	if condition := states[f.State]; condition != "" {
		ids, err := json.Marshal(append([]ident.Node{}, online...)) // none is [], not null
		if err != nil {
			return nil, 0, err
		}
		where += ` AND ` + condition
		args = append(args, string(ids))
	}
	total, err := store.Count(ctx, q, `SELECT COUNT(*) FROM nodes`+where, args...)
	if err != nil {
		return nil, 0, err
	}
	nodes, err := store.Collect(ctx, q, scan, `SELECT `+columns+` FROM nodes`+where+` ORDER BY `+orders[f.Sort]+` LIMIT ? OFFSET ?`, append(args, f.Limit, f.Offset)...)
	return nodes, total, err
}

// intake is how far a node's events have taken effect.
type intake struct {
	epoch string
	seq   int64
	seen  int64 // last_seen_at; 0: never
}

// intakeOf is for nodes that are let in: any other is NOT_FOUND.
func intakeOf(ctx context.Context, q store.Querier, id ident.Node) (in intake, err error) {
	err = q.QueryRowContext(ctx, `SELECT event_epoch, event_seq, COALESCE(last_seen_at, 0) FROM nodes WHERE id = ? AND certificate <> ''`,
		string(id)).Scan(&in.epoch, &in.seq, &in.seen)
	if errors.Is(err, store.ErrNoRows) {
		return in, problem.New(problem.NotFound, "the node is not let in any more")
	}
	return in, err
}

func saveIntake(ctx context.Context, tx *store.Tx, id ident.Node, in intake) error {
	_, err := tx.ExecContext(ctx, `UPDATE nodes SET event_epoch = ?, event_seq = ?, last_seen_at = NULLIF(?, 0) WHERE id = ?`, in.epoch, in.seq, in.seen, string(id))
	return err
}

func saveHello(ctx context.Context, tx *store.Tx, id ident.Node, h wire.Hello) error {
	text, err := json.Marshal(h)
	if err != nil {
		return err
	}
	_, err = tx.ExecContext(ctx, `UPDATE nodes SET hello = ? WHERE id = ?`, string(text), string(id))
	return err
}

func saveSeen(ctx context.Context, tx *store.Tx, id ident.Node, at time.Time) error {
	_, err := tx.ExecContext(ctx, `UPDATE nodes SET last_seen_at = ? WHERE id = ?`, at.UnixMilli(), string(id))
	return err
}

// Key is an enrolment key as it is kept.
type Key struct {
	ID        string
	Node      ident.Node // "" for a join key
	Name      string
	Sealed    []byte
	Tags      []string
	UsesLeft  int
	ExpiresAt time.Time
	CreatedAt time.Time
}

const keyColumns = `id, COALESCE(node_id, ''), name, secret, tags, uses_left, expires_at, created_at`

func scanKey(row func(...any) error) (Key, error) {
	var k Key
	var tags string
	var expires, created int64
	if err := row(&k.ID, &k.Node, &k.Name, &k.Sealed, &tags, &k.UsesLeft, &expires, &created); err != nil {
		return k, err
	}
	k.ExpiresAt, k.CreatedAt = time.UnixMilli(expires).UTC(), time.UnixMilli(created).UTC()
	return k, json.Unmarshal([]byte(tags), &k.Tags)
}

func findKey(ctx context.Context, q store.Querier, id string) (Key, error) {
	return scanKey(q.QueryRowContext(ctx, `SELECT `+keyColumns+` FROM enrolment_keys WHERE id = ?`, id).Scan)
}

func addKey(ctx context.Context, tx *store.Tx, k Key) error {
	tags, err := json.Marshal(k.Tags)
	if err != nil {
		return err
	}
	_, err = tx.ExecContext(ctx, `INSERT INTO enrolment_keys (id, node_id, name, secret, tags, uses_left, expires_at, created_at)
		VALUES (?, NULLIF(?, ''), ?, ?, ?, ?, ?, ?)`, k.ID, string(k.Node), k.Name, k.Sealed, string(tags), k.UsesLeft, k.ExpiresAt.UnixMilli(), k.CreatedAt.UnixMilli())
	return err
}

func spendKey(ctx context.Context, tx *store.Tx, id string) error {
	_, err := tx.ExecContext(ctx, `UPDATE enrolment_keys SET uses_left = uses_left - 1 WHERE id = ?`, id)
	return err
}

// forgetKeys removes keys that ran out before: until then they still say why
// they don't work.
func forgetKeys(ctx context.Context, tx *store.Tx, before time.Time) error {
	_, err := tx.ExecContext(ctx, `DELETE FROM enrolment_keys WHERE expires_at < ?`, before.UnixMilli())
	return err
}

func dropKeysOf(ctx context.Context, tx *store.Tx, node ident.Node) error {
	_, err := tx.ExecContext(ctx, `DELETE FROM enrolment_keys WHERE node_id = ?`, string(node))
	return err
}

func dropJoinKey(ctx context.Context, tx *store.Tx, id string) (bool, error) {
	res, err := tx.ExecContext(ctx, `DELETE FROM enrolment_keys WHERE id = ? AND node_id IS NULL`, id)
	if err != nil {
		return false, err
	}
	n, err := res.RowsAffected()
	return n > 0, err
}

func joinKeys(ctx context.Context, q store.Querier, limit, offset int) ([]Key, int, error) {
	total, err := store.Count(ctx, q, `SELECT COUNT(*) FROM enrolment_keys WHERE node_id IS NULL`)
	if err != nil {
		return nil, 0, err
	}
	keys, err := store.Collect(ctx, q, scanKey, `SELECT `+keyColumns+` FROM enrolment_keys WHERE node_id IS NULL ORDER BY created_at DESC, id LIMIT ? OFFSET ?`, limit, offset)
	return keys, total, err
}

// enrolment finds who was let in by a key with a public key.
func enrolment(ctx context.Context, q store.Querier, keyID string, public []byte) (node ident.Node, serial string, there bool, err error) {
	err = q.QueryRowContext(ctx, `SELECT node_id, serial FROM enrolments WHERE key_id = ? AND public_key = ?`, keyID, public).Scan(&node, &serial)
	if errors.Is(err, store.ErrNoRows) {
		return "", "", false, nil
	}
	return node, serial, err == nil, err
}

func noteEnrolment(ctx context.Context, tx *store.Tx, keyID string, public []byte, node ident.Node, serial string) error {
	_, err := tx.ExecContext(ctx, `INSERT INTO enrolments (key_id, public_key, node_id, serial) VALUES (?, ?, ?, ?)`, keyID, public, string(node), serial)
	return err
}
