package file_test

import (
	"io"
	"testing"
	"time"

	"github.com/berth-panel/berth/controller/access"
	"github.com/berth-panel/berth/controller/subuser"
)

// A subuser's download is cut the moment his right to read files is taken, though
// he has others still.
func TestDownloadIsCutWithAShare(t *testing.T) {
	t.Parallel()
	b := setup(t)
	subusers := subuser.NewService(subuser.Deps{DB: b.db, Events: b.events, Instances: b.instances, Now: time.Now})
	b.users.AttachShares(subusers)
	other := must(b.users.UserByUsername(t.Context(), "other"))(t)
	share := func(rights ...access.Right) {
		t.Helper()
		if _, err := subusers.Put(t.Context(), access.Local(), b.id, other.ID, rights); err != nil {
			t.Fatal(err)
		}
	}
	path := "/api/v1/instances/" + string(b.id) + "/files/content?path=a"
	b.at(b.other, "GET", path, nil).refused(404, "NOT_FOUND")
	share(access.ReadConsole, access.ReadFiles)
	content := noise(64 << 10)
	b.volume.do(func() { b.volume.files["a"], b.volume.gate = content, make(chan struct{}) })
	res := b.open(b.other, "GET", path, nil)
	defer func() { _ = res.Body.Close() }()
	if res.StatusCode != 200 {
		t.Fatal(res.Status)
	}
	if _, err := io.ReadFull(res.Body, make([]byte, len(content)/2)); err != nil {
		t.Fatal(err)
	}
	share(access.ReadConsole)
	if rest, err := io.ReadAll(res.Body); err == nil || len(rest) != 0 {
		t.Errorf("it ended as if whole: %d bytes more, %v", len(rest), err)
	}
	b.at(b.other, "GET", path, nil).refused(403, "FORBIDDEN")
}
