package stats

import (
	"bytes"
	"math"
)

// The kernel's texts are read without trust and without allocating: a line that
// is not as it should be is passed over, a number that is too large is none.

// number reads decimal digits and nothing else.
func number(text []byte) (int64, bool) {
	if len(text) == 0 {
		return 0, false
	}
	var n int64
	for _, c := range text {
		if c < '0' || c > '9' {
			return 0, false
		}
		d := int64(c - '0')
		if n > (math.MaxInt64-d)/10 {
			return 0, false
		}
		n = n*10 + d
	}
	return n, true
}

func trim(text []byte) []byte { return bytes.TrimSpace(text) }

// line cuts the first line off.
func line(text []byte) (first, rest []byte) {
	first, rest, _ = bytes.Cut(text, []byte{'\n'})
	return first, rest
}

// word cuts the first word off.
func word(text []byte) (first, rest []byte) {
	text = bytes.TrimLeft(text, " \t")
	if i := bytes.IndexAny(text, " \t"); i >= 0 {
		return text[:i], text[i+1:]
	}
	return text, nil
}

// keyed finds "key number" on a line of its own.
func keyed(content []byte, key string) (int64, bool) {
	for len(content) > 0 {
		var l []byte
		l, content = line(content)
		if name, rest := word(l); string(name) == key {
			return number(trim(rest))
		}
	}
	return 0, false
}

// devices adds up the bytes in and out of /proc/net/dev.
func devices(content []byte, counts func(name string) bool) (in, out int64) {
	for len(content) > 0 {
		var l []byte
		l, content = line(content)
		name, rest, ok := bytes.Cut(l, []byte{':'})
		if name = trim(name); !ok || len(name) == 0 {
			continue
		}
		received, rest := word(rest)
		for range 7 {
			_, rest = word(rest)
		}
		sent, _ := word(rest)
		r, ok1 := number(received)
		s, ok2 := number(sent)
		if ok1 && ok2 && counts(string(name)) {
			in, out = plus(in, r), plus(out, s)
		}
	}
	return in, out
}

// transfers adds up what was read and written on all devices. A device that
// stands on another, as a volume's image on its disk, may be counted with both,
// as the engine counts it.
func transfers(content []byte, v2 bool) (read, written int64) {
	for len(content) > 0 {
		var l []byte
		l, content = line(content)
		device, rest := word(l)
		if !bytes.Contains(device, []byte{':'}) {
			continue // v1's sum
		}
		if !v2 {
			what, rest := word(rest)
			n, ok := number(trim(rest))
			switch {
			case ok && string(what) == "Read":
				read = plus(read, n)
			case ok && string(what) == "Write":
				written = plus(written, n)
			}
			continue
		}
		for len(rest) > 0 {
			var pair []byte
			pair, rest = word(rest)
			name, value, _ := bytes.Cut(pair, []byte{'='})
			n, ok := number(value)
			switch {
			case ok && string(name) == "rbytes":
				read = plus(read, n)
			case ok && string(name) == "wbytes":
				written = plus(written, n)
			}
		}
	}
	return read, written
}

// plus adds two counters, and stays at the top.
func plus(a, b int64) int64 {
	if a > math.MaxInt64-b {
		return math.MaxInt64
	}
	return a + b
}
