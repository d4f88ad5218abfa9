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
// own CA (Authority) with exactly the node's URI and exactly the serial that the
// directory names: host names prove nothing here, an older certificate of the
// same node is void, and another node's doesn't open anything.
//
// # Promises
//
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
