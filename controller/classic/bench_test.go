package classic_test

import (
	"fmt"
	"io"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/berth-panel/berth/controller/store"
	"github.com/berth-panel/berth/shared/ident"
)

// populate deploys one instance and copies its row until there are n, on four
// nodes and of four images, each with an owner and a port of its own.
func (b *bundle) populate(n int) {
	b.t.Helper()
	h := b.host("one")
	first := b.deploy(h, b.admin, 30001)
	for _, name := range []string{"two", "three", "four"} {
		b.post(adminKey, "/api/nodes/create", newNode(object{"name": name})).object(201)
	}
	err := b.db.Write(b.t.Context(), func(tx *store.Tx) error {
		for _, statement := range []string{
			`WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?1)
				INSERT INTO users (id, username, email, password_hash, created_at, updated_at)
				SELECT printf('user-%d', i), printf('user%d', i), printf('user%d@example.org', i), 'x', i, i FROM n WHERE ?2 = ?2`,
			`WITH RECURSIVE n(i) AS (SELECT 2 UNION ALL SELECT i + 1 FROM n WHERE i < ?1)
				INSERT INTO instances (id, name, owner_id, node_id, image_id, reference, memory_mib, nano_cpus, disk_mib, variables, spec, generation,
					power, phase, actual, container_id, observed, observed_generation, created_at, updated_at)
				SELECT printf('%08x', i), printf('instance %d', i), printf('user-%d', i), (SELECT id FROM (SELECT id, row_number() OVER () AS k FROM nodes) WHERE k = 1 + i % 4),
					(SELECT id FROM images WHERE created_seq = 1 + i % 4), reference, memory_mib, nano_cpus, disk_mib, variables, spec, generation,
					power, phase, actual, printf('%064x', i), observed, observed_generation, created_at + i, updated_at
				FROM n, instances WHERE instances.id = ?2`,
		} {
			if _, err := tx.ExecContext(b.t.Context(), statement, n, first); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		b.t.Fatal(err)
	}
	if l := len(b.get(adminKey, "/api/instances").list(200)); l != n {
		b.t.Fatalf("%d instances are listed, not %d", l, n)
	}
}

// touch is a commit that changes something.
func (b *bundle) touch() error { return b.event(b.admin, ident.Instance(""), "", "touched") }

// measure calls path over 8 connections, b.N times in all, and reports calls a
// second and the 99th percentile. With changing true, every call is preceded by
// a commit of its own, so that hardly anything can be kept.
func measure(b *testing.B, w *bundle, path string, changing bool) {
	const connections = 8
	var left, size atomic.Int64
	left.Store(int64(b.N))
	took := make([][]time.Duration, connections)
	var all sync.WaitGroup
	b.ResetTimer()
	for c := range connections {
		all.Go(func() {
			for left.Add(-1) >= 0 {
				if changing {
					if err := w.touch(); err != nil {
						b.Error(err)
					}
				}
				began := time.Now()
				n, err := w.swallow(path)
				if err != nil {
					b.Error(err)
					return
				}
				size.Store(n)
				took[c] = append(took[c], time.Since(began))
			}
		})
	}
	all.Wait()
	b.StopTimer()
	times := slices.Concat(took...)
	slices.Sort(times)
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "req/s")
	b.ReportMetric(float64(times[min(len(times)*99/100, len(times)-1)].Microseconds())/1000, "p99-ms")
	b.ReportMetric(float64(size.Load())/1024, "KiB")
}

// swallow gets a path and counts the bytes.
func (b *bundle) swallow(path string) (int64, error) {
	request, err := http.NewRequest(http.MethodGet, b.url+path, http.NoBody)
	if err != nil {
		return 0, err
	}
	request.Header.Set("x-api-key", adminKey)
	response, err := b.client.Do(request)
	if err != nil {
		return 0, err
	}
	defer func() { _ = response.Body.Close() }()
	n, err := io.Copy(io.Discard, response.Body)
	if err == nil && response.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s", path, response.Status)
	}
	return n, err
}

func BenchmarkLists(b *testing.B) {
	for _, n := range []int{1000, 10000} {
		w := setup(b)
		w.populate(n)
		for _, path := range []string{"/api/instances", "/api/users"} {
			b.Run(fmt.Sprintf("%s/%d/quiet", path[5:], n), func(b *testing.B) { measure(b, w, path, false) })
			b.Run(fmt.Sprintf("%s/%d/changing", path[5:], n), func(b *testing.B) { measure(b, w, path, true) })
		}
	}
}
