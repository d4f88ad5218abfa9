package cli_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/berth-panel/berth/controller/app"
	"github.com/berth-panel/berth/controller/cli"
	"github.com/berth-panel/berth/controller/identity"
	"github.com/berth-panel/berth/shared/build"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m,
		goleak.IgnoreAnyFunction("net/http.(*persistConn).readLoop"), // idle connections of the tests' client
		goleak.IgnoreAnyFunction("net/http.(*persistConn).writeLoop"),
		goleak.IgnoreAnyFunction("github.com/valyala/fasthttp.(*workerPool).Start.func2"), // ends at its next tick
		goleak.IgnoreAnyFunction("github.com/valyala/fasthttp.updateServerDate.func1"),    // one for the process
		goleak.IgnoreAnyFunction("github.com/valyala/fasthttp/stackless.NewFunc.func1"),
	)
}

const adminKey = "a-key-for-the-tests-only"

// start runs a controller on a data directory and gives its address and the
// function that ends it.
func start(t *testing.T, data string) (url string, stop func()) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	url = "http://" + ln.Addr().String()
	a, err := app.New(t.Context(), app.Config{
		Data: data, PublicURL: "http://panel.test", APIKey: adminKey, AdminPassword: "long enough", Log: slog.New(slog.DiscardHandler), Now: time.Now,
		Hash: identity.Cost{MemoryKiB: 8, Passes: 1},
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := a.Run(ctx, ln); err != nil {
			t.Error(err)
		}
	}()
	var once sync.Once
	stop = func() { once.Do(func() { cancel(); <-done; http.DefaultClient.CloseIdleConnections() }) }
	t.Cleanup(stop)
	return url, stop
}

// run runs a command line on the data directory.
func run(t *testing.T, data string, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, errs bytes.Buffer
	code = cli.Run(t.Context(), append(args, "--data", data), &out, &errs)
	return code, out.String(), errs.String()
}

// works runs a command line that must succeed and gives what it printed.
func works(t *testing.T, data string, args ...string) string {
	t.Helper()
	code, out, errs := run(t, data, args...)
	if code != 0 || errs != "" {
		t.Fatalf("%v: code %d, %s", args, code, errs)
	}
	return out
}

// asJSON runs a command line with --json and decodes what it printed.
func asJSON[T any](t *testing.T, data string, args ...string) (v T) {
	t.Helper()
	out := works(t, data, append(args, "--json")...)
	if err := json.Unmarshal([]byte(out), &v); err != nil {
		t.Fatalf("%v: %v in %s", args, err, out)
	}
	return v
}

type named struct {
	ID, Name, Username, Hint, State string
	Admin, Disabled                 bool
	References, Scopes              []string
}

func find(t *testing.T, list []named, name string) named {
	t.Helper()
	for _, n := range list {
		if n.Name == name || n.Username == name {
			return n
		}
	}
	t.Fatalf("%s is not among %+v", name, list)
	return named{}
}

// Each command does the same to a controller that runs and to one that doesn't.
func TestCommands(t *testing.T) {
	t.Parallel()
	for name, running := range map[string]bool{"running": true, "stopped": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			data := t.TempDir()
			_, stop := start(t, data)
			if !running {
				stop()
			}
			userCommands(t, data)
			keyCommands(t, data)
			nodeCommands(t, data)
			imageCommands(t, data)
			registryCommands(t, data)
			if running {
				stop()
			}
			if find(t, asJSON[[]named](t, data, "user", "list"), "anna").Username != "anna" {
				t.Error("what was done is not kept")
			}
		})
	}
}

