package journal

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/berth-panel/berth/shared/ident"
	"github.com/berth-panel/berth/shared/wire"
)

// crashDir tells a child process where to write until it is killed.
const crashDir = "BERTH_TEST_JOURNAL_DIR"

// TestChildThatIsKilled is no test of its own: TestKilledInTheMiddle runs it in a
// process of its own.
func TestChildThatIsKilled(t *testing.T) {
	dir := os.Getenv(crashDir)
	if dir == "" {
		t.Skip("only a child of TestKilledInTheMiddle")
	}
	j, err := Open(filepath.Join(dir, "journal.db"))
	if err != nil {
		t.Fatal(err)
	}
	for n := int64(1); ; n++ {
		id := ident.Instance(fmt.Sprintf("%08x", n%7))
		err := j.Write(Change{Instance: id, Desired: &Desired{Generation: n}, Known: &Known{Applied: n}, Events: []wire.Event{state(id, wire.ActualRunning)}})
		if err != nil {
			t.Fatal(err)
		}
		fmt.Println("written", n)
	}
}

func TestKilledInTheMiddle(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	var acknowledged int64
	epoch := ""
	for round := range 5 {
		child := exec.Command(os.Args[0], "-test.run=^TestChildThatIsKilled$")
		child.Env = append(os.Environ(), crashDir+"="+dir)
		out, err := child.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := child.Start(); err != nil {
			t.Fatal(err)
		}
		var written int64
		for lines := bufio.NewScanner(out); lines.Scan(); {
			if _, err := fmt.Sscanf(lines.Text(), "written %d", &written); err != nil {
				t.Fatalf("the child says %q", lines.Text())
			}
			if written == int64(20+round*13) {
				if err := child.Process.Kill(); err != nil {
					t.Fatal(err)
				}
			}
		}
		_ = child.Wait() // it was killed
		acknowledged += written
		j := open(t, filepath.Join(dir, "journal.db"))
		if epoch == "" {
			epoch = j.Epoch()
		}
		if j.Epoch() != epoch || j.LastSeq() < acknowledged {
			t.Fatalf("round %d: epoch %s, %d events of %d", round, j.Epoch(), j.LastSeq(), acknowledged)
		}
		events, err := j.Events(0, 1<<20)
		if err != nil || int64(len(events)) != j.LastSeq() {
			t.Fatalf("round %d: %d events, %v", round, len(events), err)
		}
		records, err := j.Records()
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range records {
			if r.Desired.Generation != r.Known.Applied {
				t.Errorf("round %d: half a change: %+v", round, r)
			}
		}
		acknowledged = j.LastSeq()
		if err := j.Close(); err != nil {
			t.Fatal(err)
		}
	}
}
