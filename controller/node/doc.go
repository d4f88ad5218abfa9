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
