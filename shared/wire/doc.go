// Package wire is the language between controller and agent: JSON over HTTP on
// mutual TLS, and one WebSocket per node for events. The agent is the server
// and the controller its only client.
//
//	GET    /v1/hello              → Hello
//	GET    /v1/instances          → Inventory
//	PUT    /v1/instances/{id}     Spec    → 202 Accepted   (journalled before the answer)
//	DELETE /v1/instances/{id}     Removal → 202 Accepted   (also for one that is gone)
//	GET    /v1/events?epoch=E&after=N     → WebSocket of EventBatch, answered by Ack
//
// A refusal is an HTTP status of 400 or more with a problem.Problem as its body.
// Every call may be repeated: the generation decides, never the number of calls.
//
// Version history (raise Version with every change of meaning):
//
//	1  2026-11-22  hello, inventory, instances, events, enrolment
package wire

// Version is what this build speaks.
const Version = 1

// The paths of the agent's door.
const (
	PathHello     = "/v1/hello"
	PathInstances = "/v1/instances"
	PathEvents    = "/v1/events"
)

// PathEnrol is where an agent asks the controller to be let in.
const PathEnrol = "/api/v1/enrol"
