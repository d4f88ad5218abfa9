package wire_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/berth-panel/berth/shared/ident"
	"github.com/berth-panel/berth/shared/problem"
	"github.com/berth-panel/berth/shared/wire"
)

var update = flag.Bool("update", false, "write the golden files anew")

var at = time.Date(2026, 11, 22, 10, 30, 0, 123456789, time.UTC)

func ref[T any](v T) *T { return &v }

var sample = wire.Sample{
	At: at, Running: true, CPU: 1.5, MemoryBytes: 1, MemoryLimit: 2, NetIn: 3, NetOut: 4, DiskRead: 5, DiskWrite: 6,
	NetInRate: 7.5, NetOutRate: 8.5, ReadRate: 9.5, WriteRate: 10.5, Pids: 11, DiskUsed: 12, DiskLimit: 13, UptimeMS: 14,
}

// goldens are all messages of the wire, with every field filled, and some with
// none. A change of their JSON is a change of the language: raise Version.
var goldens = map[string]any{
	"spec": &wire.Spec{
		Instance: "0123abcd", Generation: 7, Revision: "K3ZQ",
		Image:  wire.ImageSpec{Reference: "redis:7", Entrypoint: []string{"/entry"}, Command: []string{"redis-server", "--save", ""}, Pull: wire.PullAlways, Digest: "sha256:00ff"},
		Env:    []string{"A=1", "PRIMARY_PORT=25565"},
		Limits: wire.Limits{MemoryMiB: 1024, NanoCPUs: 1_500_000_000, DiskMiB: 5120, Pids: 256, ReadBytes: 1, WriteBytes: 2, ReadOps: 3, WriteOps: 4},
		Ports:  []wire.Port{{IP: "0.0.0.0", Host: 25565, Container: 25565, Primary: true}, {IP: "::", Host: 8081, Container: 80}},
		Volume: "/app/data", TTY: true,
		Stop: wire.Stop{Command: "stop", Signal: "SIGINT", GraceSeconds: 10},
		Install: wire.Install{
			Downloads: []wire.Download{{URL: "https://files.example/server.jar", Path: "server.jar", SHA256: "00ff"}},
			Replace:   map[string]string{"name": "25565"}, Secrets: []string{"hush"},
			Script: &wire.Script{Image: "debian:12", Entrypoint: "bash", Text: "echo hi\n", Env: []string{"A=1"}, WithinSeconds: 60},
		},
		Patches: []wire.Patch{{Path: "server.properties", Parser: wire.PatchProperties, Set: []wire.PatchSet{
			{Match: "server-port", Value: json.RawMessage(`25565`), If: "regex:^2"},
		}}},
		Power:     wire.Power{Want: wire.WantRunning, Order: 3, Restart: true, Force: true},
		Suspended: true, Hold: true, Copied: true, Drift: wire.DriftReport,
		Ready:     wire.Ready{Lines: []string{"Done (", "regex:^ready$"}, WithinSeconds: 60},
		Crash:     wire.Crash{Restart: wire.RestartAlways, CleanCodes: []int{143}, Limit: 3, WindowSeconds: 60, QuietSeconds: 30},
		Installed: true, Wipe: 5, Reinstall: 6, Convert: true, Moving: true,
		Network: wire.Network{Allow: []string{"10.1.0.0/16"}, Instances: true, Offline: true, OutBytes: 5, InBytes: 6},
	},
	"spec_empty": &wire.Spec{},
	"removal":    &wire.Removal{Generation: 8},
	"accepted":   &wire.Accepted{Generation: 8},
	"hello": &wire.Hello{
		Node: "6f9619ff-8b86-4d01-b42d-00cf4fc964ff", Wire: 1, Release: "0.1.0", Epoch: "c0ffee00-0000-4000-8000-000000000000", LastSeq: 42,
		Engine: wire.Engine{
			Reachable: true, Name: "docker", Version: "20.10.24", OS: "Debian GNU/Linux 12 (bookworm)", Kernel: "6.1.0", Arch: "amd64",
			Cores: 2, MemoryBytes: 8 << 30, StorageBytes: 100 << 30,
			Volumes:  &wire.Volumes{Driver: wire.VolumeImage, Hard: true, Message: "mkfs.xfs is missing", SizeBytes: 10, FreeBytes: 5, ReserveBytes: 1},
			Firewall: &wire.Firewall{Works: true, Message: "none"},
			SFTP:     &wire.SFTP{Port: 2022, HostKey: "ssh-ed25519 AAAA"},
		},
	},
	"hello_engine_away": &wire.Hello{Node: "n", Wire: 1, Release: "dev", Epoch: "e", Engine: wire.Engine{Message: "the container engine doesn't answer"}},
	"inventory": &wire.Inventory{Instances: []wire.Holding{
		{Instance: "0123abcd", Generation: 7, Revision: "K3ZQ", Ports: []wire.Port{{IP: "0.0.0.0", Host: 25565, Container: 25565}}, State: wire.State{Phase: wire.PhaseReady, Actual: wire.ActualRunning, Converged: true, Container: "c1", StartedAt: &at}},
		{Instance: "0123abce", Generation: 2, Removing: true, State: wire.State{Phase: wire.PhaseInstalling, Actual: wire.ActualUnknown}},
	}, Incoming: []ident.Instance{"0123abcf"}},
	"inventory_empty": &wire.Inventory{Instances: []wire.Holding{}},
	"logins": &wire.Logins{
		Revision: 7,
		People:   []wire.LoginPerson{{User: "u1", Username: "anna", Password: "5f3a", Keys: []string{"ssh-ed25519 AAAA"}, Everywhere: true}},
		Rights:   []wire.LoginRight{{User: "u1", Instance: "0123abcd", Write: true, Refused: "the instance is suspended"}},
	},
	"registries":       &wire.Registries{Revision: 3, Logins: []wire.Registry{{Host: "registry.example.com:5000", Username: "anna", Password: "hush"}}},
	"registry_checked": &wire.RegistryChecked{Status: wire.RegistryRefused, Message: "registry registry.example.com:5000 refuses user anna: wrong user name or password"},
	"registries_held":  &wire.RegistriesHeld{Revision: 3},
	"logins_held":      &wire.LoginsHeld{Revision: 7},
	"login_question":   &wire.LoginQuestion{Ref: "1", Username: "anna", Instance: "0123abcd", Password: "secret", Address: "192.0.2.7"},
	"login_answer":     &wire.LoginAnswer{Ref: "1", Allowed: true, User: "u1", Password: "5f3a", Message: "the instance is suspended"},
	"events": &wire.EventBatch{Events: []wire.Event{
		{Seq: 1, At: at, Type: wire.EventState, Instance: "0123abcd", Generation: 7, State: &wire.State{
			Phase: wire.PhaseReady, Actual: wire.ActualCrashed, Converged: true, Container: "c1", Digest: "sha256:00ff", ExitCode: ref(137), OOM: true, RetryAt: &at,
			Drift: "its memory was changed by hand", ReadyAt: &at, Overdue: true, Crashes: 2, GaveUp: true, Health: wire.HealthBad,
		}},
		{Seq: 2, At: at, Type: wire.EventState, Instance: "0123abcd", Generation: 8, State: &wire.State{
			Phase: wire.PhaseFailed, Actual: wire.ActualStopped, Converged: true, ExitCode: ref(0),
			Failure: problem.New(problem.Conflict, "port 25565 is in use on this node by another program"),
		}},
		{Seq: 5, At: at, Type: wire.EventProgress, Instance: "0123abcd", Generation: 8, Progress: &wire.Progress{Step: "pull", Percent: -1, Message: "Pulling redis:7",
			Parts: []wire.ProgressPart{{Name: "3f4d90098f5b", State: "downloading", DoneBytes: 1, TotalBytes: 2}}}},
		{Seq: 6, At: at, Type: wire.EventRemoved, Instance: "0123abcd", Generation: 9},
		{Seq: 7, At: at, Type: wire.EventEngine, Engine: &wire.Engine{Message: "away"}},
		{Seq: 8, At: at, Type: wire.EventSession, Instance: "0123abcd", Session: &wire.Session{User: "6a0f", Address: "192.0.2.7", Began: at, Deeds: []wire.Deed{{What: "written", Path: "world/level.dat"}, {What: "renamed", Path: "a", To: "b"}}, More: 3}},
		{Seq: 9, At: at, Type: wire.EventOutput, Instance: "0123abcd", Generation: 9, Output: []string{"Unpacking", "done"}},
	}},
	"console_lines": &wire.ConsoleFrame{Lines: []wire.ConsoleLineFrame{
		{Seq: 7, At: at, Source: wire.ConsoleOut, Text: "\x1b[31mred\x1b[0m"}, {Seq: 8, At: at, Source: wire.ConsoleErr, Text: "long", Part: true},
	}},
	"console_record": &wire.ConsoleFrame{Record: "5f3a", Last: 8},
	"console_missed": &wire.ConsoleFrame{Missed: &wire.ConsoleMissed{From: 2, To: 6}},
	"console_tail":   &wire.ConsoleFrame{Tail: ref("login: ")},
	"console_state":  &wire.ConsoleFrame{State: &wire.State{Phase: wire.PhaseReady, Actual: wire.ActualRunning}},
	"console_error":  &wire.ConsoleFrame{Error: &wire.ConsoleError{Ref: "1", Code: "CONFLICT", Message: "the instance does not run"}},
	"console_done":   &wire.ConsoleFrame{Done: "1"},
	"console_input":  &wire.ConsoleInput{Ref: "1", Command: ref("say hi")},
	"console_size":   &wire.ConsoleInput{Ref: "2", Size: &wire.ConsoleSize{Rows: 24, Columns: 80}},
	"events_empty":   &wire.EventBatch{Events: []wire.Event{}},
	"ack":            &wire.Ack{Seq: 7},
	"problem":        problem.Invalid("ports[0]", "must be 1 to 65535"),
	"enrol_request": &wire.EnrolRequest{
		KeyID: "key", Nonce: "bm9uY2U", CSR: "-----BEGIN CERTIFICATE REQUEST-----\n", MAC: "00ff",
		Agent: wire.EnrolAgent{Release: "0.1.0", Wire: 1, Name: "a", Address: "192.0.2.1", Port: 8443, Tags: []string{"eu"}, MemoryMiB: 1024, DiskMiB: 2048, Tunnel: true},
	},
	"certificate_request": &wire.CertificateRequest{CSR: "-----BEGIN CERTIFICATE REQUEST-----\n"},
	"certificate":         &wire.Certificate{Certificate: "-----BEGIN CERTIFICATE-----\n"},
	"release":             &wire.ReleaseState{Release: "0.2.0", Arch: "arm64", Trial: true, Refused: "0.3.0", Message: "it did not start", Fixed: "its program is read-only"},
	"incoming":            &wire.Incoming{Instance: "0123abcd", Spec: wire.Spec{Instance: "0123abcd", Generation: 9}},
	"incoming_state":      &wire.IncomingState{Image: wire.ImageFailed, Failure: problem.New(problem.NotFound, "there is no such image"), Bytes: 5},
	"entry_query":         &wire.EntryQuery{After: "a", Limit: 1000},
	"entry_page": &wire.EntryPage{After: "a", Last: true, Skipped: 1, Entries: []wire.Entry{
		{Path: "b", Kind: wire.EntryFile, Mode: 0o644, UID: 1000, GID: 1001, Size: 5, Data: 4, MTime: 1_700_000_000_123_456_789, CTime: 1_700_000_001_000_000_000},
		{Path: "b/100%\xff\n", Kind: wire.EntryDir, Mode: 0o1777, MTime: -1},
		{Path: "c", Kind: wire.EntryLink, Mode: 0o777, MTime: 1, Target: "b"},
	}},
	"stats_sample": &sample,
	"stats_node": &wire.NodeStats{
		Node: wire.NodeSample{At: at, CPU: 1.5, Cores: 4, Load1: 0.5, MemoryUsed: 1, MemoryTotal: 2, DiskUsed: 3, DiskTotal: 4,
			NetInRate: 5, NetOutRate: 6, Running: 7, UptimeMS: 8},
		Instances: map[ident.Instance]wire.Sample{"0123abcd": sample},
	},
	"stats_history": &wire.StatsHistory{Resolution: wire.Ten, At: []int64{60}, CPU: []float64{0.5}, Memory: []int64{1}, NetIn: []int64{2}, NetOut: []int64{3},
		DiskUsed: []int64{-1}, Read: []int64{4}, Write: []int64{5}, Pids: []int64{6}, Load: []float64{0.5}, Running: []int64{7}},
	"needs":       &wire.Needs{Files: []wire.Need{{Path: "b", Offset: 2, Size: 5, CTime: 3}, {Path: "d"}}, Changed: 2},
	"file_header": &wire.FileHeader{Path: "b", Offset: 2, Size: 5, Mode: 0o644, UID: 1000, GID: 1001, MTime: 1, CTime: 2},
	"file_query":  &wire.FileQuery{Path: "a%\xff", Sort: wire.SortSize, Down: true, Page: 2, Limit: 100},
	"file_page": &wire.FilePage{Entries: []wire.FileEntry{
		{Path: "b", Kind: wire.EntryFile, Mode: 0o644, UID: 1, GID: 2, Size: 3, MTime: at, ETag: "1-2-3-4"},
		{Path: "l", Kind: wire.EntryLink, MTime: at, Target: "../x"},
	}, Total: 2, Cut: true},
	"file_renames": &wire.FileRenames{Renames: []wire.FileRename{{From: "a", To: "b"}}, Overwrite: true},
	"file_chmod":   &wire.FileChmod{Paths: []wire.Path{"a"}, Mode: 0o755},
	"file_done":    &wire.FileDone{Failed: []wire.FileFailure{{Path: "a", Problem: problem.Problem{Code: problem.NotFound, Message: "a is not there"}}}, Count: 1},
	"file_search":  &wire.FileSearch{Path: ".", Name: "*.yml", Content: "port", Case: true, Limit: 10},
	"file_hit":     &wire.FileHit{Entry: &wire.FileEntry{Path: "b", Kind: wire.EntryFile, MTime: at}, Line: 4, Text: "port: 1"},
	"file_last":    &wire.FileHit{Last: true, Cut: true, Passed: 2},
	"file_task": &wire.FileTask{
		Delete: &wire.FileDelete{Paths: []wire.Path{"a"}}, Copy: &wire.FileCopy{Paths: []wire.Path{"a"}, To: "d"},
		Archive: &wire.FileArchive{FileBundle: wire.FileBundle{Folder: "d", Paths: []wire.Path{"d/a"}, Format: wire.ArchiveTarZs}, To: "x.tar.zst"},
		Extract: &wire.FileExtract{Path: "x.zip", To: ".", Overwrite: true}, Pull: &wire.FilePull{URL: "https://files.example/x", To: "mods/", Over: true},
	},
	"file_task_state":   &wire.FileTaskState{Done: true, Percent: -1, Message: "m", Files: 1, Bytes: 2, Failure: &problem.Problem{Code: problem.Conflict, Message: "c"}},
	"file_upload_state": &wire.FileUploadState{Upload: wire.FileUpload{Path: "a", Size: 5, Overwrite: true, Mode: 0o600}, Offset: 3},
	"received":          &wire.Received{Files: 1, Bytes: 3, Unsteady: 1},
	"digest":            &wire.Digest{Done: true, Percent: 100, Sum: "00ff", Entries: 2, Bytes: 5},
	"enrol_answer":      &wire.EnrolAnswer{Node: "n", CA: "-----BEGIN CERTIFICATE-----\n", Certificate: "-----BEGIN CERTIFICATE-----\n", MAC: "00ff"},
}

