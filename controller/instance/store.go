package instance

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/berth-panel/berth/controller/access"
	"github.com/berth-panel/berth/controller/identity"
	"github.com/berth-panel/berth/controller/store"
	"github.com/berth-panel/berth/shared/ident"
	"github.com/berth-panel/berth/shared/problem"
	"github.com/berth-panel/berth/shared/wire"
)

const columns = `id, name, owner_id, node_id, image_id, reference, memory_mib, nano_cpus, disk_mib, variables, spec, generation,
	power, suspended, suspend_reason, phase, actual, failure, container_id, observed, observed_generation, drift, crash, startup, pull, digest, created_at, updated_at`

func scan(row func(...any) error) (Instance, error) {
	var i Instance
	var variables, spec, observed, crash string
	var failure sql.NullString
	var created, updated int64
	err := row(&i.ID, &i.Name, &i.Owner, &i.Node, &i.Image, &i.Reference, &i.MemoryMiB, &i.NanoCPUs, &i.DiskMiB, &variables, &spec, &i.Generation,
		&i.Power, &i.Suspended, &i.SuspendReason, &i.Phase, &i.Actual, &failure, &i.Container, &observed, &i.Seen, &i.Drift, &crash, &i.Startup, &i.Pull, &i.Digest, &created, &updated)
	if err != nil {
		return i, err
	}
	i.CreatedAt, i.UpdatedAt = time.UnixMilli(created).UTC(), time.UnixMilli(updated).UTC()
	for _, part := range []struct {
		text string
		into any
	}{{variables, &i.Variables}, {spec, &i.Spec}, {observed, &i.Observed}, {crash, &i.Crash}} {
		if err := json.Unmarshal([]byte(part.text), part.into); err != nil {
			return i, fmt.Errorf("instance %s: %w", i.ID, err)
		}
	}
	if failure.Valid {
		i.Failure = new(problem.Problem)
		if err := json.Unmarshal([]byte(failure.String), i.Failure); err != nil {
			return i, fmt.Errorf("instance %s: failure: %w", i.ID, err)
		}
	}
	return i, nil
}

func notFound() error { return problem.New(problem.NotFound, "there is no such instance") }

// byID finds an instance whoever's it is, also one that is being deleted.
func byID(ctx context.Context, q store.Querier, id ident.Instance) (Instance, error) {
	i, err := scan(q.QueryRowContext(ctx, `SELECT `+columns+` FROM instances WHERE id = ?`, string(id)).Scan)
	if errors.Is(err, store.ErrNoRows) {
		return i, notFound()
	}
	return i, err
}

func onNode(ctx context.Context, q store.Querier, node ident.Node) ([]Instance, error) {
	return store.Collect(ctx, q, scan, `SELECT `+columns+` FROM instances WHERE node_id = ?`, string(node))
}

func encoded(i Instance) (variables, spec, observed, crash string, failure any, err error) {
	v, err1 := json.Marshal(i.Variables)
	s, err2 := json.Marshal(i.Spec)
	o, err3 := json.Marshal(i.Observed)
	c, err4 := json.Marshal(i.Crash)
	if i.Failure != nil {
		f, err5 := json.Marshal(i.Failure)
		return string(v), string(s), string(o), string(c), string(f), errors.Join(err1, err2, err3, err4, err5)
	}
	return string(v), string(s), string(o), string(c), nil, errors.Join(err1, err2, err3, err4)
}

func insert(ctx context.Context, tx *store.Tx, i Instance) error {
	variables, spec, observed, crash, failure, err := encoded(i)
	if err != nil {
		return err
	}
	_, err = tx.ExecContext(ctx, `INSERT INTO instances (`+columns+`) VALUES (`+strings.TrimSuffix(strings.Repeat("?,", 28), ",")+`)`,
		string(i.ID), i.Name, string(i.Owner), string(i.Node), string(i.Image), i.Reference, i.MemoryMiB, i.NanoCPUs, i.DiskMiB, variables, spec, i.Generation,
		string(i.Power), i.Suspended, i.SuspendReason, string(i.Phase), string(i.Actual), failure, i.Container, observed, i.Seen, string(i.policy()), crash,
		i.Startup, string(i.Pull), i.Digest, i.CreatedAt.UnixMilli(), i.UpdatedAt.UnixMilli())
	return err
}

