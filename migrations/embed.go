// Package migrations holds the schema of the controller's database, one file
// per change, forward only. A released file is never edited (a test holds their
// checksums); the way back from a migration is the backup that is made before it.
package migrations

import "embed"

// FS holds the numbered SQL files.
//
//go:embed *.sql
var FS embed.FS
