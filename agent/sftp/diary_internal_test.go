package sftp

import (
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/berth-panel/berth/shared/wire"
)

func TestDiarySumsUp(t *testing.T) {
	t.Parallel()
	began := time.Unix(1_700_000_000, 0)
	d := newDiary(began)
	for range 1000 { // packets, and files that are opened again
		d.note("written", "world/level.dat", "")
		d.note("read", "world/level.dat", "")
	}
	d.note("renamed", "a", "b")
	e := d.end(guest{user: "u", instance: "0123abcd", address: "192.0.2.7"}, began.Add(time.Minute))
	if e.Type != wire.EventSession || e.Instance != "0123abcd" || e.Session.User != "u" || e.Session.Address != "192.0.2.7" || !e.Session.Began.Equal(began) ||
		len(e.Session.Deeds) != 3 || e.Session.More != 0 || e.Session.Deeds[2] != (wire.Deed{What: "renamed", Path: "a", To: "b"}) {
		t.Errorf("%+v", e.Session)
	}
	for n := range 500 {
		d.note("removed", wire.Path("f"+strconv.Itoa(n)), "")
	}
	if s := d.end(guest{}, began).Session; len(s.Deeds) != wire.SessionDeeds || s.More != 503-wire.SessionDeeds {
		t.Errorf("%d and %d more", len(s.Deeds), s.More)
	}
}

// What was done in a session is told at its end, once.
func TestSessionIsTold(t *testing.T) {
	t.Parallel()
	b := setup(t)
	c := b.client()
	for range 3 {
		file, err := c.Create("note.txt")
		must(t, err)
		for range 50 {
			_, err = file.Write([]byte("some words"))
			must(t, err)
		}
		must(t, file.Close())
	}
	must(t, c.Mkdir("dir"))
	must(t, c.Rename("note.txt", "dir/other.txt"))
	if c.Remove("none") == nil {
		t.Error("what isn't there was removed")
	}
	must(t, c.Remove("dir/other.txt"))
	must(t, c.Close())
	b.stop() // it waits for the session's end
	b.mu.Lock()
	defer b.mu.Unlock()
	want := []wire.Deed{{What: "written", Path: "note.txt"}, {What: "made", Path: "dir"}, {What: "renamed", Path: "note.txt", To: "dir/other.txt"}, {What: "removed", Path: "dir/other.txt"}}
	if len(b.told) != 1 || b.told[0].Instance != one || b.told[0].Session.User != "u-anna" || b.told[0].Session.Address != "127.0.0.1" || !slices.Equal(b.told[0].Session.Deeds, want) {
		t.Errorf("%+v", b.told)
	}
}
