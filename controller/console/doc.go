// Package console is the live view of what an instance prints, and the way to
// type into it: a WebSocket for people, two calls for programs.
//
//	GET  /api/v1/instances/{id}/console         WebSocket, see below
//	POST /api/v1/instances/{id}/console/ticket  opens one WebSocket, within 30 s
//	GET  /api/v1/instances/{id}/console/lines   what was printed
//	POST /api/v1/instances/{id}/command         one command
//
// # The socket
//
// Who opens it shows a key in the call's headers, a ticket as ?ticket=, or, as a
// browser does, either in the first message, within 5 s:
//
//	{"type":"auth","ticket":"…"}      or   {"type":"auth","key":"…"}
//
// A key is never taken from the address. Messages are JSON texts. The server's:
//
//	{"type":"record","record":R}                        first; another one: numbers began anew
//	{"type":"lines","lines":[{seq,at,source,text,part}]}
//	{"type":"missed","from":100,"to":900}               gone, or passed over: never waited for
//	{"type":"state","status":…,"node":"online",…}       at the beginning and at each change
//	{"type":"tail","text":"> "}                         a line that is not ended yet, such as a prompt
//	{"type":"done","ref":"1","job":"…"}                 an input was carried out; of a power order, its job
//	{"type":"error","ref":"1","code":…,"message":…}     or it was not
//	{"type":"pong","ref":"1"}
//	{"type":"closing","code":…,"message":…}             the last one, before the close frame
//
// The client's, each with a "ref" of its own, of at most 64 bytes, if it wants to
// tell answers apart:
//
//	{"type":"command","command":"say hi"}
//	{"type":"size","rows":24,"columns":80}
//	{"type":"power","verb":"start"}                     stop, restart, kill
//	{"type":"ping"}
//
// ?after=N&record=R goes on behind line N of record R: every line comes once.
// Without it the newest 1,000 lines come first. What isn't a proper message gets
// an error and the socket lives on; so does what comes too often. Text may hold
// escapes: it is for who shows it to know what he does.
//
// Close codes: 4001 the key or ticket is not good (any more), 4003 no right, 4004
// no such instance (any more), 4009 suspended or otherwise not now, 4029 too many,
// 4008 too slow, 1001 the controller stops, 1009 a message beyond all measure,
// 1011 Berth's own fault.
//
// # Promises
//
//   - Looking needs access.ReadConsole and lasts as long as a grant.Hold; the
//     right to write or to give a power order is asked for with each.
//   - However many look at an instance, its node is asked once: one stream from
//     the agent feeds them all. Nobody waits for anybody: a reader that is slower
//     than what is kept here reads on from the node's record, at his own pace, as
//     long as that has the lines and fewer than five do so at once; else he is passed
//     over with "missed". One that takes nothing for a minute is cut.
//   - A node that goes away closes nothing. Viewers are told, and when it is back
//     they get the lines from where they were.
//   - A command is written to the log of events, with its first 200 characters,
//     before it is sent. One that was sent when the connection broke off is
//     reported as uncertain and is not repeated.
//   - Memory of a watched instance: its newest 2 MiB of lines, and up to 16 MiB
//     while somebody is behind, as long as all of these together are below
//     256 MiB. Nothing is kept of one that nobody watches.
//
// # Decisions
//
// One stream for all viewers of an instance, not one each: a hundred viewers of a
// node behind a tunnel would be a hundred copies of its output over the line that
// the players use. A viewer who wants older lines than are here (after=N) gets
// them over a short stream of his own.
//
// Lines are passed on as the JSON that the agent made, cut out and checked but
// not made anew: a viewer then costs a copy.
package console
