// Package patch changes config files of a volume before each start, as a
// wire.Patch says: settings that an instance's limits, ports and variables decide.
// Values come ready from the controller; nothing is expanded here but the groups
// of a set's own expression.
//
// Promises:
//   - What isn't named stays, byte by byte: comments, order, blank lines, quotes,
//     ends of lines, also of formats whose usual writers keep none of that. A file
//     in which nothing changes isn't written.
//   - Patching twice is patching once, also when a value holds what looks like a
//     comment, a match or another line. Conditions alone can chain (a becomes b, and
//     the next time b becomes c).
//   - A file is read and written beneath the volume's root, through agent/files: no
//     link is followed, only regular files are opened. It is replaced at once, with
//     the mode and owner that it had. One that was missing, and its folders, belong
//     to the image's user.
//   - Files up to wire.PatchMost. Memory is the file, its next text, the one before
//     while a set is carried out, and for JSON one more: at most four times the file,
//     and one large file of the node at a time. No parser recurses deeper than
//     maxDepth, whatever a container writes into its files.
//
// Formats:
//
//	file        a line that begins with the match becomes the value, which may be
//	            several lines. Nothing is appended and no file made: as eggs expect
//	properties  Java's; keys as a whole. What is written is ASCII, "\u00a7" and so on
//	ini         "section.key", at the dot that this file has a section for; a key
//	            alone is outside of sections; "[/a.b/c].key"
//	json        with comments and trailing commas, too
//	yaml, toml  the same paths: "servers.*.address", "listeners[0].host", "a.0"
//	xml         "root.a.b[@name='x']": the text, or an attribute: "[value='1']"
//
// In paths, and in the names of ini, a "\" makes the sign behind it a letter (special).
//
// Types: the controller says what is a number and what a text. A value takes the
// type of what it replaces where it can: "8080" in quotes stays in quotes, a text
// of digits in the place of a number is a number, "true" in the place of a truth
// is one. Where nothing is there it is what it is.
//
// Missing keys are made, with what they lie in. A set that finds no place (a plain
// value where a mapping should be, an element behind the end of a list, a root of
// another name) changes nothing and is told as a note, since eggs hold some that
// never had one. A wildcard sets what is there; a key below it is made in each
// mapping, but not in TOML and XML.
//
// A file that can't be read as what it is fails the start, with its line. Refused:
// to log it and start all the same, as others do: the program then listens where
// nobody reaches it, or with the password of its defaults. A text without rules
// (file, properties, ini) has no such failure.
//
// Refused, too: libraries that read a file into a tree and write it anew. They lose
// layout, and take ten to a hundred times the file in memory; goccy/go-yaml, which
// keeps comments, needed two minutes for 10 MiB (and tests compare with it what the
// scanner here finds, as they do with go-toml and encoding/xml). Only JSON's
// comments are left to tidwall/jsonc, which keeps each byte's place.
package patch
