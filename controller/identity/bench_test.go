package identity_test

import (
	"fmt"
	"io"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/berth-panel/berth/controller/store"
)

// BenchmarkPage is the way of a keyed call that reads a page of 50 small objects,
// with all that is before it: 8 connections, real sockets, the client in the same
// process.
func BenchmarkPage(b *testing.B) {
	s := setup(b)
	err := s.db.Write(s.ctx(), func(tx *store.Tx) error {
		for i := range 1000 {
			if _, err := tx.ExecContext(s.ctx(), `INSERT INTO users (id, username, email, password_hash, created_at, updated_at) VALUES (?, ?, ?, '', 0, 0)`,
				fmt.Sprint(i), fmt.Sprint("user", i), fmt.Sprint("user", i, "@example.test")); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		b.Fatal(err)
	}
	s.serve()
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 8, MaxConnsPerHost: 8}}
	b.ResetTimer()
	var left atomic.Int64
	left.Store(int64(b.N))
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for left.Add(-1) >= 0 {
				req, err := http.NewRequestWithContext(s.ctx(), http.MethodGet, s.url+"/api/v1/users?limit=50&page=3", nil)
				if err != nil {
					b.Error(err)
					return
				}
				req.Header.Set("X-Api-Key", adminKey)
				res, err := client.Do(req)
				if err != nil {
					b.Error(err)
					return
				}
				if _, err := io.Copy(io.Discard, res.Body); err != nil || res.StatusCode != http.StatusOK {
					b.Error(res.StatusCode, err)
				}
				_ = res.Body.Close()
			}
		})
	}
	wg.Wait()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "req/s")
}

// BenchmarkAuthenticate is what every keyed call costs before anything else.
func BenchmarkAuthenticate(b *testing.B) {
	s := setup(b)
	for b.Loop() {
		if _, err := s.svc.Authenticate(s.ctx(), adminKey); err != nil {
			b.Fatal(err)
		}
	}
}