func userCommands(t *testing.T, data string) {
	table := works(t, data, "user", "create", "--username", "anna", "--email", "anna@example.org", "--password", "long enough", "--admin")
	if lines := strings.Split(strings.TrimSpace(table), "\n"); len(lines) != 2 || strings.Join(strings.Fields(lines[0]), " ") != "ID USERNAME EMAIL ADMIN" || !strings.HasSuffix(strings.Join(strings.Fields(lines[1]), " "), " anna anna@example.org true") {
		t.Errorf("%s", table)
	}
	if u := find(t, asJSON[[]named](t, data, "user", "list"), "anna"); !u.Admin || u.ID == "" {
		t.Errorf("%+v", u)
	}
	code, out, errs := run(t, data, "user", "create", "--username", "ANNA", "--email", "other@example.org", "--password", "long enough")
	if code != 1 || out != "" || !strings.HasPrefix(errs, "berth-controller: ") || !strings.Contains(errs, "anna") && !strings.Contains(errs, "exists") && !strings.Contains(errs, "taken") {
		t.Errorf("a name that is taken: %d %q %q", code, out, errs)
	}
	if out := works(t, data, "user", "password", "anna@example.org", "--password", "another one"); out != "The password of anna@example.org is set.\n" {
		t.Errorf("%q", out)
	}
	if out := works(t, data, "user", "reset-second-factor", "ANNA"); out != "ANNA logs in with the password alone from now on.\n" {
		t.Errorf("%q", out)
	}
	works(t, data, "user", "create", "--username", "bert", "--email", "bert@example.org", "--password", "long enough")
	if out := works(t, data, "user", "delete", "bert"); out != "bert is deleted.\n" {
		t.Errorf("%q", out)
	}
	if code, _, errs := run(t, data, "user", "delete", "bert"); code != 1 || errs != "berth-controller: there is no user \"bert\"\n" {
		t.Errorf("deleted twice: %d %q", code, errs)
	}
}

func keyCommands(t *testing.T, data string) {
	made := asJSON[struct{ ID, Key string }](t, data, "key", "create", "--user", "anna", "--name", "laptop", "--scopes", "read,write")
	if made.Key == "" {
		t.Fatal("no key")
	}
	k := find(t, asJSON[[]named](t, data, "key", "list"), "laptop")
	if k.ID != made.ID || strings.Join(k.Scopes, ",") != "read,write" {
		t.Errorf("%+v", k)
	}
	if out := works(t, data, "key", "list"); strings.Contains(out, made.Key) || !strings.Contains(out, "laptop") {
		t.Errorf("a key is shown twice: %s", out)
	}
	if out := works(t, data, "key", "revoke", made.ID); out != "The key is revoked.\n" {
		t.Errorf("%q", out)
	}
	if code, _, errs := run(t, data, "key", "create", "--scopes", "everything"); code != 1 || !strings.Contains(errs, "read, write, admin") {
		t.Errorf("a scope that isn't one: %d %q", code, errs)
	}
}

// commands says whether the line for a new node is there: which one it is depends
// on whether the agents' programs are built in.
func commands(out string) bool {
	return strings.Contains(out, " http://panel.test") && strings.Contains(out, " --key berth-enrol.")
}

func nodeCommands(t *testing.T, data string) {
	out := works(t, data, "node", "create", "--name", "alpha", "--address", "192.0.2.7", "--memory", "1024", "--disk", "1024", "--tags", "eu,ssd")
	if !commands(out) {
		t.Errorf("%s", out)
	}
	if n := find(t, asJSON[[]named](t, data, "node", "list"), "alpha"); n.State != "unconfigured" {
		t.Errorf("%+v", n)
	}
	if again := works(t, data, "node", "key", "ALPHA"); !strings.Contains(again, " --key ") || again == out {
		t.Errorf("a new key: %s", again)
	}
	if out := works(t, data, "node", "join", "--name", "rack", "--uses", "3"); !commands(out) {
		t.Errorf("%s", out)
	}
	if code, _, errs := run(t, data, "node", "revoke", "alpha"); code != 1 || !strings.Contains(errs, "no certificate") {
		t.Errorf("revoked before it was enrolled: %d %q", code, errs)
	}
	for _, state := range []string{"on", "on", "off"} {
		out := works(t, data, "node", "maintenance", "alpha", state)
		if !strings.HasPrefix(out, "alpha takes ") || strings.Contains(out, "no new") != (state == "on") {
			t.Errorf("%s: %q", state, out)
		}
		if list := asJSON[[]struct{ Maintenance bool }](t, data, "node", "list"); len(list) != 1 || list[0].Maintenance != (state == "on") {
			t.Errorf("%s: %+v", state, list)
		}
	}
	if code, _, errs := run(t, data, "node", "maintenance", "beta", "on"); code != 1 || !strings.Contains(errs, `there is no node "beta"`) {
		t.Errorf("%d %q", code, errs)
	}
	if out := works(t, data, "node", "delete", "alpha"); out != "alpha is deleted.\n" {
		t.Errorf("%q", out)
	}
	if list := asJSON[[]named](t, data, "node", "list"); len(list) != 0 {
		t.Errorf("%+v", list)
	}
}

