package install

import (
	"bytes"
	"io"
	"slices"
	"strings"
)

// hidden is what is shown of a secret.
const hidden = "******"

// Mask writes on what it is given, without the secrets in it. What may be the
// beginning of one is held back until more comes, or until Flush. It is not safe
// for concurrent use.
type Mask struct {
	to      io.Writer
	secrets [][]byte // the longest first
	begins  [256]bool
	held    []byte
}

// NewMask makes a Mask. A secret of several lines is hidden line by line: a
// terminal changes the ends of lines.
func NewMask(secrets []string, to io.Writer) *Mask {
	m := &Mask{to: to, secrets: pieces(secrets)}
	for _, s := range m.secrets {
		m.begins[s[0]] = true
	}
	return m
}

// pieces are the texts to look for, each once.
func pieces(secrets []string) [][]byte {
	var list [][]byte
	for _, s := range secrets {
		for line := range strings.FieldsFuncSeq(s, func(r rune) bool { return r == '\n' || r == '\r' }) {
			if strings.TrimSpace(line) != "" {
				list = append(list, []byte(line))
			}
		}
	}
	slices.SortFunc(list, func(a, b []byte) int {
		if n := len(b) - len(a); n != 0 {
			return n
		}
		return bytes.Compare(a, b)
	})
	return slices.CompactFunc(list, bytes.Equal)
}

// Write takes what comes next.
func (m *Mask) Write(p []byte) (int, error) {
	m.held = append(m.held, p...)
	return len(p), m.pass(false)
}

// Flush writes on what was held back: nothing more comes.
func (m *Mask) Flush() error { return m.pass(true) }

func (m *Mask) pass(all bool) error {
	shown, rest := m.hide(m.held, all)
	m.held = append(m.held[:0], rest...)
	if len(shown) == 0 {
		return nil
	}
	_, err := m.to.Write(shown)
	return err
}

// hide gives the text without its secrets and, unless it is all, what of its end
// may be the beginning of one.
func (m *Mask) hide(text []byte, all bool) (shown, rest []byte) {
	shown = make([]byte, 0, len(text))
	for at := 0; at < len(text); {
		if !m.begins[text[at]] {
			shown, at = append(shown, text[at]), at+1
			continue
		}
		secret, more := m.at(text[at:])
		switch {
		case more && !all:
			return shown, text[at:]
		case secret > 0:
			shown, at = append(shown, hidden...), at+secret
		default:
			shown, at = append(shown, text[at]), at+1
		}
	}
	return shown, nil
}

// at gives the length of the longest secret that the text begins with; more says
// that it ends inside of one that is longer.
func (m *Mask) at(text []byte) (length int, more bool) {
	for _, s := range m.secrets {
		if len(text) < len(s) {
			more = more || bytes.HasPrefix(s, text)
		} else if bytes.HasPrefix(text, s) {
			return len(s), more
		}
	}
	return 0, more
}

// Hide gives a text without the secrets in it.
func Hide(secrets []string, text string) string {
	m := NewMask(secrets, nil)
	shown, _ := m.hide([]byte(text), true)
	return string(shown)
}
