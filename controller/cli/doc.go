// Package cli is the controller's command line: serve, and what an admin may
// have to do by hand on the controller's machine (user, key, node, image).
//
// The admin commands are calls of the API over the controller's local socket,
// so that they mean the same as everywhere and there is one writer. Where no
// controller runs, the command opens the data directory itself for as long as
// it takes and calls the same API.
package cli
