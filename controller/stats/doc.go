// Package stats shows what instances and nodes use: the newest sample, a history,
// a live stream of samples, and a page of metrics for Prometheus. The agents
// measure and keep all of it (agent/stats); nothing of it is stored here, so that
// a controller of thousands of instances writes nothing each second, and history
// goes on while it is away.
//
// Promises:
//
//   - An instance is shown to who may see it (access.SeeInstance), also suspended;
//     a node and /metrics to admins.
//   - The list of all samples asks each node once, and at most once a second,
//     however many look. A node that is away, or doesn't answer in time, costs the
//     others nothing: its instances are shown without figures.
//   - The live stream is held by grant: a revoked key or a deleted instance ends
//     it with a reason. While a node is away the stream says so and waits; it
//     follows an instance that moves. Samples are not queued: who takes them
//     slowly gets fewer.
//
// Messages of the live stream: {"type":"sample", …StatsView}, {"type":"offline",
// "message"} and {"type":"closing", "code", "message"} before the end.
//
// Refused: samples in the controller's database (SQLite would write all day for
// what is looked at for minutes); one WebSocket for many instances (each has its
// own right, which may end by itself).
package stats
