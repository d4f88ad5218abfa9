package image_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/berth-panel/berth/controller/image"
)

const (
	firstID  = "0f2bb2b5-1f0e-4e0f-9b39-6a7d10a0c8b1"
	secondID = "7c9e6679-7425-40de-944b-e07fc1f90ae7"
)

// anEgg is a small one.
func anEgg(uuid, author, name string, more ...string) string {
	return fmt.Sprintf(`{"meta":{"version":"PLCN_v3"},"uuid":%q,"author":%q,"name":%q,"docker_images":{"One":"berth.example/one:1"},
		"startup_commands":{"Default":"./run"},"config":{"files":{},"startup":{"done":"up"},"logs":{},"stop":"^C"},"scripts":{},"variables":[]%s}`,
		uuid, author, name, strings.Join(more, ""))
}

func file(text string) image.ImportFile { return image.ImportFile{Name: "egg.json", Text: text} }

// Who is found again, and by what.
func TestFoundAgain(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		before, now string
		want        image.ImportStatus
		called      string
	}{
		"by its uuid":                        {anEgg(firstID, "a", "Echo"), anEgg(firstID, "a", "Echo"), image.Updated, "Echo"},
		"by its uuid, under another name":    {anEgg(firstID, "a", "Echo"), anEgg(firstID, "b", "Parrot"), image.Updated, "Parrot"},
		"by author and name":                 {anEgg("", "a", "Echo"), anEgg("", "a", "Echo"), image.Updated, "Echo"},
		"a uuid has been added":              {anEgg("", "a", "Echo"), anEgg(firstID, "a", "Echo"), image.Updated, "Echo"},
		"its uuid has been left out":         {anEgg(firstID, "a", "Echo"), anEgg("", "a", "Echo"), image.Updated, "Echo"},
		"another uuid is another egg":        {anEgg(firstID, "a", "Echo"), anEgg(secondID, "a", "Echo"), image.Imported, "Echo (2)"},
		"another author's is another egg":    {anEgg("", "a", "Echo"), anEgg("", "b", "Echo"), image.Imported, "Echo (2)"},
		"another name is another egg":        {anEgg("", "a", "Echo"), anEgg("", "a", "Parrot"), image.Imported, "Parrot"},
		"case makes no other name of it":     {anEgg("", "a", "Echo"), anEgg("", "a", "ECHO"), image.Updated, "Echo"},
		"a uuid is the same in any spelling": {anEgg(firstID, "a", "Echo"), anEgg(strings.ToUpper(firstID), "a", "Echo"), image.Updated, "Echo"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := setup(t)
			before := b.one("before.json", tc.before, image.Imported)
			now := b.one("now.json", tc.now, tc.want)
			if now.Name != tc.called || (now.ImageID == before.ImageID) != (tc.want == image.Updated) {
				t.Errorf("%+v, before %+v", now, before)
			}
			if i := b.get(now.ImageID); i.Name != tc.called {
				t.Errorf("it is called %q", i.Name)
			}
			if tc.called == "Echo (2)" && !strings.Contains(strings.Join(now.Changes, "\n"), `name: the catalogue has an image named "Echo" already; this one is "Echo (2)"`) {
				t.Errorf("%q", now.Changes)
			}
		})
	}
}

// Two of one import that would be the same image stay two, are told of, and find
// themselves again, in whatever order they come.
func TestTwoOfOneImport(t *testing.T) {
	t.Parallel()
	for name, two := range map[string][2]string{
		"the same name, one without a uuid": {anEgg(firstID, "a", "Echo"), anEgg("", "a", "Echo", `,"features":["x"]`)},
		"the same name, none with a uuid":   {anEgg("", "a", "Echo"), anEgg("", "a", "Echo", `,"features":["x"]`)},
		"the same uuid":                     {anEgg(firstID, "a", "Echo"), anEgg(firstID, "b", "Parrot")},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := setup(t)
			got := b.take(image.ImportFile{Name: "1.json", Text: two[0]}, image.ImportFile{Name: "2.json", Text: two[1]})
			if got[0].Status != image.Imported || got[1].Status != image.Imported || got[0].ImageID == got[1].ImageID || got[0].Name == got[1].Name {
				t.Fatalf("%+v", got)
			}
			if len(got[0].Changes) != 0 || !strings.Contains(strings.Join(got[1].Changes, "\n"), `name: 1.json of this import is "Echo" too`) {
				t.Errorf("told: %q, %q", got[0].Changes, got[1].Changes)
			}
			again := b.take(image.ImportFile{Name: "2.json", Text: two[1]}, image.ImportFile{Name: "1.json", Text: two[0]})
			if name == "the same name, none with a uuid" {
				return // nothing tells them apart but their order
			}
			if again[0].Status != image.Updated || again[0].ImageID != got[1].ImageID || again[1].ImageID != got[0].ImageID {
				t.Errorf("%+v, then %+v", got, again)
			}
		})
	}
}

