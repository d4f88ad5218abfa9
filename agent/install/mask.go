package install

import (
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
	to     io.Writer
	words  *words
	at     int // where in words the text that came ends
	held   []byte
	ends   []int // for each byte of held, how long the longest secret is that ends with it
	inside bool  // the last byte that was written on was one of a secret
}

// NewMask makes a Mask. A secret of several lines is hidden line by line: a
// terminal changes the ends of lines. All of it is hidden wherever it stands, also
// a secret of one letter: that it makes the rest hard to read is the lesser evil.
// What belongs to several that overlap is hidden as one.
func NewMask(secrets []string, to io.Writer) *Mask {
	return &Mask{to: to, words: newWords(pieces(secrets))}
}

// pieces are the texts to look for, each once.
func pieces(secrets []string) []string {
	var list []string
	for _, s := range secrets {
		for line := range strings.FieldsFuncSeq(s, func(r rune) bool { return r == '\n' || r == '\r' }) {
			if strings.TrimSpace(line) != "" {
				list = append(list, line)
			}
		}
	}
	slices.Sort(list)
	return slices.Compact(list)
}

// Write takes what comes next.
func (m *Mask) Write(p []byte) (int, error) {
	for _, c := range p {
		m.at = m.words.next(m.at, c)
		m.held, m.ends = append(m.held, c), append(m.ends, m.words.nodes[m.at].longest)
	}
	return len(p), m.pass(m.words.nodes[m.at].open)
}

// Flush writes on what was held back: nothing more comes.
func (m *Mask) Flush() error {
	m.at = 0
	return m.pass(0)
}

// pass writes on what is held, but for the last bytes.
func (m *Mask) pass(keep int) error {
	ready := len(m.held) - keep
	if ready <= 0 {
		return nil
	}
	covered := 0 // so many bytes up to here are of a secret
	secret := make([]bool, len(m.held))
	for n := len(m.held) - 1; n >= 0; n-- {
		covered = max(covered, m.ends[n])
		secret[n] = covered > 0
		covered--
	}
	shown := make([]byte, 0, ready)
	for n, c := range m.held[:ready] {
		switch {
		case !secret[n]:
			shown = append(shown, c)
		case !m.inside:
			shown = append(shown, hidden...)
		}
		m.inside = secret[n]
	}
	m.held, m.ends = append(m.held[:0], m.held[ready:]...), append(m.ends[:0], m.ends[ready:]...)
	if len(shown) == 0 {
		return nil
	}
	_, err := m.to.Write(shown)
	return err
}

// Hide gives a text without the secrets in it.
func Hide(secrets []string, text string) string {
	var out strings.Builder
	m := NewMask(secrets, &out)
	_, _ = m.Write([]byte(text)) // a Builder takes everything
	_ = m.Flush()
	return out.String()
}
