package image_test

import (
	"net/http"
	"net/http/httptest"
	"net/netip"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/berth-panel/berth/controller/image"
	"github.com/berth-panel/berth/shared/guard"
	"github.com/berth-panel/berth/shared/ident"
	"github.com/berth-panel/berth/shared/problem"
)

// loopback opens the test's own machine to what is fetched.
func loopback() image.Doer {
	return guard.Client([]netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")})
}

// publish serves a file that tests change, and gives its address.
func publish(t *testing.T) (file *atomic.Pointer[string], address string) {
	t.Helper()
	file = &atomic.Pointer[string]{}
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if text := file.Load(); text != nil {
			_, _ = w.Write([]byte(*text))
			return
		}
		http.Error(w, "gone", http.StatusGone)
	}))
	t.Cleanup(web.Close)
	return file, web.URL + "/egg.json"
}

// TestUpdateFromItsAddress: the newer form of the same image, and no other, comes
// in from where its file said.
func TestUpdateFromItsAddress(t *testing.T) {
	t.Parallel()
	served, address := publish(t)
	b := setup(t)
	b.images.Attach(loopback())
	from := func(name string, more ...string) string {
		return strings.Replace(anEgg(firstID, "a", name, more...), `"meta":{`, `"meta":{"update_url":"`+address+`?token=hush",`, 1)
	}
	id := b.one("echo.json", from("Echo"), image.Imported).ImageID
	other := b.one("other.json", anEgg(secondID, "a", "Other"), image.Imported).ImageID
	update := func(id string) (image.ImportedFile, error) {
		return b.images.Update(t.Context(), caller(), ident.Image(id))
	}
	refused := func(what, id string, code problem.Code, why string) {
		t.Helper()
		before := b.get(id)
		if _, err := update(id); !problem.Is(err, code) || !strings.Contains(problem.From(err).Message, why) || strings.Contains(err.Error(), "hush") {
			t.Errorf("%s: %v", what, err)
		}
		if now := b.get(id); !now.UpdatedAt.Equal(before.UpdatedAt) || now.Name != before.Name {
			t.Errorf("%s: it is %+v now", what, now)
		}
	}
	refused("nothing is there", id, problem.Validation, "answers 410")
	refused("no address", other, problem.Conflict, "names no address")
	if _, err := update("nobody"); !problem.Is(err, problem.NotFound) {
		t.Errorf("none such: %v", err)
	}
	for what, text := range map[string]string{"can't be used": "{", "another image now": anEgg(secondID, "a", "Other"), "an own uuid": anEgg(secondID, "b", "Echo")} {
		served.Store(&text)
		refused(what, id, problem.Conflict, "stays as it is")
	}
	newer := from("Echo", `,"description":"newer"`)
	served.Store(&newer)
	report, err := update(id)
	if err != nil || report.Status != image.Updated || report.ImageID != id || report.File != address {
		t.Fatalf("%+v, %v", report, err)
	}
	now := b.get(id)
	if now.Description != "newer" || now.Source.UpdateURL != address+"?token=hush" {
		t.Errorf("it is %+v", now)
	}
	renamed := from("Echo Two")
	served.Store(&renamed)
	if report, err := update(id); err != nil || report.ImageID != id || !slices.ContainsFunc(report.Changes, func(c string) bool { return strings.HasPrefix(c, "uuid: ") }) {
		t.Errorf("one that its author renamed: %+v, %v", report, err)
	}
	b.images.Attach(guard.Client(nil))
	refused("not on the public internet", id, problem.Validation, "not on the public internet")
}
