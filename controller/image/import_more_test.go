package image_test

import (
	"encoding/base64"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/berth-panel/berth/controller/access"
	"github.com/berth-panel/berth/controller/image"
	"github.com/berth-panel/berth/shared/guard"
	"github.com/berth-panel/berth/shared/ident"
	"github.com/berth-panel/berth/shared/problem"
)

func caller() access.Caller { return access.Local() }

func ids(list ...string) []ident.Image {
	out := make([]ident.Image, len(list))
	for n, id := range list {
		out[n] = ident.Image(id)
	}
	return out
}

// Every quirk of our own eggs survives the way out and in.
func TestQuirksComeBack(t *testing.T) {
	t.Parallel()
	b := setup(t)
	var files []image.ImportFile
	for _, pattern := range []string{"egg/testdata/*.json", "egg/testdata/*.yaml"} {
		found, err := filepath.Glob(pattern)
		if err != nil || len(found) == 0 {
			t.Fatal(pattern, err)
		}
		for _, path := range found {
			text, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			files = append(files, image.ImportFile{Name: path, Text: string(text)})
		}
	}
	for _, f := range b.take(files...) {
		if f.Status != image.Imported {
			t.Errorf("%+v", f)
		}
	}
	all, err := b.images.All(t.Context())
	if err != nil || len(all) != len(files) {
		t.Fatalf("%d of %d, %v", len(all), len(files), err)
	}
	b.comesBack(all)
}

// An image that was never a file goes out in every form and comes back whole.
func TestOwnImageComesBack(t *testing.T) {
	t.Parallel()
	b := setup(t)
	made, err := b.images.Create(t.Context(), caller(), image.Image{Name: "Ours & <theirs>", Definition: image.Definition{
		Description: "All that an egg has no word for", Author: "us", AuthorName: "We", References: []string{"a:1", "b:2"}, Labels: []string{"Same", "Same"}, Pull: "always",
		Patches: []image.Patch{
			{Path: "a.yml", Parser: "yaml", Set: []image.PatchSet{{Match: "a", Value: "1"}, {Match: "a", Value: true, If: "x"}, {Match: "b", Value: nil}, {Match: "b", Value: 1.5}}},
			{Path: "a.yml", Parser: "file", Set: []image.PatchSet{{Match: "a", Value: "a b"}}},
		},
		Command: []string{"run", "it's {{NAME}}", ""}, Env: []string{"A=b", "B={{NAME}}"}, StopCommand: "^SIGQUIT", StopGraceSeconds: 33,
		ReadyLine: "up", ReadyLines: []string{"regex:^ready$"}, StartTimeoutSeconds: 9, Crash: &image.CrashPolicy{Limit: 2, CleanCodes: []int{130}},
		Volume: "/data", NoTTY: true, Install: []image.Download{{URI: "https://example.org/{{NAME}}.jar", Path: "a b.jar", SHA256: strings.Repeat("0", 64)}},
		Variables: []image.Variable{{Name: "NAME", Type: "text", Required: true, Secret: true}, {Name: "HOME", Default: "x"}}, Release: "7",
		ConfigFile: &image.File{Path: "a", Content: "b"},
	}})
	if err != nil {
		t.Fatal(err)
	}
	text := b.export(string(made.ID), "", "json")
	for _, line := range []string{`wget -O 'a b.jar' 'https://example.org/'\"${NAME}\"'.jar'`, `run 'it'\\''s '\"${NAME}\" ''`} {
		if !strings.Contains(text, line) {
			t.Errorf("%s isn't in\n%s", line, text)
		}
	}
	for _, form := range [][2]string{{"PLCN_v3", "json"}, {"", "yaml"}, {"classic", ""}} {
		text := b.export(string(made.ID), form[0], form[1])
		elsewhere := setup(t)
		got := elsewhere.get(elsewhere.one("file", text, image.Imported).ImageID)
		got.Source = nil // which a made one has none of
		if want := said(t, b.get(string(made.ID))); said(t, got) != want {
			t.Errorf("as %v:\n%s\n%s", form, firstDifference(want, said(t, got)), text)
		}
	}
	if again := b.one("own.json", b.export(string(made.ID), "PLCN_v3", "json"), image.Updated); again.ImageID != string(made.ID) {
		t.Errorf("%+v", again)
	}
}

// Real eggs need nothing of ours in their files, but where they came from.
func TestEggsAreExportedPlain(t *testing.T) {
	t.Parallel()
	b := setup(t)
	id := b.one("egg.json", anEgg(firstID, "a", "Echo"), image.Imported).ImageID
	if text := b.export(id, "", ""); strings.Contains(text, "berth\":") {
		t.Errorf("%s", text)
	}
}

