package journal

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/berth-panel/berth/shared/ident"
	"github.com/berth-panel/berth/shared/wire"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var when = time.Date(2026, 11, 22, 10, 0, 0, 0, time.UTC)

func open(t *testing.T, path string) *Journal {
	t.Helper()
	j, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = j.Close() }) // a second close does no harm
	return j
}

func setup(t *testing.T) (*Journal, string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "journal.db")
	return open(t, path), path
}

func state(id ident.Instance, actual wire.Actual) wire.Event {
	return wire.Event{At: when, Type: wire.EventState, Instance: id, Generation: 1, State: &wire.State{Actual: actual}}
}

func progress(id ident.Instance, percent int) wire.Event {
	return wire.Event{At: when, Type: wire.EventProgress, Instance: id, Progress: &wire.Progress{Step: "pull", Percent: percent}}
}

func write(t *testing.T, j *Journal, c Change) {
	t.Helper()
	if err := j.Write(c); err != nil {
		t.Fatal(err)
	}
}

func seqs(t *testing.T, j *Journal, after int64, limit int) []int64 {
	t.Helper()
	events, err := j.Events(after, limit)
	if err != nil {
		t.Fatal(err)
	}
	list := []int64{}
	for _, e := range events {
		list = append(list, e.Seq)
	}
	return list
}

func TestWhatWasWrittenIsThereAfterReopening(t *testing.T) {
	t.Parallel()
	j, path := setup(t)
	spec := wire.Spec{Instance: "00000001", Generation: 3, Env: []string{"A=1"}}
	known := Known{Applied: 2, Owner: &Owner{UID: 1, GID: 2}, Halt: HaltEnded, HaltAt: when, Crashes: []time.Time{when}, Told: 3}
	write(t, j, Change{Instance: "00000001", Desired: &Desired{Generation: 3, Spec: &spec}, Known: &known, Events: []wire.Event{state("00000001", wire.ActualRunning)}})
	write(t, j, Change{Instance: "00000002", Desired: &Desired{Generation: 9, Removal: &wire.Removal{Generation: 9}}})
	epoch := j.Epoch()
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	if err := j.Write(Change{}); !errors.Is(err, ErrClosed) {
		t.Errorf("a write after the close: %v", err)
	}

	j = open(t, path)
	if j.Epoch() != epoch || j.LastSeq() != 1 || epoch == "" {
		t.Errorf("epoch %q, last %d", j.Epoch(), j.LastSeq())
	}
	records, err := j.Records()
	want := []Record{
		{Instance: "00000001", Desired: Desired{Generation: 3, Spec: &spec}, Known: known},
		{Instance: "00000002", Desired: Desired{Generation: 9, Removal: &wire.Removal{Generation: 9}}},
	}
	if err != nil || !reflect.DeepEqual(records, want) {
		t.Errorf("records %+v, %v", records, err)
	}
	events, err := j.Events(0, 10)
	if err != nil || len(events) != 1 || events[0].State.Actual != wire.ActualRunning || !events[0].At.Equal(when) {
		t.Errorf("events %+v, %v", events, err)
	}
}

func TestNumbersNeverRepeat(t *testing.T) {
	t.Parallel()
	j, path := setup(t)
	for range 5 {
		write(t, j, Change{Events: []wire.Event{state("00000001", wire.ActualRunning)}})
	}
	if _, err := j.Ack(5); err != nil {
		t.Fatal(err)
	}
	if got := seqs(t, j, 0, 10); len(got) != 0 {
		t.Errorf("acknowledged and kept: %v", got)
	}
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	j = open(t, path)
	write(t, j, Change{Events: []wire.Event{state("00000001", wire.ActualRunning), state("00000002", wire.ActualRunning)}})
	if got := seqs(t, j, 0, 10); !reflect.DeepEqual(got, []int64{6, 7}) {
		t.Errorf("numbers %v", got)
	}
	if got := seqs(t, j, 6, 10); !reflect.DeepEqual(got, []int64{7}) {
		t.Errorf("after 6: %v", got)
	}
	if got := seqs(t, j, 0, 1); !reflect.DeepEqual(got, []int64{6}) {
		t.Errorf("at most one: %v", got)
	}
}

