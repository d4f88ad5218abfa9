package wire

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

// Path is the name of something inside a volume, relative to its root and with
// slashes; "." is the root itself. What containers call their files is any bytes
// but NUL, and JSON would put replacement characters in place of those that are
// no UTF-8: in JSON a "%" and every byte that is no part of a UTF-8 character
// are written as "%" and two hex digits, so that nothing is lost.
type Path string

// The limits of a Path that is carried: what Linux takes in one call.
const (
	MaxPath = 4095
	MaxName = 255
)

// Root is the volume itself.
const Root Path = "."

// Valid says whether the path leads to one place beneath the root or to the
// root itself: no empty, "." or ".." component, no NUL, no slash at either end,
// within the limits.
func (p Path) Valid() bool {
	if p == Root {
		return true
	}
	if len(p) == 0 || len(p) > MaxPath || strings.IndexByte(string(p), 0) >= 0 {
		return false
	}
	for name := range strings.SplitSeq(string(p), "/") {
		if name == "" || name == "." || name == ".." || len(name) > MaxName {
			return false
		}
	}
	return true
}

// Compare puts paths into the order of a walk: the root first, each folder
// before what is in it and that before the folder's next neighbour; names byte
// by byte. It is negative when p comes before q.
func (p Path) Compare(q Path) int {
	a, b := string(p), string(q)
	if p == Root {
		a = ""
	}
	if q == Root {
		b = ""
	}
	for {
		x, restA, moreA := strings.Cut(a, "/")
		y, restB, moreB := strings.Cut(b, "/")
		if c := strings.Compare(x, y); c != 0 {
			return c
		}
		switch {
		case !moreA && !moreB:
			return 0
		case !moreA:
			return -1
		case !moreB:
			return 1
		}
		a, b = restA, restB
	}
}

// Above says whether q lies beneath p.
func (p Path) Above(q Path) bool {
	if p == Root {
		return q != Root
	}
	return len(q) > len(p) && q[:len(p)] == p && q[len(p)] == '/'
}

const hexDigits = "0123456789abcdef"

// MarshalText is the form in JSON.
func (p Path) MarshalText() ([]byte, error) {
	out := make([]byte, 0, len(p)+8)
	for i := 0; i < len(p); {
		r, size := utf8.DecodeRuneInString(string(p[i:]))
		if p[i] == '%' || r == utf8.RuneError && size == 1 {
			out = append(out, '%', hexDigits[p[i]>>4], hexDigits[p[i]&15])
			i++
			continue
		}
		out = append(out, p[i:i+size]...)
		i += size
	}
	return out, nil
}

// UnmarshalText reads that form.
func (p *Path) UnmarshalText(text []byte) error {
	out := make([]byte, 0, len(text))
	for i := 0; i < len(text); i++ {
		if text[i] != '%' {
			out = append(out, text[i])
			continue
		}
		if i+2 >= len(text) {
			return fmt.Errorf("a path ends within %q", text[i:])
		}
		high, low := strings.IndexByte(hexDigits, text[i+1]), strings.IndexByte(hexDigits, text[i+2])
		if high < 0 || low < 0 {
			return fmt.Errorf("a path holds %q, which is no %% and two hex digits", text[i:i+3])
		}
		out = append(out, byte(high<<4|low))
		i += 2
	}
	*p = Path(out)
	return nil
}
