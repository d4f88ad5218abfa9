package instance_test

import (
	"strings"
	"testing"
	"time"

	"github.com/berth-panel/berth/controller/access"
	"github.com/berth-panel/berth/controller/event"
	"github.com/berth-panel/berth/controller/instance"
	"github.com/berth-panel/berth/shared/ident"
	"github.com/berth-panel/berth/shared/wire"
)

// What a node tells of an SFTP session is in the log, as far as it may speak.
func TestSFTPSessionsAreInTheLog(t *testing.T) {
	t.Parallel()
	b := setup(t)
	i := b.ready()
	told := func(user ident.User, address string, deeds ...wire.Deed) event.Event {
		t.Helper()
		b.say(b.node, wire.Event{Type: wire.EventSession, Instance: i.ID, Session: &wire.Session{User: user, Address: address, Began: time.UnixMilli(1), Deeds: deeds, More: 1}})
		list, _, err := b.instances.Events.List(t.Context(), b.db.Snapshot(), event.Filter{Sight: event.Everything(), Type: instance.SFTPEnded, Limit: 1})
		if err != nil || len(list) != 1 {
			t.Fatal(list, err)
		}
		return list[0]
	}
	e := told(i.Owner, "192.0.2.7", wire.Deed{What: "written", Path: "a"}, wire.Deed{What: "hacked", Path: "b"})
	if e.Actor.Via != access.ViaSFTP || e.Actor.User != i.Owner || e.Actor.Username == "" || e.Actor.Address != "192.0.2.7" || e.Owner != i.Owner || e.Instance != i.ID ||
		!strings.Contains(string(e.Data), `"deeds":[{"what":"written","path":"a"}],"more":2`) {
		t.Errorf("%+v %s", e, e.Data)
	}
	if e := told("nobody", "<script>", wire.Deed{What: "written", Path: strings.Repeat("x", 100_000)}); e.Actor.User != "" || e.Actor.Address != "" || len(e.Data) > 1000 {
		t.Errorf("%+v %d", e.Actor, len(e.Data))
	}
	before := e.ID
	b.say("another-node", wire.Event{Type: wire.EventSession, Instance: i.ID, Session: &wire.Session{User: i.Owner}})
	if list, _, err := b.instances.Events.List(t.Context(), b.db.Snapshot(), event.Filter{Sight: event.Everything(), Type: instance.SFTPEnded, Limit: 9}); err != nil || len(list) != 2 {
		t.Errorf("after %d a node spoke for an instance that isn't its: %v %v", before, list, err)
	}
}
