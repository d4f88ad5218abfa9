package move

import (
	"context"
	"errors"
	"time"

	"github.com/berth-panel/berth/controller/store"
	"github.com/berth-panel/berth/shared/ident"
)

const columns = `job_id, instance_id, from_node, to_node, stage, counts_on, memory_mib, disk_mib, nano_cpus, generation, created_at`

func scan(row func(...any) error) (Move, error) {
	var m Move
	var created int64
	err := row(&m.Job, &m.Instance, &m.From, &m.To, &m.Stage, &m.CountsOn, &m.MemoryMiB, &m.DiskMiB, &m.NanoCPUs, &m.Generation, &created)
	m.CreatedAt = time.UnixMilli(created).UTC()
	return m, err
}

func one(ctx context.Context, q store.Querier, where string, args ...any) (Move, bool, error) {
	m, err := scan(q.QueryRowContext(ctx, `SELECT `+columns+` FROM moves WHERE `+where, args...).Scan)
	if errors.Is(err, store.ErrNoRows) {
		return m, false, nil
	}
	return m, err == nil, err
}

// byJob gives what a job works on.
func byJob(ctx context.Context, q store.Querier, id ident.Job) (Move, bool, error) {
	return one(ctx, q, `job_id = ?`, string(id))
}

// underWay gives the move of an instance that is not only leaving something.
func underWay(ctx context.Context, q store.Querier, id ident.Instance) (Move, bool, error) {
	return one(ctx, q, `instance_id = ? AND stage <> 'leaving'`, string(id))
}

// leavingFrom gives what an instance is leaving on a node.
func leavingFrom(ctx context.Context, q store.Querier, id ident.Instance, node ident.Node) (Move, bool, error) {
	return one(ctx, q, `instance_id = ? AND from_node = ? AND stage = 'leaving'`, string(id), string(node))
}

// leaving gives all that an instance is leaving.
func leaving(ctx context.Context, q store.Querier, id ident.Instance) ([]Move, error) {
	return store.Collect(ctx, q, scan, `SELECT `+columns+` FROM moves WHERE instance_id = ? AND stage = 'leaving'`, string(id))
}

// about gives the moves that have to do with a node.
func about(ctx context.Context, q store.Querier, node ident.Node) ([]Move, error) {
	return store.Collect(ctx, q, scan, `SELECT `+columns+` FROM moves WHERE from_node = ?1 OR to_node = ?1 ORDER BY created_at, job_id`, string(node))
}

// page gives moves, the newest first, and how many there are.
func page(ctx context.Context, q store.Querier, limit, offset int) ([]Move, int, error) {
	total, err := store.Count(ctx, q, `SELECT COUNT(*) FROM moves`)
	if err != nil {
		return nil, 0, err
	}
	moves, err := store.Collect(ctx, q, scan, `SELECT `+columns+` FROM moves ORDER BY created_at DESC, job_id LIMIT ? OFFSET ?`, limit, offset)
	return moves, total, err
}

func insert(ctx context.Context, tx *store.Tx, m Move) error {
	_, err := tx.ExecContext(ctx, `INSERT INTO moves (`+columns+`) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`, string(m.Job), string(m.Instance), string(m.From),
		string(m.To), string(m.Stage), string(m.CountsOn), m.MemoryMiB, m.DiskMiB, m.NanoCPUs, m.Generation, m.CreatedAt.UnixMilli())
	return err
}

// save writes all of m over what the job works on.
func save(ctx context.Context, tx *store.Tx, id ident.Job, m Move) error {
	_, err := tx.ExecContext(ctx, `UPDATE moves SET job_id = ?, from_node = ?, to_node = ?, stage = ?, counts_on = ?, memory_mib = ?, disk_mib = ?,
		nano_cpus = ?, generation = ? WHERE job_id = ?`, string(m.Job), string(m.From), string(m.To), string(m.Stage), string(m.CountsOn),
		m.MemoryMiB, m.DiskMiB, m.NanoCPUs, m.Generation, string(id))
	return err
}

func drop(ctx context.Context, tx *store.Tx, id ident.Job) error {
	_, err := tx.ExecContext(ctx, `DELETE FROM moves WHERE job_id = ?`, string(id))
	return err
}
