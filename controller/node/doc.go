// Package node is the machines that host instances: what they offer, how their
// agents are let in, whether they are there, and what they say.
//
//	unconfigured → (enrolment) → offline ⇄ online      any → revoked → (enrolment) → offline
//
// A state is never stored: it follows from the certificate in the row and from
// the fleet's presence.
//
// # Enrolment
//
// An agent is let in by an enrolment key (see shared/wire): a node's own works
// once and for an hour, and a new one voids those before it; a join key makes
// nodes and is limited by count and time. Keys are shown once and kept sealed,
// since their HMAC must be computed here too. All of these hold in one
// transaction:
//
//   - Whoever can't prove the secret learns nothing: an unknown key and a wrong
//     proof get the same answer. Only the proof opens "ran out" and "used".
//   - Only the newest certificate of a node is good; the one before is void from
//     the commit on.
//   - The same public key with the same enrolment key gets the same certificate
//     again (same serial) and costs no use. So an answer that got lost can be
//     asked for again, and a request that somebody recorded and sends again
//     changes nothing: the certificate is of no use without the private key.
//
// # Placement
//
// There is one rule for whether a node takes an instance (Place), whoever chose
// the node: its agent is let in, it is not in maintenance, and it has room. Room is
// what was declared, times a factor, without a reserve, less what its instances
// have, those on their way to it or from it included. It is checked inside the
// transaction that makes the instance, and there is one writer, so parallel
// deployments never give away what isn't there. The sums and the room are kept by
// triggers in a small table, node_loads, and the score is worked out where it
// lies: choosing among 1,000 nodes with 100,000 instances takes a fifth of a
// millisecond. Refused: sums over the instances at each placement (their cost
// grows with the fleet), and a copy of the loads in memory (it would have to be
// right after every rollback).
//
// # Alerts
//
// node.offline is told once for each outage: when the connection ends, or, when
// the controller was away then, 20 s after its start (Watch). What was told last
// is kept in the row.
//
// # Certificates
//
// A node's certificate holds for a year and is renewed when a third of that is
// left: looked at when the node connects and once a day (Renew). The agent makes
// a new key and asks; the new certificate is let in beside the old one before the
// agent gets it, and the old one is void once the new one was shown. Whoever dies
// on the way, the node can connect, and the next look goes on. See renew for why
// the steps have that order. Revoking and enrolling anew void both.
//
// # Events
//
// Node is the fleet's Directory (whom to dial) and its Sink. A batch of events
// takes effect in one transaction together with the cursor that says which was
// the last, so each takes effect once, whatever is sent again. An event that its
// feature can't take is logged and passed over, with whatever it had written
// taken back: one bad event must not stop a node's stream for ever, and the next
// inventory mends what it would have said. Only a database that can't do its work
// now (store.IsUnavailable) ends the connection; the agent keeps the events and
// sends them again.
//
// A journal that was lost (another epoch) is read from its beginning, one that
// was rolled back (its last number lies below our cursor) from where it stands.
package node