func save(ctx context.Context, tx *store.Tx, i Instance) error {
	variables, spec, observed, crash, failure, err := encoded(i)
	if err != nil {
		return err
	}
	_, err = tx.ExecContext(ctx, `UPDATE instances SET name = ?, owner_id = ?, reference = ?, memory_mib = ?, nano_cpus = ?, disk_mib = ?, variables = ?,
		spec = ?, generation = ?, power = ?, suspended = ?, suspend_reason = ?, phase = ?, actual = ?, failure = ?, container_id = ?, observed = ?,
		observed_generation = ?, drift = ?, crash = ?, startup = ?, pull = ?, digest = ?, updated_at = ? WHERE id = ?`,
		i.Name, string(i.Owner), i.Reference, i.MemoryMiB, i.NanoCPUs, i.DiskMiB, variables, spec, i.Generation, string(i.Power), i.Suspended,
		i.SuspendReason, string(i.Phase), string(i.Actual), failure, i.Container, observed, i.Seen, string(i.policy()), crash, i.Startup, string(i.Pull), i.Digest, i.UpdatedAt.UnixMilli(), string(i.ID))
	return err
}

// relocate makes the instance another node's. save never does.
func relocate(ctx context.Context, tx *store.Tx, id ident.Instance, to ident.Node) error {
	_, err := tx.ExecContext(ctx, `UPDATE instances SET node_id = ? WHERE id = ?`, string(to), string(id))
	return err
}

func drop(ctx context.Context, tx *store.Tx, id ident.Instance) error {
	_, err := tx.ExecContext(ctx, `DELETE FROM instances WHERE id = ?`, string(id))
	return err
}

// taken says whether an id is an instance's, or that of something that a node
// still holds: a new instance must not take over its volume.
func taken(ctx context.Context, q store.Querier, id ident.Instance) (bool, error) {
	n, err := store.Count(ctx, q, `SELECT (SELECT COUNT(*) FROM instances WHERE id = ?1) + (SELECT COUNT(*) FROM strays WHERE instance_id = ?1)
		+ (SELECT COUNT(*) FROM moves WHERE instance_id = ?1)`, string(id))
	return n > 0, err
}

// Filter narrows a list. Zero fields don't narrow.
type Filter struct {
	Owner    ident.User
	Node     ident.Node
	Image    ident.Image
	Status   Status
	Search   string // part of the name, or the id
	IDs      string // of those looked for, with commas between; a text, so that filters can be compared
	Deleting bool   // also those that are being deleted
	Sort     string // "name", "created_at", "memory", …; with a leading "-" downwards
	Env      bool   // fill in Listed.Env
	Limit    int    // 0: all
	Offset   int    // with a Limit
}

var orders = map[string]string{
	"": "created_at, id", "created_at": "created_at, id", "-created_at": "created_at DESC, id",
	"name": "name COLLATE NOCASE, id", "-name": "name COLLATE NOCASE DESC, id",
	"memory": "memory_mib, id", "-memory": "memory_mib DESC, id", "cpu": "nano_cpus, id", "-cpu": "nano_cpus DESC, id",
}