// The default of a secret stays here, and is there still when its file comes back.
func TestSecretsStayHere(t *testing.T) {
	t.Parallel()
	b := setup(t)
	text := strings.Replace(anEgg(firstID, "a", "Echo"), `"variables":[]`, `"variables":[{"name":"T","env_variable":"TOKEN","default_value":"hunter2"}]`, 1)
	id := b.one("egg.json", text, image.Imported).ImageID
	if _, err := b.images.Change(t.Context(), caller(), ident.Image(id), func(i *image.Image) error {
		i.Variables[0].Secret = true
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	for _, form := range [][2]string{{"PLCN_v3", "json"}, {"PLCN_v3", "yaml"}, {"classic", "json"}} {
		out := b.export(id, form[0], form[1])
		if strings.Contains(out, "hunter2") {
			t.Errorf("as %v: %s", form, out)
		}
		b.one("egg", out, image.Updated)
		if v := b.get(id).Variables[0]; v.Default != "hunter2" || !v.Secret {
			t.Errorf("as %v: %+v", form, v)
		}
	}
}

func TestIcons(t *testing.T) {
	t.Parallel()
	b := setup(t)
	png := "\x89PNG\r\n\x1a\n and more"
	icon := func(kind, data string) string {
		return `,"icon":"data:` + kind + `;base64,` + base64.StdEncoding.EncodeToString([]byte(data)) + `"`
	}
	id := b.one("egg.json", anEgg(firstID, "a", "Echo", icon("image/png", png)), image.Imported).ImageID
	got, err := b.images.Icon(t.Context(), ident.Image(id))
	if err != nil || got.Type != "image/png" || string(got.Data) != png {
		t.Errorf("%+v, %v", got, err)
	}
	if text := b.export(id, "", ""); !strings.Contains(text, `"icon": "data:image/png;base64,`) {
		t.Errorf("%s", text)
	}
	for name, bad := range map[string]string{"a lie": icon("image/png", "<html>"), "a page": icon("text/html", "<html>"), "too large": icon("image/png", png+strings.Repeat("x", 512<<10)), "no base64": `,"icon":"data:image/png;base64,!"`} {
		report := b.one("egg.json", anEgg(firstID, "a", "Echo", bad), image.Updated)
		if !strings.Contains(strings.Join(report.Changes, "\n"), "icon: it is left out: ") {
			t.Errorf("%s: %+v", name, report)
		}
		if still, err := b.images.Icon(t.Context(), ident.Image(id)); err != nil || string(still.Data) != png {
			t.Errorf("%s: the icon that was there: %v", name, err)
		}
	}
	if err := b.images.SetIcon(t.Context(), caller(), ident.Image(id), nil); err != nil {
		t.Fatal(err)
	}
	if _, err := b.images.Icon(t.Context(), ident.Image(id)); !problem.Is(err, problem.NotFound) {
		t.Errorf("%v", err)
	}
	if err := b.images.SetIcon(t.Context(), caller(), "nobody", &image.Icon{Type: "image/png", Data: []byte(png)}); !problem.Is(err, problem.NotFound) {
		t.Errorf("%v", err)
	}
}

// By an address, from the public internet and what was opened: nothing else, also
// not by a redirect.
func TestByAddress(t *testing.T) {
	t.Parallel()
	served := anEgg(firstID, "a", "Echo")
	mux := http.NewServeMux()
	mux.HandleFunc("/egg.json", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(served)) })
	mux.HandleFunc("/large.json", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(make([]byte, 5<<20)) })
	mux.Handle("/away", http.RedirectHandler("http://[::1]:9/egg.json", http.StatusFound))
	mux.Handle("/file", http.RedirectHandler("file:///etc/passwd", http.StatusFound))
	web := httptest.NewServer(mux)
	t.Cleanup(web.Close)
	b := setup(t)
	from := func(address string) (image.ImportReport, error) {
		return b.images.Import(t.Context(), caller(), image.ImportOrder{URL: address})
	}
	refused := func(address, why string) {
		t.Helper()
		if _, err := from(address); !problem.Is(err, problem.Validation) || !strings.Contains(problem.From(err).Message, why) {
			t.Errorf("%s: %v", address, err)
		}
	}
	refused(web.URL+"/egg.json", "nothing is fetched here")
	b.images.Attach(guard.Client(nil))
	refused(web.URL+"/egg.json", "127.0.0.1 is not on the public internet")
	b.images.Attach(guard.Client([]netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}))
	refused("file:///etc/passwd", "only http and https")
	refused("://", "not an address")
	refused(web.URL+"/none", "answers 404")
	refused(web.URL+"/large.json", "too large")
	refused(web.URL+"/away", "not on the public internet")
	refused(web.URL+"/file", "only http and https")
	report, err := from(web.URL + "/egg.json?token=secret")
	if err != nil || report.Files[0].Status != image.Imported || report.Files[0].File != web.URL+"/egg.json" {
		t.Errorf("%+v, %v", report, err)
	}
}

func BenchmarkImport1000Eggs(b *testing.B) {
	for b.Loop() {
		b.StopTimer()
		bench := setup(b)
		files := make([]image.ImportFile, 1000)
		line := strings.Repeat("echo a line of an install script of usual length\\n", 200)
		for n := range files {
			name := "Echo " + string(rune('A'+n%26)) + strings.Repeat("x", n/26)
			files[n] = file(strings.Replace(anEgg("", "a", name), `"scripts":{}`, `"scripts":{"installation":{"container":"a:1","entrypoint":"ash","script":"`+line+`"}}`, 1))
		}
		b.StartTimer()
		for _, f := range bench.take(files...) {
			if f.Status != image.Imported {
				b.Fatalf("%+v", f)
			}
		}
	}
}
