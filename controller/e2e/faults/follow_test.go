package faults

import (
	"bufio"
	"context"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"
)

// follower follows the event stream as a client would: after each break it comes
// back with the last id that it saw.
type follower struct {
	base  string
	story *story
	http  *http.Client

	mu   sync.Mutex
	ids  []int64 // as they came
	last int64
	came int // connections

	stop context.CancelFunc
	done sync.WaitGroup
}

// follow begins behind an id.
func follow(base string, after int64, s *story) *follower {
	f := &follower{base: base, story: s, last: after, http: &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}}
	ctx, cancel := context.WithCancel(context.Background())
	f.stop = cancel
	f.done.Go(func() {
		for ctx.Err() == nil {
			_ = f.connect(ctx) // any end is a reason to come back
			select {
			case <-ctx.Done():
			case <-time.After(300 * time.Millisecond):
			}
		}
	})
	return f
}

func (f *follower) close() {
	f.stop()
	f.done.Wait()
}

// seen gives the ids so far.
func (f *follower) seen() []int64 {
	f.mu.Lock()
	defer f.mu.Unlock()
	return append([]int64(nil), f.ids...)
}

// connections is how often it came.
func (f *follower) connections() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.came
}

func (f *follower) connect(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	silence := time.AfterFunc(25*time.Second, cancel) // there is a sign of life every ten
	defer silence.Stop()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, f.base+"/api/v1/events/stream", http.NoBody)
	if err != nil {
		return err
	}
	req.Header.Set("x-api-key", apiKey)
	f.mu.Lock()
	req.Header.Set("Last-Event-ID", strconv.FormatInt(f.last, 10))
	f.mu.Unlock()
	res, err := f.http.Do(req)
	if err != nil {
		return err
	}
	defer func() { _ = res.Body.Close() }()
	if res.StatusCode != http.StatusOK {
		return fmt.Errorf("status %d", res.StatusCode)
	}
	f.mu.Lock()
	f.came++
	f.mu.Unlock()
	id := int64(0)
	lines := bufio.NewScanner(res.Body)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		silence.Reset(25 * time.Second)
		line := lines.Text()
		if text, ok := strings.CutPrefix(line, "id: "); ok {
			if id, err = strconv.ParseInt(text, 10, 64); err != nil {
				return err
			}
		}
		if line == "" && id != 0 { // the event is whole
			f.mu.Lock()
			f.ids, f.last = append(f.ids, id), id
			f.mu.Unlock()
			id = 0
		}
	}
	return lines.Err()
}
