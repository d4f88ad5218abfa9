package image

import (
	"fmt"
	"strings"

	"github.com/berth-panel/berth/controller/event"
	"github.com/berth-panel/berth/controller/image/name"
	"github.com/berth-panel/berth/shared/ident"
)

type eventType = event.Type

// register is what an import knows of the catalogue while it goes on. Which image
// a file is a newer form of is decided by these rules, the first that fits:
//
//  1. the same uuid (or none on both sides), author and name
//  2. the same uuid, or the file's uuid is the image's own id
//  3. the same author and name, and the image has no uuid
//  4. the same author and name, and the file has no uuid
//
// The name is the one that the image's file had, whatever it is called here.
// Each image is matched by one file of an import: of two that would be the same
// the second becomes an image of its own, under a name of its own, and the report
// says so. Two with different uuids are never the same.
//
// A file that only the uuid finds is told of: authors rename their eggs, and others
// copy them with the uuid in them. So is one that only its name finds, where neither
// has an author and they run another container image.
//
// Refused: to refuse the second one, or one with another name. Public collections
// hold the same name for two panels, and one uuid for two eggs; both are wanted.
type register struct {
	images []*known
	names  map[string]bool // that are taken, as SQLite compares them
	files  map[*known]string
}

func newRegister(images []known, apart []ident.Image) *register {
	r := &register{names: map[string]bool{}, files: map[*known]string{}}
	skip := map[ident.Image]bool{}
	for _, id := range apart {
		skip[id] = true
	}
	for n := range images {
		k := &images[n]
		if k.claimed = skip[k.id]; k.claimed {
			r.files[k] = "an earlier part of this import"
		}
		r.images = append(r.images, k)
		r.names[strings.ToLower(k.name)] = true
	}
	return r
}

// rules is how many there are.
const rules = 4

// rule says by which rule a file is a newer form of an image; 0 by none.
func (c *candidate) rule(k *known) int {
	author := c.reading.Image.Author
	named := k.author == author && (k.sourceName == c.name || strings.EqualFold(k.name, c.name)) && (k.imported || author != "")
	switch {
	case named && k.uuid == c.uuid:
		return 1
	case c.uuid != "" && (k.uuid == c.uuid || k.uuid == "" && string(k.id) == c.uuid):
		return 2
	case named && k.uuid == "":
		return 3
	case named && c.uuid == "":
		return 4
	}
	return 0
}

// replaced tells of an image that may be another one than the file's.
func (c *candidate) replaced(old Image, tell func(field, format string, args ...any)) {
	byName := c.uuid == "" && c.match.uuid == "" && c.reading.Image.Author == ""
	switch {
	case c.rule(c.match) == 2:
		was := c.match.sourceName
		if was == "" {
			was = old.Name
		}
		tell("uuid", "it is that of %q%s, which is now %q%s; if they are two images, give this file a uuid of its own and import both again",
			was, by(c.match.author), c.name, by(c.reading.Image.Author))
	case byName && repository(old.References[0]) != repository(c.reading.Image.References[0]):
		tell("name", "the image of this name ran %s and is now this file's; if they are two images, give one another name and import both again", old.References[0])
	}
}

func by(author string) string {
	if author == "" {
		return ""
	}
	return " by " + author
}

// repository is a reference without its tag and digest.
func repository(reference string) string {
	reference, _, _ = strings.Cut(reference, "@")
	if colon := strings.LastIndexByte(reference, ':'); colon > strings.LastIndexByte(reference, '/') {
		return reference[:colon]
	}
	return reference
}

// match gives each file its image: rule by rule, so that the better reason wins
// whatever the order of the files is.
func (r *register) match(files []*candidate) {
	for rule := 1; rule <= rules; rule++ {
		for _, c := range files {
			if c.match != nil {
				continue
			}
			for _, k := range r.images {
				if !k.claimed && c.rule(k) == rule {
					c.match, k.claimed = k, true
					r.files[k] = c.report.File
					break
				}
			}
		}
	}
}

// add notes a new image.
func (r *register) add(c *candidate, i Image) {
	k := &known{id: i.ID, name: i.Name, uuid: c.uuid, author: i.Author, sourceName: c.name, imported: true, claimed: true}
	r.images = append(r.images, k)
	r.names[strings.ToLower(i.Name)] = true
	r.files[k] = c.report.File
}

// name is what a new image is called.
func (r *register) name(c *candidate, tell func(field, format string, args ...any)) string {
	for _, k := range r.images {
		if k.claimed && c.rule(k) > 0 {
			tell("name", "%s of this import is %q too, by uuid or by author and name; they stay two images", r.files[k], k.name)
			break
		}
	}
	return r.free(c.reading.Image.Name, tell)
}

// nameOf is what an image that was there is called from now on: as people have
// renamed it, else as its file does.
func (r *register) nameOf(c *candidate, old Image, tell func(field, format string, args ...any)) string {
	if old.Source != nil && old.Source.Name == c.name || strings.EqualFold(old.Name, c.reading.Image.Name) {
		return old.Name
	}
	if old.Source != nil && old.Source.Name != "" && old.Source.Name != old.Name {
		return old.Name
	}
	delete(r.names, strings.ToLower(old.Name))
	name := r.free(c.reading.Image.Name, tell)
	r.names[strings.ToLower(name)] = true
	return name
}

// free is the name that is wanted, or one like it that isn't taken.
func (r *register) free(wanted string, tell func(field, format string, args ...any)) string {
	if !r.names[strings.ToLower(wanted)] {
		return wanted
	}
	for n := 2; ; n++ {
		suffix := fmt.Sprintf(" (%d)", n)
		other := name.Cut(wanted, name.Most-len(suffix)) + suffix
		if !r.names[strings.ToLower(other)] {
			tell("name", "the catalogue has an image named %q already; this one is %q", wanted, other)
			return other
		}
	}
}
