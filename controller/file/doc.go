// Package file is the files of an instance for people and programs: listed,
// read, written, uploaded and packed over the API. What it does is rights, the
// protocols and the record of it; the files themselves are the agent's
// (agent/transfer), which alone knows a volume's root.
//
// # Short and long
//
// What is quick is a call that is answered with its result. Deleting, copying,
// archiving, extracting and pulling are jobs (file.delete …): the agent does them
// as a task with the job's id, which is put again with every look at it. So
// neither side's death matters: the agent takes a task that it has for the same
// one, and one that it has forgotten it does again. File jobs go on beside the
// instance's one job, and a few at a time: a long copy is no reason not to
// restart a server. A move waits for them and they are refused during one.
//
//	task:   put → done | failed;  cancelled, too late, suspended → file.stop
//
// # Uploads
//
// The tus protocol 1.0.0 with the extensions creation, creation-with-upload,
// expiration, termination and checksum (sha256). A part is streamed through to
// the agent and never kept here; the offset is what the agent has safely on disk,
// asked anew each time. An upload that its node does not know (it never heard of
// it, its disk was replaced, the instance was moved) begins again at 0.
//
//	open → finishing → finished;  open → gone (dropped, or a day without a part)
//
// Finishing is noted before the agent is told, so that a repeat after anybody's
// death finds the file in place and doesn't begin again.
//
// # Promises
//
//   - Rights are controller/grant's: asked for each call, held for each transfer,
//     which is cut the moment they end.
//   - Nothing of a volume is ever shown as a page: what is sent is an attachment
//     of application/octet-stream, or text/plain when asked for, never sniffed.
//   - A path is checked here and again by the agent. In JSON and queries it is
//     wire.Path's text form, so that no name is lost; in a header it is escaped.
//   - Two who edit one file: the second, who names the ETag that he read, gets
//     412 with CONFLICT, and nothing was written.
//   - What changes files leaves an event that says who and what, and so does what
//     downloads them; a call with many paths leaves one.
//   - A transfer takes bounded memory: a few buffers, however slow either end is.
//   - A node that is away is NODE_OFFLINE at once; a job waits for it.
//
// # Refused
//
// Whole files kept here on their way (an upload would need the room twice and
// resume in two places), links to the node (browsers should only need the panel,
// and nodes may be behind NAT), sha1 for parts (it would have to be reckoned here,
// after the part has gone on), and tusd, which owns files where ours are only
// passed on.
package file
