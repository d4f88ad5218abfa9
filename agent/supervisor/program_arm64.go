package supervisor

import "embed"

//go:embed all:programs/arm64
var programs embed.FS

const programDir = "programs/arm64"