func TestProgressReplacesOlderProgressOnly(t *testing.T) {
	t.Parallel()
	j, _ := setup(t)
	write(t, j, Change{Events: []wire.Event{
		progress("00000001", 10), state("00000001", wire.ActualStopped), progress("00000002", 5), progress("00000001", 20),
	}})
	j.Post(progress("00000001", 30))
	write(t, j, Change{Events: []wire.Event{state("00000001", wire.ActualRunning)}})
	if got := seqs(t, j, 0, 10); !reflect.DeepEqual(got, []int64{2, 3, 5, 6}) {
		t.Fatalf("kept %v", got)
	}
	if _, err := j.Ack(5); err != nil {
		t.Fatal(err)
	}
	write(t, j, Change{Events: []wire.Event{progress("00000001", 40)}})
	if got := seqs(t, j, 0, 10); !reflect.DeepEqual(got, []int64{6, 7}) {
		t.Errorf("kept %v", got)
	}
}

func TestPostedEventsArriveByThemselves(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		j, _ := setup(t)
		defer func() { _ = j.Close() }()
		changed := j.Changed()
		j.Post(progress("00000001", 1))
		<-changed
		if got := seqs(t, j, 0, 10); !reflect.DeepEqual(got, []int64{1}) {
			t.Errorf("kept %v", got)
		}
	})
}

func TestPostedEventsAreWrittenAtTheClose(t *testing.T) {
	t.Parallel()
	j, path := setup(t)
	for i := range 300 {
		j.Post(progress(ident.Instance(fmt.Sprintf("%08x", i)), 1))
	}
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	j.Post(progress("00000001", 2)) // nobody waits for ever
	if got := seqs(t, open(t, path), 0, 1000); len(got) != 300 {
		t.Errorf("%d of 300 were kept", len(got))
	}
}

func TestTombstoneLastsUntilItsEventIsAcknowledged(t *testing.T) {
	t.Parallel()
	j, path := setup(t)
	removed := wire.Event{At: when, Type: wire.EventRemoved, Instance: "00000001", Generation: 2}
	gone := Change{
		Instance: "00000001", Desired: &Desired{Generation: 2, Removal: &wire.Removal{Generation: 2}}, Known: &Known{},
		Events: []wire.Event{removed}, Tombstone: true,
	}
	write(t, j, Change{Events: []wire.Event{state("00000001", wire.ActualRunning)}})
	write(t, j, gone)
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	j = open(t, path)
	if forgotten, err := j.Ack(1); err != nil || len(forgotten) != 0 {
		t.Fatalf("forgotten too early: %v, %v", forgotten, err)
	}
	if r, err := j.Records(); err != nil || len(r) != 1 || !r[0].Gone {
		t.Fatalf("records %+v, %v", r, err)
	}
	if forgotten, err := j.Ack(2); err != nil || !reflect.DeepEqual(forgotten, []ident.Instance{"00000001"}) {
		t.Fatalf("forgotten %v, %v", forgotten, err)
	}
	if r, err := j.Records(); err != nil || len(r) != 0 {
		t.Fatalf("records %+v, %v", r, err)
	}
	// A new instance of the same id takes the tombstone away.
	write(t, j, gone)
	write(t, j, Change{Instance: "00000001", Desired: &Desired{Generation: 3, Spec: &wire.Spec{}}})
	if forgotten, err := j.Ack(99); err != nil || len(forgotten) != 0 {
		t.Fatalf("the new one was forgotten: %v, %v", forgotten, err)
	}
	if r, err := j.Records(); err != nil || len(r) != 1 || r[0].Gone || r[0].Desired.Generation != 3 {
		t.Errorf("records %+v, %v", r, err)
	}
}

