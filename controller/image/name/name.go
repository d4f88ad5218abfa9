package name

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/berth-panel/berth/shared/problem"
)

// Most is how long a name may be, in characters.
const Most = 200

// Check refuses what can't be a name, as the field name.
func Check(text string) error {
	if text == "" || utf8.RuneCountInString(text) > Most || strings.TrimSpace(text) != text || Misleads(text) || !seen(text) {
		return problem.Invalid("name", "1 to %d characters, none of them a control character, no space at the ends", Most)
	}
	return nil
}

// Misleads says whether a text holds a character that isn't seen, or that turns the
// direction of what is. The joiners are let pass; emoji and some scripts are written
// with them.
func Misleads(text string) bool {
	return !utf8.ValidString(text) || strings.ContainsFunc(text, misleads)
}

func misleads(r rune) bool {
	const nonJoiner, joiner = '\u200c', '\u200d'
	return !unicode.IsPrint(r) && r != nonJoiner && r != joiner
}

func seen(text string) bool { return strings.ContainsFunc(text, unicode.IsGraphic) }

// Clean makes a name of a text; "" when it has nothing that is seen.
func Clean(text string) string {
	var b strings.Builder
	for _, r := range text {
		switch {
		case unicode.IsSpace(r):
			b.WriteByte(' ')
		case !misleads(r):
			b.WriteRune(r)
		}
	}
	out := Cut(strings.TrimSpace(b.String()), Most)
	if !seen(out) {
		return ""
	}
	return out
}

// Cut gives at most so many characters of a text, without spaces at their end.
func Cut(text string, most int) string {
	if runes := []rune(text); len(runes) > most {
		return strings.TrimSpace(string(runes[:most]))
	}
	return text
}
