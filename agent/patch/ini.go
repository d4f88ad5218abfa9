package patch

import (
	"bytes"
	"strings"
)

// iniPlace is one reading of a match: "a.b.c" may be the key "b.c" of section a,
// the key c of section "a.b", or a key of that name outside of sections.
type iniPlace struct{ section, key string }

// iniPlaces are the readings, the usual one first. Brackets keep a section's name
// together: "[/Script/Engine.Session].MaxPlayers". In keys they stay. A dot with a
// "\" before it is one of a name.
func iniPlaces(match string) []iniPlace {
	var list []iniPlace
	depth := 0
	for i := 0; i < len(match); i++ {
		switch {
		case escaped(match[i:]):
			i++
		case match[i] == '[':
			depth++
		case match[i] == ']':
			if strings.HasPrefix(match, "[") && len(match) > i+2 && match[i+1] == '.' {
				return []iniPlace{{bare(match[1:i]), bare(match[i+2:])}}
			}
			depth--
		case match[i] == '.' && depth <= 0 && i > 0 && i+1 < len(match):
			list = append(list, iniPlace{bare(match[:i]), bare(match[i+1:])})
		}
	}
	return append(list, iniPlace{"", bare(match)})
}

// iniLine is a line of an ini file.
type iniLine struct {
	header     bool
	name       []byte // of the section, or the key; empty is a comment, or nothing
	value, end int    // of the value, without what follows it
	stop       int    // where the line ends
	spaced     bool   // "key = value"
}

// ini sets keys of sections. Of keys that are there twice all are set. One that
// isn't there is added behind the last of its section, which is made when it is
// missing. Of other lines not a byte changes.
func ini(src []byte, sets []set, n *notes) ([]byte, error) {
	for i := range sets {
		if err := n.over(); err != nil {
			return nil, err
		}
		if strings.ContainsAny(sets[i].value.text, "\r\n") {
			n.add("%s isn't set: its value is more than one line, which an ini file can't hold", sets[i].match)
			continue
		}
		s := sets[i]
		s.value.text = strings.TrimSpace(s.value.text) // which is all that can be read again
		var err error
		if src, err = iniSet(src, &s, n); err != nil {
			return nil, err
		}
	}
	return src, nil
}

func iniSet(src []byte, s *set, n *notes) ([]byte, error) {
	place, found, sections := iniFind(src, s.match)
	ed := editor{src: src}
	home, last, spaced := place.section == "", -1, false
	first := -1 // the first section's line
	for at := 0; at < len(src); at = lineStop(src, at) + 1 {
		l := iniRead(src, at)
		switch {
		case l.header:
			if first < 0 {
				first = at
			}
			if home = string(l.name) == place.section; home {
				last = l.stop
			}
		case len(l.name) > 0:
			spaced = spaced || l.spaced
			if !home {
				continue
			}
			last = l.stop
			if string(l.name) == place.key {
				iniChange(&ed, s, l)
			}
		}
	}
	if found || s.conditional() {
		return ed.done()
	}
	between := "="
	if spaced {
		between = " = "
	}
	line := strings.TrimRight(place.key+between+s.value.text, " ")
	header := iniRead([]byte("["+place.section+"]"), 0)
	if string(iniRead([]byte(line), 0).name) != place.key || place.section != "" && string(header.name) != place.section {
		n.add("%s isn't set: it can't be a key of an ini file", s.match)
		return src, nil
	}
	iniAdd(&ed, place, line, last, first, sections)
	return ed.done()
}

// iniFind chooses the reading of a match that this file has a key for, else a
// section, else the usual one.
func iniFind(src []byte, match string) (place iniPlace, found, sections bool) {
	places := iniPlaces(match)
	keys := make([]bool, len(places))
	homes := make([]bool, len(places))
	var section []byte
	for at := 0; at < len(src); at = lineStop(src, at) + 1 {
		l := iniRead(src, at)
		if l.header {
			section, sections = l.name, true
		}
		if len(l.name) == 0 {
			continue
		}
		for i, p := range places {
			homes[i] = homes[i] || l.header && p.section == string(l.name)
			keys[i] = keys[i] || !l.header && p.section == string(section) && p.key == string(l.name)
		}
	}
	for i := range places {
		if keys[i] {
			return places[i], true, sections
		}
	}
	for i := range places {
		if homes[i] {
			return places[i], false, sections
		}
	}
	return places[0], false, sections
}

