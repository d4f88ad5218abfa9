// Package classic speaks the classic panel API (/api/*) for clients that were
// written against it. It is translation only: every verb, rule and promise is
// the feature's that it calls; here are the old names, shapes, texts and codes.
//
// An API key says in which dialect it wants its answers. In the documented one
// what isn't found is a 400; in v0.3, which real dashboards rely on, some calls
// answer 404, and some with another success (see dialect.go).
//
// # What is decided here
//
//   - An instance that is being deleted does not exist: not in lists, not for
//     get, and a second delete doesn't find it, also when both come at once.
//   - deploy asks whether the node is there before anything is written, and
//     answers when the node has taken the instance on. When the node breaks off
//     before, the instance is deleted again: that delete is durable, the instance
//     is out of sight at once, and its ports are free as soon as the node has
//     confirmed that nothing of it is left.
//   - "auto" as a deploy's nodeId has a node chosen; the answer says which.
//   - delete waits for its end for a while; when the node is away it is ordered
//     nevertheless, and the answer says so.
//   - There is no mail in this version, so reset-password answers one and the
//     same refusal for every address.
//   - Numbers may be text and text numbers where real clients differ, but only
//     plain decimals: "12abc", NaN, 1e3 and negative numbers are refused.
//   - Unknown fields of a body are let pass.
//
// # Sockets
//
// The old console (/console/{id}, /exec/{id}) and figures (/stats/{id},
// /stats/{container}/{id}) are public routes of any origin: nothing that a browser
// sends by itself counts there, the first frame must show a key or a ticket. An
// id is an instance's, or its container's. What they do is controller/console's
// and controller/stats', with their rights and limits; a loss of the right ends
// them with 1008 and a sentence. Figures are samples put into the engine's form:
// processor counters are made from rates, so that old clients reckon rightly.
// Lines of source "in" are left out: old clients show what they send.
//
// # Promises
//
//   - Bad input is a 4xx with {"error": sentence}, never a 5xx.
//   - No answer holds a secret, but for the enrolment key in the answer of the
//     call that makes a node.
//   - A list is rendered once for each state of the database, however many ask,
//     and whoever changed something sees his change in the next answer.
//
// Refused: structs for the lists' items. Marshalling 1,000 instances with their
// nodes and images by reflection was most of an answer's cost; the parts that
// they share are rendered once and the rest is appended by hand.
package classic
