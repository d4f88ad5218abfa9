// Package server is the agent's door: the calls of shared/wire over HTTP, and
// one WebSocket of events. Its only client is the controller.
//
// Who may come in is decided before a byte of HTTP is read: TLS demands TLS 1.3
// and a client certificate of the controller's CA that names the controller
// (TLSConfig). A node's certificate is of the same CA and is refused. The handler
// itself knows nothing of connections: the same Door serves a listener, or the
// far end of a tunnel, once TLS was spoken on it.
//
// Events: a stream sends what the journal holds after the number that the
// controller names, in order and in batches, and goes on with what comes. Nothing
// is forgotten before it was acknowledged. There is one stream at a time; a new
// one ends the older, whose other end may be long dead. Both ends notice a dead
// connection by pings.
package server
