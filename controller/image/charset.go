package image

import (
	"bytes"
	"unicode/utf8"

	"golang.org/x/text/encoding"
	"golang.org/x/text/encoding/charmap"
	"golang.org/x/text/encoding/unicode"
)

// inUTF8 gives a file's text in UTF-8, and what it was in when that is something
// else: UTF-16 as editors of Windows write it, with its mark, or Windows-1252, in
// which everything is some text.
func inUTF8(text []byte) (out []byte, was string) {
	var from encoding.Encoding
	switch {
	case bytes.HasPrefix(text, []byte("\xff\xfe")), bytes.HasPrefix(text, []byte("\xfe\xff")):
		from, was = unicode.UTF16(unicode.LittleEndian, unicode.ExpectBOM), "UTF-16"
	case !utf8.Valid(text):
		from, was = charmap.Windows1252, "Windows-1252"
	default:
		return text, ""
	}
	out, err := from.NewDecoder().Bytes(text)
	if err != nil {
		return text, ""
	}
	return out, was
}
