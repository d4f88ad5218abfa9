// Package wire is the language between controller and agent: JSON over HTTP on
// mutual TLS, and one WebSocket per node for events. The agent is the server
// and the controller its only client.
//
//	GET    /v1/hello              → Hello
//	GET    /v1/instances          → Inventory
//	PUT    /v1/instances/{id}     Spec    → 202 Accepted   (journalled before the answer)
//	DELETE /v1/instances/{id}     Removal → 202 Accepted   (also for one that is gone)
//	GET    /v1/instances/{id}  → Spec     (the one that it holds)
//	GET    /v1/events?epoch=E&after=N     → WebSocket of EventBatch, answered by Ack
//	POST   /v1/certificate     → CertificateRequest   (a new key, kept beside the old one)
//	PUT    /v1/certificate     Certificate → 204      (for that key: used from now on)
//	GET    /v1/release         → ReleaseState
//	PUT    /v1/release?sha256=H&release=R  the program → 202 ReleaseState
//
// The calls that carry a volume from node to node are in move.go; those of a live
// instance in console.go, stats.go, file.go and login.go; the pull's credentials are in registry.go.
//
// hello and release never change: a controller updates agents of every version
// by them.
//
// A refusal is an HTTP status of 400 or more with a problem.Problem as its body.
// Every call may be repeated: the generation decides, never the number of calls.
//
// Version history (raise Version with every change of meaning):
//
//	1  2026-11-22  hello, inventory, instances, events, enrolment
//	2  2026-11-22  drift, moves, certificates, releases, tunnels
//	3  2026-11-22  consoles, stats, files, SFTP, ready, crash, network, disk limits, reinstall
//	4  2026-11-22  patched files, install scripts, registries, pull policies and digests, progress by layer,
//	               revisions
package wire

// Version is what this build speaks.
const Version = 4

// The paths of the agent's door.
const (
	PathHello       = "/v1/hello"
	PathInstances   = "/v1/instances"
	PathEvents      = "/v1/events"
	PathCertificate = "/v1/certificate"
	PathRelease     = "/v1/release"
)

// The paths of the controller that agents call.
const (
	PathEnrol  = "/api/v1/enrol"  // POST: to be let in
	PathTunnel = "/api/v1/tunnel" // GET: a WebSocket on which the controller calls back, see agent/tunnel
)
