// Package console keeps what instances print, and lets many look on.
//
// Each instance has a record: numbered lines, on disk, in a few files that only
// grow (record.go). It outlives the container, the container's successor and the
// agent. One session (session.go) at a time fills it:
//
//	detached → attached → detached    (Begin: before a start, so that nothing is missed)
//	detached → catching up → attached (Resume: a container that was found)
//	detached → catching up → detached (one that has ended meanwhile)
//
// Promises:
//   - Numbers have no gap. A line is written to its file before anybody sees it, so
//     an agent that is killed and comes back goes on behind the last number that
//     anybody knows. It is not synced: after a crash of the machine the record may
//     be shorter than what was seen, and takes another name (Record), as it does when
//     it begins anew; numbers of the old name mean nothing then.
//   - What a container printed while nobody was attached is taken from the engine's
//     log, as far as that reaches, without repeating what the record has: the last
//     recorded lines are looked for in the log (align.go). Where lines are all alike,
//     times decide, and a few of them may be counted wrongly.
//   - A stream's end says nothing about the container. The engine is asked; when it
//     doesn't answer, the session waits for the next Resume.
//   - Nothing that a container prints is passed over because the disk or the machine
//     is slow: pipeSize of it is read into memory, and then the container waits, as
//     it does for its engine's own log. That holds up no other instance's.
//   - A container is never held up by a reader. A reader is held up by its own
//     connection only. It has a place in the record and no queue. A burst reaches it
//     whole, for the record grows while somebody has old lines to come (Behind); what
//     it no longer has then is told as missed, and the reader goes on a quarter of
//     the record behind that. Lines are encoded once for all who read along; who lags
//     behind reads the files.
//   - While the disk is full, lines are kept in memory as far as recentSize goes, and
//     the record is one that begins anew when the agent is restarted.
//
// Of a line: text ends at LF, and a CR before that is dropped. A CR alone begins
// the line anew, as on a terminal, except that what the new text does not cover is
// gone too: of a progress bar the last one stays. What is longer than
// wire.ConsoleLine is cut, at a character's border, and marked as Part. Each byte
// that isn't UTF-8 becomes U+FFFD. What has no end yet, such as a prompt, is shown
// as Tail soon after, and becomes a line when the stream ends.
//
// A command becomes a line of its own, before it is written to stdin; a terminal
// that echoes shows it again.
//
// Refused: following the engine's log instead of attaching. It has the times that
// make catching up simple, but no prompts, and Docker's followers lose lines when
// the log is rotated. Refused: a queue for each reader, which costs memory for
// each that is slow and copies for each that is not.
package console
