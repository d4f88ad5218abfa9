package file

import (
	"strings"
	"unicode/utf8"

	"github.com/berth-panel/berth/shared/problem"
	"github.com/berth-panel/berth/shared/wire"
)

// disposition is the header that has a browser keep what is sent as a file of
// that name (RFC 6266). A name is hostile: whatever could end the header, or lead
// out of a folder, becomes "_".
func disposition(kind, name string) string {
	plain, full := make([]byte, 0, len(name)), make([]byte, 0, len(name)*3)
	odd := false
	for i := 0; i < len(name); {
		r, size := utf8.DecodeRuneInString(name[i:])
		bad := r == utf8.RuneError && size == 1 || r < ' ' || r >= 0x7f && r <= 0x9f || strings.ContainsRune(`/\`, r) || isFormat(r)
		switch {
		case bad:
			plain, full = append(plain, '_'), append(full, '_')
		case r >= utf8.RuneSelf:
			plain, odd = append(plain, '_'), true
			full = escape(full, name[i:i+size])
		case strings.ContainsRune(`"%`, r):
			plain, odd = append(plain, '_'), true
			full = escape(full, name[i:i+size])
		default:
			plain = append(plain, byte(r))
			full = escape(full, name[i:i+size])
		}
		i += size
	}
	out := kind + `; filename="` + string(plain) + `"`
	if odd {
		out += `; filename*=UTF-8''` + string(full)
	}
	return out
}

// isFormat says whether a character changes how those around it are shown: a
// name that reads backwards hides what kind of file it is.
func isFormat(r rune) bool {
	return r >= 0x200b && r <= 0x200f || r >= 0x2028 && r <= 0x202e || r >= 0x2060 && r <= 0x206f || r == 0xfeff || r == 0x61c
}

// escape writes what an RFC 5987 value may hold.
func escape(out []byte, text string) []byte {
	const hex = "0123456789ABCDEF"
	for i := range len(text) {
		c := text[i]
		if c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || strings.IndexByte("!#$&+-.^_`|~", c) >= 0 {
			out = append(out, c)
			continue
		}
		out = append(out, '%', hex[c>>4], hex[c&15])
	}
	return out
}

// bundleName is what an archive of a folder, or of one entry, is called.
func bundleName(b wire.FileBundle, instance string) string {
	name := instance
	switch {
	case len(b.Paths) == 1:
		name = base(b.Paths[0])
	case b.Folder != wire.Root:
		name = base(b.Folder)
	}
	return name + "." + string(b.Format)
}

// matchOf turns the conditions of a write into wire's match: If-Match with one
// ETag (or * for any file that is there), or If-None-Match: * for a new one.
func matchOf(ifMatch, ifNoneMatch string) (string, error) {
	ifMatch, ifNoneMatch = strings.TrimSpace(ifMatch), strings.TrimSpace(ifNoneMatch)
	switch {
	case ifMatch != "" && ifNoneMatch != "":
		return "", problem.Invalid("If-None-Match", "either this or If-Match, not both")
	case ifNoneMatch == "*":
		return "-", nil
	case ifNoneMatch != "":
		return "", problem.Invalid("If-None-Match", "only * makes sense here: write only when there is no such file")
	case ifMatch == "" || ifMatch == "*":
		return ifMatch, nil
	}
	if len(ifMatch) < 3 || len(ifMatch) > 200 || ifMatch[0] != '"' || ifMatch[len(ifMatch)-1] != '"' || strings.ContainsAny(ifMatch[1:len(ifMatch)-1], "\", ") {
		return "", problem.Invalid("If-Match", "one strong ETag in quotes, as it was given with the file, or *")
	}
	return ifMatch, nil
}

// oneRange gives a Range header that asks for one part; of several at once the
// whole is given, which HTTP allows.
func oneRange(header string) string {
	if !strings.HasPrefix(header, "bytes=") || strings.Contains(header, ",") {
		return ""
	}
	return header
}

var mediaTypes = map[wire.ArchiveFormat]string{
	wire.ArchiveZip: "application/zip", wire.ArchiveTar: "application/x-tar", wire.ArchiveTarGz: "application/gzip",
	wire.ArchiveTarXz: "application/x-xz", wire.ArchiveTarZs: "application/zstd",
}

// formatOf reads the kind of an archive.
func formatOf(field, name string) (wire.ArchiveFormat, error) {
	f := wire.ArchiveFormat(name)
	if mediaTypes[f] == "" {
		return "", problem.Invalid(field, "one of zip, tar, tar.gz, tar.xz, tar.zst")
	}
	return f, nil
}
