// Package update replaces the agent's own program with the one that its
// controller sends, and puts the old one back when the new one does not do.
// Containers are never touched: the process stays, only its program changes
// (exec), so that not even a service manager has to help.
//
// In the directory of releases:
//
//	releases/<sha256>/berth-agent   the programs, called by what they are
//	current, previous               links to two of those
//	state.json                      the trial under way, and what was refused last
//
// # The way of an update
//
//	received, checked, run once (version) → noted as a trial → current switched → exec
//	trial → (the controller listens to its events) → kept
//	trial → (started too often, too late, or it could not run) → current switched back → exec
//
// Each step is on the disk before the next begins, and Open goes on where a
// killed process stopped: before the note nothing has happened; after it the
// switch is made; a trial that was given up is taken back.
//
// # Promises
//
//   - What comes over the wire never becomes a path: a program lies under its own
//     checksum, and the directory is a setting of this machine.
//   - A program that is cut off, altered, of another machine's kind, or of another
//     release than was said never becomes current.
//   - A release on trial that ends by itself (three times, or once with an error
//     that it could tell), or that no controller listens to within 90 s, is taken
//     back without anybody's help, and what was wrong is said in ReleaseState.
//   - Of the programs, the one that runs, the current and the previous are kept,
//     others removed.
//
// The counting is done by the program on trial itself, at its very start (Open
// comes before the command line is read). One that dies before that would not be
// taken back; it has shown by `version` that it gets as far. Refused: a guard
// process beside the agent, which would itself have to be updated.
package update
