package node_test

import (
	"database/sql"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/berth-panel/berth/controller/node"
	"github.com/berth-panel/berth/controller/roomtest"
)

// The nodes and instances of a database of the release before are counted when
// it is migrated.
func TestLoadsOfAMigratedDatabase(t *testing.T) {
	t.Parallel()
	dump, err := os.ReadFile("../../migrations/testdata/0001.sql")
	if err != nil {
		t.Fatal(err)
	}
	b := &bundle{t: t, dir: t.TempDir(), fleet: &presences{}, guests: &guests{}, log: &roomtest.Log{}}
	old, err := sql.Open("sqlite3", filepath.Join(b.dir, "berth.db"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := old.Exec(string(dump)); err != nil {
		t.Fatal(err)
	}
	if err := old.Close(); err != nil {
		t.Fatal(err)
	}
	b.open(b.fleet, time.Now)
	instances := 0
	for _, n := range b.all() {
		var room node.Capacity
		var load, sum node.Load
		var takes bool
		var name string
		row := b.db.Snapshot().QueryRowContext(t.Context(), `SELECT name, takes, memory_room, disk_room, cpu_room, cores, instances, memory_mib, disk_mib, nano_cpus
			FROM node_loads WHERE node_id = ?`, string(n.ID))
		err := row.Scan(&name, &takes, &room.MemoryMiB, &room.DiskMiB, &room.NanoCPUs, &room.Cores, &load.Instances, &load.MemoryMiB, &load.DiskMiB, &load.NanoCPUs)
		if err != nil {
			t.Fatal(err)
		}
		row = b.db.Snapshot().QueryRowContext(t.Context(), `SELECT COUNT(*), TOTAL(memory_mib), TOTAL(disk_mib), CAST(TOTAL(nano_cpus) AS INTEGER) FROM instances WHERE node_id = ?`, string(n.ID))
		if err := row.Scan(&sum.Instances, &sum.MemoryMiB, &sum.DiskMiB, &sum.NanoCPUs); err != nil {
			t.Fatal(err)
		}
		if name != n.Name || takes != (n.EnrolledAt != nil) || room != n.Capacity() || load != sum {
			t.Errorf("%s takes %v, %+v, %+v; want %s %v, %+v, %+v", name, takes, room, load, n.Name, n.EnrolledAt != nil, n.Capacity(), sum)
		}
		instances += load.Instances
	}
	if instances == 0 {
		t.Error("nothing was compared")
	}
}