// where is the filter as SQL, of what is in reach.
func (f Filter) where(reach access.Reach) (string, []any) {
	var parts []string
	var args []any
	add := func(clause string, values ...any) {
		parts = append(parts, clause)
		args = append(args, values...)
	}
	if clause, values := reach.Clause("owner_id", "id", ""); clause != "" {
		add(clause, values...)
	}
	if !f.Deleting {
		add("phase <> 'deleting'")
	}
	if f.Owner != "" {
		add("owner_id = ?", string(f.Owner))
	}
	if f.Node != "" {
		add("node_id = ?", string(f.Node))
	}
	if f.Image != "" {
		add("image_id = ?", string(f.Image))
	}
	switch f.Status {
	case "":
	case StatusDeleting:
		add("phase = 'deleting'")
	case StatusSuspended:
		add("suspended = 1 AND phase <> 'deleting'")
	case StatusInstalling, StatusFailed:
		add("suspended = 0 AND phase = ?", string(f.Status))
	default:
		add("suspended = 0 AND phase = 'ready' AND actual = ?", string(f.Status))
	}
	if f.Search != "" {
		add(`(id = ? OR name LIKE ? ESCAPE '\')`, f.Search, "%"+strings.NewReplacer(`\`, `\\`, `%`, `\%`, `_`, `\_`).Replace(f.Search)+"%")
	}
	if f.IDs != "" {
		ids, _ := json.Marshal(strings.Split(f.IDs, ",")) // texts always can
		add("id IN (SELECT value FROM json_each(?))", string(ids))
	}
	if len(parts) == 0 {
		return "", nil
	}
	return " WHERE " + strings.Join(parts, " AND "), args
}

func scanListed(row func(...any) error) (Listed, error) {
	var l Listed
	var ports, env sql.RawBytes
	var failure sql.NullString
	var created, updated int64
	err := row(&l.ID, &l.Name, &l.Owner, &l.Node, &l.Image, &l.Reference, &l.MemoryMiB, &l.NanoCPUs, &l.DiskMiB, &ports, &env, &l.Power, &l.Suspended,
		&l.SuspendReason, &l.Phase, &l.Actual, &failure, &l.Container, &l.Generation, &l.DriftPolicy, &l.Drift, &created, &updated)
	l.Ports, l.Env = append(json.RawMessage(nil), ports...), append(json.RawMessage(nil), env...)
	if failure.Valid {
		l.Failure = json.RawMessage(failure.String)
	}
	l.CreatedAt, l.UpdatedAt = time.UnixMilli(created).UTC(), time.UnixMilli(updated).UTC()
	return l, err
}

// The parts of spec are cut out by SQLite: parsing each row's spec here was the
// larger half of a list's cost. Which rows are on a page is found first, so that
// none but theirs are cut up, whatever the order.
func list(ctx context.Context, q store.Querier, reach access.Reach, f Filter) ([]Listed, error) {
	where, args := f.where(reach)
	if f.Limit > 0 {
		where = " WHERE rowid IN (SELECT rowid FROM instances" + where + " ORDER BY " + orders[f.Sort] + " LIMIT ? OFFSET ?)"
		args = append(args, f.Limit, f.Offset)
	}
	env := "NULL"
	if f.Env {
		env = "spec ->> '$.env'"
	}
	return store.Collect(ctx, q, scanListed, `SELECT id, name, owner_id, node_id, image_id, reference, memory_mib, nano_cpus, disk_mib,
		spec ->> '$.ports', `+env+`, power, suspended, suspend_reason, phase, actual, failure, container_id, generation, drift,
		COALESCE(observed ->> '$.drift', ''), created_at, updated_at
		FROM instances`+where+` ORDER BY `+orders[f.Sort], args...)
}

func count(ctx context.Context, q store.Querier, reach access.Reach, f Filter) (int, error) {
	where, args := f.where(reach)
	if where == "" {
		return store.Count(ctx, q, `SELECT total FROM totals WHERE name = 'instances'`) // kept by triggers
	}
	return store.Count(ctx, q, `SELECT COUNT(*) FROM instances`+where, args...)
}

// useOf adds up a user's living instances.
func useOf(ctx context.Context, q store.Querier, owner ident.User) (identity.Use, error) {
	var u identity.Use
	err := q.QueryRowContext(ctx, `SELECT COUNT(*), COALESCE(SUM(memory_mib), 0), COALESCE(SUM(nano_cpus), 0), COALESCE(SUM(disk_mib), 0)
		FROM instances WHERE owner_id = ? AND phase <> 'deleting'`, string(owner)).Scan(&u.Instances, &u.MemoryMiB, &u.NanoCPUs, &u.DiskMiB)
	return u, err
}

// idsOf gives the ids of a user's instances, also of those being deleted.
func idsOf(ctx context.Context, q store.Querier, owner ident.User) ([]ident.Instance, error) {
	return store.Collect(ctx, q, func(row func(...any) error) (id ident.Instance, err error) {
		return id, row(&id)
	}, `SELECT id FROM instances WHERE owner_id = ?`, string(owner))
}

// idsOnNode gives the ids of a node's instances, the oldest first.
func idsOnNode(ctx context.Context, q store.Querier, node ident.Node) ([]ident.Instance, error) {
	return store.Collect(ctx, q, func(row func(...any) error) (id ident.Instance, err error) {
		return id, row(&id)
	}, `SELECT id FROM instances WHERE node_id = ? ORDER BY created_at, id`, string(node))
}

// tenures gives those of a node's living instances, by id.
func tenures(ctx context.Context, q store.Querier, node ident.Node) ([]Tenure, error) {
	return store.Collect(ctx, q, func(row func(...any) error) (t Tenure, err error) {
		return t, row(&t.ID, &t.Owner, &t.Suspended, &t.SuspendReason)
	}, `SELECT id, owner_id, suspended, suspend_reason FROM instances WHERE node_id = ? AND phase <> 'deleting' ORDER BY id`, string(node))
}

// idsByOwner gives the ids of everybody's living instances, the oldest first.
func idsByOwner(ctx context.Context, q store.Querier) (map[ident.User][]ident.Instance, error) {
	out := map[ident.User][]ident.Instance{}
	_, err := store.Collect(ctx, q, func(row func(...any) error) (_ struct{}, err error) {
		var owner ident.User
		var id ident.Instance
		if err = row(&owner, &id); err == nil {
			out[owner] = append(out[owner], id)
		}
		return struct{}{}, err
	}, `SELECT owner_id, id FROM instances WHERE phase <> 'deleting' ORDER BY created_at, id`)
	return out, err
}

// observe writes what an agent said, and no more.
func observe(ctx context.Context, tx *store.Tx, i Instance, s wire.State, generation int64, now time.Time) error {
	i.Observed, i.Seen, i.UpdatedAt = s, max(i.Seen, generation), now
	return save(ctx, tx, i)
}
