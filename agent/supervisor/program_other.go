//go:build !amd64 && !arm64

package supervisor

import "embed"

var programs embed.FS // no agent is released for such a machine

const programDir = "."