func registryCommands(t *testing.T, data string) {
	add := []string{"registry", "add", "registry.example.com:5000", "--username", "anna", "--password"}
	if out := works(t, data, append(add, "hush-hush")...); out != "Nodes pull from registry.example.com:5000 as anna from now on.\n" {
		t.Errorf("%q", out)
	}
	works(t, data, append(add, "another")...) // replaces it
	type line struct{ ID, Host, Username string }
	if list := asJSON[[]line](t, data, "registry", "list"); len(list) != 1 || list[0].Host != "registry.example.com:5000" || list[0].Username != "anna" {
		t.Errorf("%+v", list)
	}
	if out := works(t, data, "registry", "list"); strings.Contains(out, "hush") || strings.Contains(out, "another") || !strings.Contains(out, "registry.example.com:5000") {
		t.Errorf("%s", out)
	}
	if code, _, errs := run(t, data, "registry", "check", "registry.example.com:5000"); code != 1 || !strings.Contains(errs, "no node is online") {
		t.Errorf("a try without a node: %d %q", code, errs)
	}
	if out := works(t, data, "registry", "remove", "registry.example.com:5000"); out != "The login for registry.example.com:5000 is forgotten.\n" {
		t.Errorf("%q", out)
	}
	if code, _, errs := run(t, data, "registry", "remove", "registry.example.com:5000"); code != 1 || errs != "berth-controller: there is no login for \"registry.example.com:5000\"\n" {
		t.Errorf("removed twice: %d %q", code, errs)
	}
}

func imageCommands(t *testing.T, data string) {
	file := filepath.Join(t.TempDir(), "echo.json")
	if err := os.WriteFile(file, []byte(`{"Name":"Echo","Image":"example/echo:1","Cmd":"echo {{WHAT}}","Variables":{"WHAT":{"type":"text","default":"hi","required":true}}}`), 0o600); err != nil {
		t.Fatal(err)
	}
	type line struct {
		File, Status, Format, Name, Error string
		ImageID                           string `json:"image_id"`
		Changes, Ignored                  []string
	}
	imported := asJSON[[]line](t, data, "image", "import", file)
	if len(imported) != 1 || imported[0].Status != "imported" || imported[0].Name != "Echo" || imported[0].Format != "classic" || imported[0].File != file {
		t.Fatalf("%+v", imported)
	}
	if again := asJSON[[]line](t, data, "image", "import", file); again[0].Status != "updated" || again[0].ImageID != imported[0].ImageID {
		t.Errorf("imported twice: %+v", again)
	}
	imageFolder(t, data, file)
	bad := filepath.Join(t.TempDir(), "bad.json")
	if err := os.WriteFile(bad, []byte(`<html>not found</html>`), 0o600); err != nil {
		t.Fatal(err)
	}
	if code, out, errs := run(t, data, "image", "import", bad); code != 1 || !strings.Contains(out, "not JSON: line 1") || !strings.Contains(errs, "1 of 1 files were refused") {
		t.Errorf("a file that isn't JSON: %d %q %q", code, out, errs)
	}
	if code, _, errs := run(t, data, "image", "update", imported[0].ImageID); code != 1 || !strings.Contains(errs, "names no address for updates") {
		t.Errorf("an image without an address for updates: %d %q", code, errs)
	}
	if out := works(t, data, "image", "export", imported[0].ImageID, "--yaml"); !strings.Contains(out, "version: PLCN_v3") {
		t.Errorf("%s", out)
	}
	if out := works(t, data, "image", "list"); !strings.Contains(out, "example/echo:1") {
		t.Errorf("%s", out)
	}
	if out := works(t, data, "image", "delete", imported[0].ImageID); out != "The image is deleted.\n" {
		t.Errorf("%q", out)
	}
}

