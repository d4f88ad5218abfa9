package install

import (
	"bytes"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"

	"github.com/berth-panel/berth/agent/files"
	"github.com/berth-panel/berth/shared/wire"
)

// mostText is how large a file may be that placeholders are filled in of.
const mostText = 4 << 20

// Replace puts values in place of {{NAME}} into the files of a volume's top level
// that were downloaded: into each once, so that a value is never looked through.
// What is no text, no regular file any more, or larger than 4 MiB, is left as it
// is. put is as for Run.
func Replace(root *files.Root, list []wire.Download, values map[string]string, put Put) error {
	if len(values) == 0 {
		return nil
	}
	pairs := make([]string, 0, 2*len(values))
	for name, value := range values {
		pairs = append(pairs, "{{"+name+"}}", value)
	}
	replacer := strings.NewReplacer(pairs...)
	for _, d := range list {
		path := wire.Path(d.Path)
		if strings.ContainsAny(d.Path, `/\`) || !path.Valid() {
			continue
		}
		text, err := readText(root, path)
		if err != nil {
			return fmt.Errorf("fill in %s: %w", d.Path, err)
		}
		filled := replacer.Replace(text)
		if filled == text {
			continue
		}
		err = put(d.Path, func(w io.Writer) error {
			_, err := io.WriteString(w, filled)
			return err
		})
		if err != nil {
			return fmt.Errorf("fill in %s: %w", d.Path, err)
		}
	}
	return nil
}

// readText reads a small text file; "" of what is none.
func readText(root *files.Root, path wire.Path) (string, error) {
	file, info, err := root.Open(path)
	if files.Gone(err) {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	defer func() { _ = file.Close() }()
	if info.Size > mostText {
		return "", nil
	}
	text, err := io.ReadAll(io.LimitReader(file, mostText+1))
	if err != nil {
		return "", err
	}
	if len(text) > mostText || bytes.IndexByte(text, 0) >= 0 || !utf8.Valid(text) {
		return "", nil
	}
	return string(text), nil
}
