package migrations

import (
	"crypto/sha256"
	"encoding/hex"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// -update writes the sums of files that have none yet. One that is there is
// never changed by it: databases in the field were made by that very file.
var update = flag.Bool("update", false, "add the checksums of new migrations")

const sums = "checksums.txt"

func TestChecksumsHold(t *testing.T) {
	known := map[string]string{}
	text, err := os.ReadFile(sums)
	if err != nil && !*update {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		sum, name, ok := strings.Cut(strings.TrimSpace(line), "  ")
		if !ok {
			t.Fatalf("%s: %q is not a checksum and a file", sums, line)
		}
		known[name] = sum
	}
	files, err := fs.Glob(FS, "*.sql")
	if err != nil || len(files) == 0 {
		t.Fatalf("no migrations: %v", err)
	}
	for _, name := range files {
		body, err := fs.ReadFile(FS, name)
		if err != nil {
			t.Fatal(err)
		}
		hash := sha256.Sum256(body)
		sum := hex.EncodeToString(hash[:])
		switch known[name] {
		case sum:
		case "":
			if !*update {
				t.Errorf("%s has no checksum: run go test ./migrations -update", name)
			}
			known[name] = sum
		default:
			t.Errorf("%s was changed after it had been released: take that back and write a new migration", name)
		}
	}
	for name := range known {
		if !slices.Contains(files, name) {
			t.Errorf("%s was released and is gone", name)
		}
	}
	if *update && !t.Failed() {
		writeSums(t, known)
	}
}

func writeSums(t *testing.T, known map[string]string) {
	t.Helper()
	var b strings.Builder
	names := make([]string, 0, len(known))
	for name := range known {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		fmt.Fprintf(&b, "%s  %s\n", known[name], name)
	}
	if err := os.WriteFile(sums, []byte(b.String()), 0o644); err != nil {
		t.Fatal(err)
	}
}

func TestNumbersRiseWithoutGaps(t *testing.T) {
	t.Parallel()
	form := regexp.MustCompile(`^(\d{4})_[a-z0-9_]+\.sql$`)
	files, err := fs.Glob(FS, "*.sql")
	if err != nil {
		t.Fatal(err)
	}
	for n, name := range files {
		m := form.FindStringSubmatch(name)
		if m == nil || m[1] != fmt.Sprintf("%04d", n+1) {
			t.Errorf("%s should be number %04d, named like 0001_initial.sql", name, n+1)
		}
		body, err := fs.ReadFile(FS, name)
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(string(body), "+goose Down") {
			t.Errorf("%s has a way down: migrations go forward only", name)
		}
	}
}
