// Package fleet holds the live connections to the agents: it dials them, says
// who is there, carries calls to them and takes their events in. It knows no
// feature: which nodes there are comes from a Directory, what their events mean
// is a Sink's business (controller/node is both).
//
// # Life of a connection
//
// Each target has one owner, a goroutine that goes round:
//
//	connecting → (hello, Sink.Connected, the event stream stands) → online → offline → connecting …
//
// The pause before the next try grows from 0.2 s to 5 s, drawn at random so
// that a hundred agents don't all come back in the same moment. An agent sends
// a sign of life every 5 s; after 12 s of silence the node is offline. A target
// that Refresh finds gone or changed (deleted, revoked, enrolled anew, moved) is
// cut with its calls, at once.
//
// # Who is at the other end
//
// TLS 1.3 on both sides. The agent must show a certificate of the controller's
// own CA (Authority) with exactly the node's URI and exactly a serial that the
// directory names: host names prove nothing here, an older certificate of the
// same node is void, and another node's doesn't open anything. A second serial
// may be named while a new certificate is on its way to the agent; when it is
// shown, the directory is told (Renewed) and lets in no other from then on.
//
// # Tunnels
//
// An agent that can't be dialled opens a WebSocket to the controller, on which
// yamux runs (shared/wire); each connection that would be dialled is a stream of
// it, with the same TLS and the same HTTP, so nothing else differs. Nothing that
// the other end claims is believed:
//
//	opened → (a TLS handshake in a stream shows a certificate that is let in, within 10 s) → registered → closed
//
// 64 tunnels at most are unproven at a time, 8 from one network. A newer tunnel
// of a node takes the place of the older, whose agent is told to stay away for
// long: two agents with one identity don't take it from each other in turns. A
// tunnel closes with its node's right (revoked, enrolled anew), when its event
// stream is silent, when the other end opens a stream, which no agent of ours
// does, or floods. A node that was to be dialled and proves itself over a tunnel
// is one with a tunnel from then on (Directory.Tunnelled).
//
// # Promises
//
//   - A node's coming and going is known within 15 s whichever way the connection
//     dies, dialled or tunnelled: broken off, silent, or with a frozen agent.
//   - For one node the Sink is called by one goroutine at a time, and in the
//     order Connected, Synced, Events…, Disconnected. Synced and what follows
//     come only once the event stream stands and the node counts as online.
//   - Events are acknowledged after Sink.Events has returned nil for them, never
//     before, so that the agent keeps what has not taken effect; what was in
//     doubt comes again after the reconnect, and the Sink's cursor drops it.
//   - Calls fail with a NODE_OFFLINE problem that names the node and the reason;
//     an agent's own refusal is passed on as the problem that it is. A call that
//     broke off may have reached the agent: every call may be repeated (see
//     shared/wire), the transport repeats it itself when a kept connection turns
//     out to be dead.
//   - When Run returns, every goroutine and connection of the fleet has ended.
//
// Refused: one connection for everything, calls and events. Calls over HTTP
// keep-alive need no framing of our own, can't block the events behind a slow
// answer, and can be tried with curl.
package fleet
