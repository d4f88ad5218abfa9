package update

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"
)

const (
	program      = "berth-agent" // name of the file in a release's folder
	releasesDir  = "releases"
	currentLink  = "current"
	previousLink = "previous"
	stateFile    = "state.json"
)

// state is what must outlive this process.
type state struct {
	Trial   *trial   `json:"trial,omitempty"`
	Refused *refusal `json:"refused,omitempty"`
}

// trial is a release that has to prove itself.
type trial struct {
	Sum      string `json:"sha256"`
	Release  string `json:"release"`
	Previous string `json:"previous"` // sha256 of what comes back
	Starts   int    `json:"starts"`
	GivenUp  string `json:"given_up,omitempty"` // why; from then on the way leads back
}

// refusal is the release that was given up last.
type refusal struct {
	Release string    `json:"release"`
	Message string    `json:"message"`
	At      time.Time `json:"at"`
}

// load reads the state; none is an empty one.
func load(dir string) (state, error) {
	var s state
	text, err := os.ReadFile(filepath.Join(dir, stateFile))
	if errors.Is(err, fs.ErrNotExist) {
		return s, nil
	}
	if err != nil {
		return s, err
	}
	if err := json.Unmarshal(text, &s); err != nil {
		return state{}, fmt.Errorf("%s: %w", stateFile, err)
	}
	if t := s.Trial; t != nil && (!isSum(t.Sum) || !isSum(t.Previous)) {
		return state{}, fmt.Errorf("%s: the trial names no program", stateFile)
	}
	return s, nil
}

// save writes the state so that a killed process leaves the old or the new.
func save(dir string, s state) error {
	text, err := json.MarshalIndent(s, "", "  ")
	if err != nil {
		return err
	}
	file, err := os.CreateTemp(dir, "."+stateFile+"-*") // 0600
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(file.Name()) }() // after the rename there is nothing
	_, err = file.Write(append(text, '\n'))
	if err = errors.Join(err, file.Sync(), file.Close()); err != nil {
		return err
	}
	if err := os.Rename(file.Name(), filepath.Join(dir, stateFile)); err != nil {
		return err
	}
	return syncDir(dir)
}

// point makes a link lead to a release, in one step.
func point(dir, link, sum string) error {
	temp := filepath.Join(dir, "."+link+".new")
	if err := os.Remove(temp); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := os.Symlink(filepath.Join(releasesDir, sum), temp); err != nil {
		return err
	}
	if err := os.Rename(temp, filepath.Join(dir, link)); err != nil {
		return err
	}
	return syncDir(dir)
}

// pointed gives the release that a link leads to; "" for none of ours.
func pointed(dir, link string) string {
	target, err := os.Readlink(filepath.Join(dir, link))
	if err != nil {
		return ""
	}
	if sum := filepath.Base(target); isSum(sum) {
		return sum
	}
	return ""
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// file is where the program of a release lies.
func file(dir, sum string) string { return filepath.Join(dir, releasesDir, sum, program) }

// isSum says whether the text is a SHA-256 in lower-case hex: only that becomes
// part of a path.
func isSum(text string) bool {
	if len(text) != 64 {
		return false
	}
	for _, c := range []byte(text) {
		if (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return false
		}
	}
	return true
}

// prune removes programs that nothing leads to any more, and what was cut off
// while it came.
func prune(dir string, keep ...string) error {
	kept := map[string]bool{}
	for _, sum := range keep {
		kept[sum] = true
	}
	entries, err := os.ReadDir(filepath.Join(dir, releasesDir))
	if err != nil {
		return err
	}
	var errs []error
	for _, e := range entries {
		if !kept[e.Name()] {
			errs = append(errs, os.RemoveAll(filepath.Join(dir, releasesDir, e.Name())))
		}
	}
	return errors.Join(errs...)
}
