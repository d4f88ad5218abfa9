package supervisor

import "embed"

//go:embed all:programs/amd64
var programs embed.FS

const programDir = "programs/amd64"