func TestOvertakenStatesAreDroppedWhenTooManyAreKept(t *testing.T) {
	t.Parallel()
	j, path := setup(t)
	j.floor, j.limit = 50, 50
	removed := wire.Event{At: when, Type: wire.EventRemoved, Instance: "0000000a"}
	write(t, j, Change{Events: []wire.Event{removed}})
	for i := range 1000 {
		id := ident.Instance(fmt.Sprintf("%08x", i%10))
		write(t, j, Change{Events: []wire.Event{state(id, wire.Actual(fmt.Sprint(i)))}})
	}
	events, err := j.Events(0, 2000)
	if err != nil || len(events) > 60 {
		t.Fatalf("%d events are kept (%v)", len(events), err)
	}
	if events[0].Type != wire.EventRemoved {
		t.Error("the removal was dropped")
	}
	latest := map[ident.Instance]wire.Actual{}
	var last int64
	for _, e := range events {
		if e.Seq <= last {
			t.Fatalf("%d follows %d", e.Seq, last)
		}
		last = e.Seq
		if e.State != nil {
			latest[e.Instance] = e.State.Actual
		}
	}
	for i := 990; i < 1000; i++ {
		if id := ident.Instance(fmt.Sprintf("%08x", i%10)); latest[id] != wire.Actual(fmt.Sprint(i)) {
			t.Errorf("the latest state of %s is %q", id, latest[id])
		}
	}
	count := j.count
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	if j = open(t, path); j.count != count || j.count != len(events) {
		t.Errorf("counted %d, %d after reopening, there are %d", count, j.count, len(events))
	}
}

func TestManyWritersAndAReader(t *testing.T) {
	t.Parallel()
	j, _ := setup(t)
	const writers, each = 20, 50
	var wg sync.WaitGroup
	for i := range writers {
		wg.Go(func() {
			id := ident.Instance(fmt.Sprintf("%08x", i))
			for n := range int64(each) {
				j.Post(progress(id, int(n)))
				if err := j.Write(Change{Instance: id, Desired: &Desired{Generation: n + 1}, Events: []wire.Event{state(id, wire.ActualRunning)}}); err != nil {
					t.Error(err)
				}
			}
		})
	}
	seen := 0
	var after int64
	for seen < writers*each {
		changed := j.Changed()
		events, err := j.Events(after, 7)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range events {
			if e.Seq <= after {
				t.Fatalf("%d follows %d", e.Seq, after)
			}
			after = e.Seq
			if e.Type == wire.EventState {
				seen++
			}
		}
		if len(events) == 0 {
			<-changed
		} else if _, err := j.Ack(after); err != nil {
			t.Fatal(err)
		}
	}
	wg.Wait()
	records, err := j.Records()
	if err != nil || len(records) != writers {
		t.Fatalf("%d records, %v", len(records), err)
	}
	for _, r := range records {
		if r.Desired.Generation != each {
			t.Errorf("%s is at %d", r.Instance, r.Desired.Generation)
		}
	}
}

func TestJournalInUse(t *testing.T) {
	t.Parallel()
	_, path := setup(t)
	if _, err := Open(path); err == nil || !strings.Contains(err.Error(), "another agent") {
		t.Errorf("opened twice: %v", err)
	}
}

func TestDamagedFilesAreAClearError(t *testing.T) {
	t.Parallel()
	j, path := setup(t)
	for i := range 200 {
		id := ident.Instance(fmt.Sprintf("%08x", i))
		spec := wire.Spec{Instance: id, Env: []string{strings.Repeat("x", 2000)}}
		write(t, j, Change{Instance: id, Desired: &Desired{Generation: 1, Spec: &spec}, Events: []wire.Event{state(id, wire.ActualRunning)}})
	}
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string][]byte{
		"not a journal": []byte(strings.Repeat("hello ", 10_000)),
		"short":         whole[:100],
		"cut":           whole[:len(whole)/8],
		"overwritten":   append(append([]byte(nil), whole[:8192]...), make([]byte, len(whole)-8192)...),
		"garbage":       append(append([]byte(nil), whole[:8192]...), []byte(strings.Repeat("\xff\x00garbage", len(whole)/9))...),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path := filepath.Join(t.TempDir(), "journal.db")
			if err := os.WriteFile(path, text, 0o600); err != nil {
				t.Fatal(err)
			}
			j, err := Open(path)
			if err == nil {
				_ = j.Close()
				t.Fatal("it was opened")
			}
			if !strings.Contains(err.Error(), "damaged") || !strings.Contains(err.Error(), path) {
				t.Errorf("the error is %q", err)
			}
		})
	}
}
