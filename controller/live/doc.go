// Package live is the one WebSocket that a page of the panel keeps open: what
// happens, as it happens, and the figures of what the page shows.
//
// # Messages
//
//	server → page
//	{"type":"hello","after":N}          at the beginning: what follows comes after the fact N
//	{"type":"event","event":{…}}        a fact that the caller may see
//	{"type":"stats","instance_id":…,…}  figures of a watched instance, about each second while it runs
//	{"type":"stats","node_id":…,…}      and of a watched node
//	{"type":"offline","instance_id"|"node_id":…,"message":…}  its node doesn't answer; once, until it does
//	{"type":"watching","instances":[…],"nodes":[…]}  what is watched now: the answer to watch, and when a right ends
//	{"type":"behind","after":N}         facts were left out: fetch what is shown anew, and go on after N
//	{"type":"beat","after":N}           nothing new up to N; at least every 25 s
//	{"type":"pong"}, {"type":"refused","message":…}
//	{"type":"closing","code":…,"message":…}  before the end
//
//	page → server
//	{"type":"watch","instances":[ids],"nodes":[ids]}  these from now on, and none else; 100 in all
//	{"type":"ping"}
//
// A page that comes back says ?after=N, the number of the last fact that it has.
//
// # Promises
//
//   - No fact is left out or told twice, however often the connection breaks, unless
//     "behind" says so: after more than a page would want to catch up with, or when
//     the log no longer goes back that far.
//   - A fact is told to who may see it when it is told (event.Sight): the caller is
//     looked up anew for each batch. What is watched ends when the right does; the
//     socket ends, and says why, when the session, the key or the account does.
//   - One slow page costs the others nothing: each reads the log by itself, at its
//     own pace; figures that it does not take are replaced by newer ones. What waits
//     for it is two batches of facts and one reading of each node.
//   - A node is asked once a second, however many pages watch however many of its
//     instances, and not at all when nobody does.
//   - Pings and beats come often enough for proxies that cut what is silent for 60 s.
//
// A page is let in as any call is, by the panel's cookie or an API key in the
// headers: a route that is not public, so that httpapi counts its sockets and ends
// them with the session.
//
// Refused: a WebSocket to the agent for each instance that is watched (a list of
// a hundred would be a hundred streams of which each brings one line a second);
// handing facts over in memory (who is slow would need a queue, and who comes back
// the log); and sending what changed instead of that it did (a page may not see
// all of an object, and would need a second way to learn of each).
package live