func TestGolden(t *testing.T) {
	t.Parallel()
	for name, message := range goldens {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path := filepath.Join("testdata", name+".json")
			got, err := json.MarshalIndent(message, "", "  ")
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, '\n')
			if *update {
				if err := os.WriteFile(path, got, 0o600); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(path)
			if err != nil {
				t.Fatalf("%v (write it with -update)", err)
			}
			if !bytes.Equal(got, want) {
				t.Errorf("the JSON has changed: raise wire.Version, then -update. It is\n%s\nwant\n%s", got, want)
			}
			back := reflect.New(reflect.TypeOf(message).Elem())
			strict := json.NewDecoder(bytes.NewReader(want))
			strict.DisallowUnknownFields()
			if err := strict.Decode(back.Interface()); err != nil {
				t.Fatal(err)
			}
			if !reflect.DeepEqual(back.Interface(), message) {
				t.Errorf("it reads back as %+v, want %+v", back.Elem(), message)
			}
		})
	}
}

func TestEveryGoldenFileHasItsMessage(t *testing.T) {
	t.Parallel()
	files, err := os.ReadDir("testdata")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		if _, ok := goldens[strings.TrimSuffix(f.Name(), ".json")]; !ok {
			t.Errorf("testdata/%s belongs to no message", f.Name())
		}
	}
}

