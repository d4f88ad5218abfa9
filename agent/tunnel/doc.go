// Package tunnel is for an agent that nobody can dial: it opens one WebSocket to
// the controller and gives the connections that the controller opens in it as a
// net.Listener. The agent's server (agent/server) serves that listener as it
// serves a port, with the same TLS: who sits between here and the controller, or
// runs a proxy there, can cut the tunnel and nothing else. So the WebSocket's own
// TLS adds nothing and is not verified: a fresh controller has no certificate
// that this machine could know. (See shared/wire for what runs in it.)
//
//	away → (a WebSocket stands) → open → (it breaks, or is silent for 14 s) → away → …
//
// # Promises
//
//   - It is opened again and again until Run's ctx ends; the pause grows from
//     0.2 s to 5 s and is drawn at random, so that a hundred agents don't all come
//     back in the same moment.
//   - Two agents with one identity don't take the tunnel from each other in turns:
//     the one whose tunnel was replaced stays away for half a minute, then longer,
//     up to ten minutes.
//   - A tunnel that looks open and carries nothing is closed within 14 s.
//   - When Run returns, everything that it started has ended. Accept gives
//     net.ErrClosed once Close was called.
//
// Refused: a tunnel for calls and another for events. One connection is what a
// NAT box must keep alive, and what an operator sees.
package tunnel