// imageFolder imports a folder, and an address on this machine.
func imageFolder(t *testing.T, data, file string) {
	t.Helper()
	dir := t.TempDir()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{
		"a.json": string(text), "deep/b.json": strings.Replace(string(text), "Echo", "Other", 1), "LICENSE": "Do what you want.", "deep/package.json": `{"name":"x"}`,
		"picture": "\x00\x01", ".git/config.json": "[", "c.json": `{"Name":"Bad","Image":7,"Cmd":""}`,
	} {
		path := filepath.Join(dir, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o700), os.WriteFile(path, []byte(text), 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	code, out, errs := run(t, data, "image", "import", dir, "--json")
	var report []struct{ File, Status, Error string }
	if err := json.Unmarshal([]byte(out), &report); err != nil || code != 1 || !strings.Contains(errs, "1 of 6 files were refused") {
		t.Fatalf("%d %q %q %v", code, out, errs, err)
	}
	want := map[string]string{"LICENSE": "skipped", "a.json": "updated", "c.json": "refused", "deep/b.json": "imported", "deep/package.json": "skipped", "picture": "skipped"}
	for _, f := range report {
		name, err := filepath.Rel(dir, f.File)
		if err != nil || want[name] != f.Status || (f.Error == "") != (f.Status == "updated" || f.Status == "imported") {
			t.Errorf("%+v", f)
		}
	}
	web := httptest.NewServer(http.FileServer(http.Dir(dir)))
	defer web.Close()
	if out := works(t, data, "image", "import", web.URL+"/a.json?token=secret"); !strings.Contains(out, "updated") || strings.Contains(out, "secret") {
		t.Errorf("%s", out)
	}
	if code, _, errs := run(t, data, "image", "import", web.URL+"/none"); code != 1 || !strings.Contains(errs, "404") {
		t.Errorf("%d %q", code, errs)
	}
}

// The key that is printed opens the API, and stops doing so when it is revoked.
func TestPrintedKeyWorks(t *testing.T) {
	t.Parallel()
	data := t.TempDir()
	_, stop := start(t, data)
	stop()
	key := strings.TrimSpace(works(t, data, "key", "create"))
	url, _ := start(t, data)
	if status := ask(t, url, key); status != http.StatusOK {
		t.Fatalf("the printed key: %d", status)
	}
	k := find(t, asJSON[[]named](t, data, "key", "list"), "by hand")
	works(t, data, "key", "revoke", k.ID)
	if status := ask(t, url, key); status != http.StatusUnauthorized {
		t.Fatalf("the revoked key: %d", status)
	}
}

func ask(t *testing.T, url, key string) int {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url+"/api/v1/status", http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("x-api-key", key)
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	_ = res.Body.Close()
	return res.StatusCode
}

// Many commands at a time on a directory whose controller doesn't run: one opens
// it, or one after the other does, and all are carried out.
func TestOneWriter(t *testing.T) {
	t.Parallel()
	data := t.TempDir()
	_, stop := start(t, data)
	stop()
	var group sync.WaitGroup
	for _, name := range []string{"a", "b", "c", "d"} {
		group.Go(func() {
			var out, errs bytes.Buffer
			if code := cli.Run(context.Background(), []string{"key", "create", "--name", "key-" + name, "--data", data}, &out, &errs); code != 0 {
				t.Errorf("key-%s: %d %s", name, code, errs.String())
			}
		})
	}
	group.Wait()
	if list := asJSON[[]named](t, data, "key", "list"); len(list) != 5 { // and the first admin's
		t.Errorf("%d keys: %+v", len(list), list)
	}
}

func TestNoController(t *testing.T) {
	t.Parallel()
	data := filepath.Join(t.TempDir(), "nothing")
	code, out, errs := run(t, data, "user", "list")
	if code != 1 || out != "" || !strings.Contains(errs, "no controller has run on "+data+" yet") {
		t.Errorf("%d %q %q", code, out, errs)
	}
	if _, err := os.Stat(data); !os.IsNotExist(err) {
		t.Errorf("a look made the directory: %v", err)
	}
}

func TestBadCommandLines(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{{"nonsense"}, {"user", "create"}, {"serve", "--listen"}, {"image", "import", "/does/not/exist.json"}, {"key", "create", "--dialect", "v9"},
		{"serve", "--placement", "anywhere"}, {"node", "maintenance", "a", "maybe"}, {"node", "maintenance", "a"}} {
		var out, errs bytes.Buffer
		if code := cli.Run(t.Context(), args, &out, &errs); code != 2 || !strings.Contains(errs.String(), "berth-controller: ") {
			t.Errorf("%v: %d %q", args, code, errs.String())
		}
	}
}

func TestVersionAndHelp(t *testing.T) {
	t.Parallel()
	var out, errs bytes.Buffer
	if code := cli.Run(t.Context(), []string{"version"}, &out, &errs); code != 0 || out.String() != build.Version+"\n" {
		t.Errorf("%d %q %q", code, out.String(), errs.String())
	}
	out.Reset()
	if code := cli.Run(t.Context(), []string{"--help"}, &out, &errs); code != 0 || !strings.Contains(out.String(), "serve") {
		t.Errorf("%d %q", code, out.String())
	}
}

// serve says the first admin's secrets once, and ends with code 0 when it is told to.
func TestServe(t *testing.T) {
	t.Parallel()
	data := t.TempDir()
	first := serve(t, data)
	if !strings.Contains(first, "First start.") || !strings.Contains(first, "API key") {
		t.Errorf("%s", first)
	}
	if again := serve(t, data); strings.Contains(again, "password") {
		t.Errorf("the second start says %s", again)
	}
	var out, errs bytes.Buffer
	if code := cli.Run(t.Context(), []string{"serve", "--data", data, "--listen", "127.0.0.1:99999"}, &out, &errs); code != 1 || !strings.Contains(errs.String(), "--listen") {
		t.Errorf("a port that isn't one: %d %q", code, errs.String())
	}
}

// serve runs the controller until its socket answers, and gives what it printed.
func serve(t *testing.T, data string) string {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var out, errs bytes.Buffer
	code := make(chan int, 1)
	go func() {
		code <- cli.Run(ctx, []string{"serve", "--data", data, "--listen", "127.0.0.1:0"}, &out, &errs)
	}()
	deadline := time.Now().Add(30 * time.Second)
	for {
		conn, err := net.Dial("unix", filepath.Join(data, "control.sock"))
		if err == nil {
			_ = conn.Close()
			break
		}
		select {
		case c := <-code:
			t.Fatalf("it ended with %d: %s", c, errs.String())
		case <-time.After(10 * time.Millisecond):
		}
		if time.Now().After(deadline) {
			t.Fatal("it does not answer")
		}
	}
	cancel()
	if c := <-code; c != 0 {
		t.Fatalf("it ended with %d: %s", c, errs.String())
	}
	return out.String()
}
