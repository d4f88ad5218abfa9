// Package build says which Berth this is. The version is set by the linker
// (see the Makefile); a plain `go build` says "dev".
package build

// Version is the release, such as "0.1.0"; set with
// -ldflags "-X github.com/berth-panel/berth/shared/build.Version=…".
var Version = "dev"
