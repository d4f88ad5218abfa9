package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/mattn/go-sqlite3"
)

// groupMost is how many Writes share a commit at most: it bounds how long the
// first of them waits for the last.
const groupMost = 16

// group is a transaction of SQLite that Writes share, one after the other, each
// in a savepoint of its own: what one of them takes back leaves the others as
// they are. All are committed together, or none is. Under load a commit is then
// paid once for several Writes, of which most change the same pages (the ends of
// the indexes).
type group struct {
	raw    *sql.Tx
	writes int // that are in it to stay

	done chan struct{} // closed when it has ended
	err  error         // why nothing of it was committed; others read it after done
}

// join runs f as a part of the open group, or of a new one. It has the turn, and
// passes it on: whoever is next joins as well, and where nobody is, the group
// ends (see turns.last). A Tx is good once the group is done.
func (d *DB) join(ctx context.Context, f func(tx *Tx) error) (*Tx, *group, error) {
	defer d.turns.pass()
	if d.open == nil {
		// What is others' as well mustn't end with somebody's context.
		raw, err := d.writer.BeginTx(context.WithoutCancel(ctx), nil)
		if err != nil {
			return nil, nil, err
		}
		d.open = &group{raw: raw, done: make(chan struct{})}
	}
	g := d.open
	defer func() {
		if g.err != nil || g.writes >= groupMost {
			d.settle()
		}
	}()
	tx, err := g.run(context.WithoutCancel(ctx), f)
	return tx, g, err
}

// run runs f in its savepoint; where f fails or panics, what it wrote is taken back.
func (g *group) run(ctx context.Context, f func(tx *Tx) error) (_ *Tx, err error) {
	if _, err := g.raw.ExecContext(ctx, `SAVEPOINT write`); err != nil {
		return nil, err
	}
	kept := false
	defer func() {
		if !kept {
			g.takeBack(ctx, err)
		}
	}()
	tx := &Tx{raw: g.raw}
	if err := f(tx); err != nil {
		return nil, err
	}
	if _, err := g.raw.ExecContext(ctx, `RELEASE write`); err != nil {
		return nil, err
	}
	kept = true
	g.writes++
	return tx, nil
}

// takeBack undoes the Write that failed. Where that can't be had, nothing of the
// group can be kept: after some errors (a full disk) SQLite has already taken the
// whole transaction back.
func (g *group) takeBack(ctx context.Context, failed error) {
	_, err := g.raw.ExecContext(ctx, `ROLLBACK TO write`)
	if err == nil {
		_, err = g.raw.ExecContext(ctx, `RELEASE write`)
	}
	if err == nil {
		return
	}
	var cause sqlite3.Error
	if errors.As(failed, &cause) {
		err = cause
	}
	g.err = fmt.Errorf("another write of the same transaction broke it: %w", err)
}

// settle ends the open group, if there is one. It needs the turn.
func (d *DB) settle() {
	g := d.open
	if g == nil {
		return
	}
	d.open = nil
	if g.err == nil {
		g.err = g.raw.Commit()
	}
	_ = g.raw.Rollback() // after a commit it does nothing
	if g.err == nil {
		d.version.Add(1)
	}
	close(g.done)
}