// A folder that comes in several calls is one import.
func TestApartFromEarlierCalls(t *testing.T) {
	t.Parallel()
	b := setup(t)
	first := b.one("1.json", anEgg("", "a", "Echo"), image.Imported)
	report, err := b.images.Import(t.Context(), caller(), image.ImportOrder{Files: []image.ImportFile{file(anEgg("", "a", "Echo"))}, ApartFrom: ids(first.ImageID)})
	if err != nil || report.Files[0].Status != image.Imported || report.Files[0].Name != "Echo (2)" {
		t.Errorf("%+v, %v", report, err)
	}
}

// An update leaves what people have made of an image, and what its instances run.
func TestUpdateLeavesWhatItMust(t *testing.T) {
	t.Parallel()
	b := setup(t, "berth.example/one:1", "berth.example/gone:1")
	with := func(extra string) string {
		return strings.Replace(anEgg(firstID, "a", "Echo"), `"variables":[]`, `"variables":[{"name":"Token","env_variable":"TOKEN","user_viewable":true,"user_editable":true}]`+extra, 1)
	}
	id := b.one("1.json", with(""), image.Imported).ImageID
	if grace := b.get(id).StopGraceSeconds; grace != 60 {
		t.Errorf("a stop of what came from an egg may take %d s", grace)
	}
	_, err := b.images.Change(t.Context(), caller(), ids(id)[0], func(i *image.Image) error {
		i.Name, i.Pull, i.StopGraceSeconds, i.Variables[0].Secret = "Ours", "always", 45, true
		i.Crash = &image.CrashPolicy{Limit: 3}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	got := b.one("2.json", with(`,"features":["eula"]`), image.Updated)
	i := b.get(id)
	if i.Name != "Ours" || got.Name != "Ours" || i.Pull != "always" || i.StopGraceSeconds != 45 || !i.Variables[0].Secret || i.Crash == nil || len(i.Features) != 1 {
		t.Errorf("%+v", i)
	}
	if len(i.References) != 2 || i.References[1] != "berth.example/gone:1" || len(i.Labels) != 2 || !strings.Contains(strings.Join(got.Changes, "\n"), "references: berth.example/gone:1 stays") {
		t.Errorf("%q %q %q", i.References, i.Labels, got.Changes)
	}
	before := b.get(id).UpdatedAt
	b.one("2.json", with(`,"features":["eula"]`), image.Updated)
	if b.get(id).UpdatedAt != before {
		t.Error("an import that changes nothing makes the image newer")
	}
}

// What is no definition is skipped, what is a broken one refused, and neither
// stands in the way of the others.
func TestEachFileByItself(t *testing.T) {
	t.Parallel()
	b := setup(t)
	got := b.take(
		image.ImportFile{Name: "LICENSE", Text: "Do what you want."},
		image.ImportFile{Name: "package.json", Text: `{"name":"x","version":"1","scripts":{"test":"y"}}`},
		image.ImportFile{Name: "ci.yml", Text: "on: [push]\njobs: {}\n"},
		image.ImportFile{Name: "page.json", Text: "\n<html>"},
		image.ImportFile{Name: "broken.json", Text: "{\n\"meta\": {\"version\": \"PTDL_v2\"},\n\"name\" \"x\"}"},
		image.ImportFile{Name: "stopped.json", Text: strings.Replace(anEgg("", "a", "Stopped"), `"^C"`, `"^^C"`, 1)},
		image.ImportFile{Name: "old.json", Text: "{\"Name\":\"Old\",\n\"Image\":\"not a reference\",\"Cmd\":\"x\"}"},
		image.ImportFile{Name: "older.json", Text: `{"Name":"Older","Image":"a:1","Cmd":"x","Scripts":{"install":{"URL":"https://example.org/a.jar","renameto":"b.jar"}},"ConfigFilePath":"a.cfg","Maker":"me"}`},
	)
	want := []string{
		"LICENSE skipped  this is not the definition of an image: no egg, no classic image, no Compose file",
		"package.json skipped  this is not the definition of an image: no egg, no classic image, no Compose file",
		"ci.yml skipped  this is not the definition of an image: no egg, no classic image, no Compose file",
		"page.json refused  this is not JSON: line 2: invalid character '<' looking for beginning of value",
		"broken.json refused PTDL_v2 line 3: not JSON: invalid character '\"' after object key",
		"stopped.json imported PLCN_v3 ",
		`old.json refused classic line 2: Image: number 1 is not the name of a container image: "not a reference"`,
		"older.json imported classic ",
	}
	for n, f := range got {
		if line := fmt.Sprintf("%s %s %s %s", f.File, f.Status, f.Format, f.Error); line != want[n] {
			t.Errorf("got  %s\nwant %s", line, want[n])
		}
	}
	if fmt.Sprint(got[5].Changes) != `[config.stop: "^^C" means the signal SIGINT, and is written ^C]` || fmt.Sprint(got[7].Ignored) != "[ConfigFileContent ConfigFilePath Maker]" {
		t.Errorf("%q, %q", got[5].Changes, got[7].Ignored)
	}
	all, err := b.images.All(t.Context())
	if err != nil || len(all) != 2 || all[1].Install[0].Path != "b.jar" {
		t.Errorf("%+v, %v", all, err)
	}
	b.comesBack(all)
}

// A file that only a copied uuid finds, or only a name without an author, is taken as
// the newer form, and told of.
func TestTakenForAnother(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.one("1.json", anEgg(firstID, "a", "Echo"), image.Imported)
	got := b.one("2.json", anEgg(firstID, "b", "Parrot"), image.Updated)
	if want := `uuid: it is that of "Echo" by a, which is now "Parrot" by b; if they are two images, give this file a uuid of its own and import both again`; !slices.Contains(got.Changes, want) {
		t.Errorf("%q", got.Changes)
	}
	if got := b.one("2.json", anEgg(firstID, "b", "Parrot"), image.Updated); len(got.Changes) != 0 {
		t.Errorf("the same once more: %q", got.Changes)
	}
	b.one("3.json", anEgg("", "", "Web"), image.Imported)
	if got := b.one("3.json", strings.ReplaceAll(anEgg("", "", "Web"), "one:1", "one:2"), image.Updated); len(got.Changes) != 0 {
		t.Errorf("another tag: %q", got.Changes)
	}
	got = b.one("4.json", strings.ReplaceAll(anEgg("", "", "Web"), "berth.example/one:1", "localhost:5000/other"), image.Updated)
	if want := "name: the image of this name ran berth.example/one:2 and is now this file's; if they are two images, give one another name and import both again"; !slices.Contains(got.Changes, want) {
		t.Errorf("%q", got.Changes)
	}
}

// What a file's overlay doesn't say is left as it is, as without one.
func TestAnOverlaySaysWhatItSays(t *testing.T) {
	t.Parallel()
	for name, overlay := range map[string]string{"nothing": `,"berth":{}`, "something else": `,"berth":{"volume":"/data"}`, "none": ""} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := setup(t)
			text := func(overlay string) string {
				return strings.Replace(anEgg(firstID, "a", "Echo"), `"variables":[]`, `"variables":[{"name":"T","env_variable":"TOKEN","default_value":"hunter2"}]`+overlay, 1)
			}
			id := b.one("egg.json", text(""), image.Imported).ImageID
			_, err := b.images.Change(t.Context(), caller(), ids(id)[0], func(i *image.Image) error {
				i.Variables[0].Secret, i.Pull, i.StopGraceSeconds, i.StartTimeoutSeconds = true, "always", 45, 9
				return nil
			})
			if err != nil {
				t.Fatal(err)
			}
			b.one("egg.json", text(overlay), image.Updated)
			if i := b.get(id); !i.Variables[0].Secret || i.Pull != "always" || i.StopGraceSeconds != 45 || i.StartTimeoutSeconds != 9 {
				t.Errorf("%+v", i.Definition)
			}
			b.one("egg.json", text(`,"berth":{"pull":"never","start_timeout_seconds":null}`), image.Updated)
			if i := b.get(id); !i.Variables[0].Secret || i.Pull != "never" || i.StopGraceSeconds != 45 || i.StartTimeoutSeconds != 0 {
				t.Errorf("%+v", i.Definition)
			}
		})
	}
}
