// Command witness is what the fault program hosts: it keeps a mark and a count
// in its volume, and says over HTTP what they are. What it has said is on the
// disk.
package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
)

type witness struct {
	mu  sync.Mutex
	dir string
}

// Said is its answer.
type Said struct {
	Mark  string `json:"mark"`
	Count int    `json:"count"`
}

func main() {
	w := &witness{dir: os.Getenv("WITNESS_DIR")}
	if w.dir == "" {
		w.dir = "/app/data"
	}
	http.HandleFunc("GET /", func(out http.ResponseWriter, _ *http.Request) { w.answer(out, 0) })
	http.HandleFunc("POST /count", func(out http.ResponseWriter, _ *http.Request) { w.answer(out, 1) })
	failed := make(chan error, 1)
	go func() { failed <- http.ListenAndServe(":8080", nil) }()
	asked := make(chan os.Signal, 1)
	signal.Notify(asked, syscall.SIGTERM, syscall.SIGINT)
	stop := make(chan struct{})
	go console(stop)
	fmt.Println("witness: ready")
	select {
	case err := <-failed:
		fmt.Fprintln(os.Stderr, "witness:", err)
		os.Exit(70)
	case <-asked:
	case <-stop:
	}
}

// console ends the witness at the line "stop".
func console(stop chan<- struct{}) {
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		if strings.TrimSpace(lines.Text()) == "stop" {
			close(stop)
			return
		}
	}
}

// answer adds to the count and says what is kept now.
func (w *witness) answer(out http.ResponseWriter, more int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	said, err := w.keep(more)
	if err != nil {
		http.Error(out, err.Error(), http.StatusInsufficientStorage)
		return
	}
	out.Header().Set("Connection", "close")
	_ = json.NewEncoder(out).Encode(said)
}

func (w *witness) keep(more int) (said Said, err error) {
	if said.Mark, err = w.read("mark"); err != nil {
		return said, err
	}
	if said.Mark == "" {
		said.Mark = os.Getenv("MARK")
		if err = w.write("mark", said.Mark); err != nil {
			return said, err
		}
	}
	text, err := w.read("count")
	if err != nil {
		return said, err
	}
	if text != "" {
		if said.Count, err = strconv.Atoi(text); err != nil {
			return said, err
		}
	}
	if more == 0 {
		return said, nil
	}
	said.Count += more
	return said, w.write("count", strconv.Itoa(said.Count))
}

// read gives "" for a file that was never written.
func (w *witness) read(name string) (string, error) {
	text, err := os.ReadFile(filepath.Join(w.dir, name))
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	return string(text), err
}

// write replaces a file as a whole, and is done when the disk has it.
func (w *witness) write(name, text string) error {
	next := filepath.Join(w.dir, "."+name)
	file, err := os.Create(next)
	if err != nil {
		return err
	}
	_, err = file.WriteString(text)
	err = errors.Join(err, file.Sync(), file.Close())
	if err != nil {
		return err
	}
	if err := os.Rename(next, filepath.Join(w.dir, name)); err != nil {
		return err
	}
	dir, err := os.Open(w.dir)
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}