// TestFullSpecIsFull fails when a field is added to the spec and not to its
// golden file.
func TestFullSpecIsFull(t *testing.T) {
	t.Parallel()
	var walk func(at string, v reflect.Value)
	walk = func(at string, v reflect.Value) {
		switch {
		case v.IsZero():
			t.Errorf("%s is not filled", at)
		case v.Kind() == reflect.Pointer:
			walk(at, v.Elem())
		case v.Kind() == reflect.Struct:
			for i := range v.NumField() {
				walk(at+"."+v.Type().Field(i).Name, v.Field(i))
			}
		case v.Kind() == reflect.Slice && v.Len() == 0:
			t.Errorf("%s is empty", at)
		case v.Kind() == reflect.Slice:
			walk(at+"[0]", v.Index(0))
		}
	}
	walk("spec", reflect.ValueOf(goldens["spec"]))
}

// TestNamesAreSnakeCase holds the house's rule for all JSON on the wire.
func TestNamesAreSnakeCase(t *testing.T) {
	t.Parallel()
	var walk func(t *testing.T, at string, v any)
	walk = func(t *testing.T, at string, v any) {
		t.Helper()
		switch v := v.(type) {
		case map[string]any:
			for name, inner := range v {
				if name != strings.ToLower(name) || strings.ContainsAny(name, "- ") {
					t.Errorf("%s.%s is not snake_case", at, name)
				}
				walk(t, at+"."+name, inner)
			}
		case []any:
			for _, inner := range v {
				walk(t, at+"[]", inner)
			}
		}
	}
	for name, message := range goldens {
		text, err := json.Marshal(message)
		if err != nil {
			t.Fatal(err)
		}
		var v any
		if err := json.Unmarshal(text, &v); err != nil {
			t.Fatal(err)
		}
		walk(t, name, v)
	}
}