func iniChange(ed *editor, s *set, l iniLine) {
	raw := string(ed.src[l.value:l.end])
	whole := strings.TrimRight(string(ed.src[l.value:l.stop]), " \t")
	old, quote := raw, ""
	if len(raw) > 1 && (raw[0] == '"' || raw[0] == '\'') && raw[len(raw)-1] == raw[0] {
		old, quote = raw[1:len(raw)-1], raw[:1]
	}
	next, change := s.next(scalar{text, old})
	// What was written once is taken as it stands, whatever looks like a comment in it.
	if !change || next.text == old || next.text == whole {
		return
	}
	end := l.end
	if tail := iniTail([]byte(next.text), 0, len(next.text)); tail < len(next.text) {
		end = l.stop // it brings what looks like a comment, which would gather
	}
	if quote != "" && !strings.Contains(next.text, quote) {
		next.text = quote + next.text + quote
	}
	if next.text == whole {
		return
	}
	if l.value > 0 && l.spaced && ed.src[l.value-1] == '=' {
		next.text = " " + next.text
	}
	if l.value == end && end < l.stop {
		next.text += " " // a comment stood in its place
	}
	ed.replace(l.value, end, next.text)
}

// iniAdd puts a new line into the place's section.
func iniAdd(ed *editor, place iniPlace, line string, last, first int, sections bool) {
	eol := newline(ed.src)
	end := len(ed.src)
	if last >= 0 {
		ed.replace(last, last, eol+line)
		return
	}
	if place.section == "" {
		if sections {
			ed.replace(first, first, line+eol)
			return
		}
		ed.replace(end, end, iniBreak(ed.src, eol)+line+eol)
		return
	}
	gap := ""
	if end > 0 {
		gap = iniBreak(ed.src, eol) + eol
	}
	ed.replace(end, end, gap+"["+place.section+"]"+eol+line+eol)
}

// iniBreak ends the last line when it isn't.
func iniBreak(src []byte, eol string) string {
	if len(src) > 0 && src[len(src)-1] != '\n' {
		return eol
	}
	return ""
}

func iniRead(src []byte, at int) iniLine {
	stop := lineEnd(src, at)
	l := iniLine{stop: stop}
	at = skip(src[:stop], at, " \t")
	if at == stop || src[at] == '#' || src[at] == ';' {
		return l
	}
	if src[at] == '[' {
		if end := bytes.LastIndexByte(src[at:iniTail(src, at, stop)], ']'); end > 0 {
			l.header, l.name = true, bytes.TrimSpace(src[at+1:at+end])
			return l
		}
	}
	cut := bytes.IndexAny(src[at:stop], "=:")
	// "User:admin = x" has its sign further on.
	if eq := bytes.IndexByte(src[at:stop], '='); eq >= 0 {
		cut = eq
	}
	if cut <= 0 {
		return l
	}
	cut += at
	l.name = bytes.TrimSpace(src[at:cut])
	l.spaced = src[cut-1] == ' '
	l.value = skip(src[:stop], cut+1, " \t")
	l.end = iniTail(src, l.value, stop)
	return l
}

// iniTail is where a value ends: before "; words" or "# words" behind a blank.
// What is in quotes is never a comment.
func iniTail(src []byte, at, stop int) int {
	if at < stop && (src[at] == '"' || src[at] == '\'') {
		if end := bytes.IndexByte(src[at+1:stop], src[at]); end >= 0 && at+2+end < stop && (src[at+2+end] == ' ' || src[at+2+end] == '\t') {
			return at + 2 + end
		}
	}
	end := stop
	for i := at; i+1 < stop; i++ {
		if (src[i] == ';' || src[i] == '#') && src[i+1] == ' ' && i > 0 && (src[i-1] == ' ' || src[i-1] == '\t') {
			end = i
			break
		}
	}
	for end > at && (src[end-1] == ' ' || src[end-1] == '\t') {
		end--
	}
	return end
}
