// Package enrol lets this machine join a controller, and keeps what it got: the
// node's identity.
//
// The enrolment key in a person's hands carries a secret and the fingerprint of
// the controller's CA. Neither is sent. The agent proves the secret by an HMAC
// over its request, the controller by one over its answer, bound to the request's
// nonce. So it does not matter who sits on the wire: what was changed on the way
// is refused, and nothing that was read is of use. TLS on that one call adds
// nothing and is therefore not verified: a fresh controller has no certificate
// that this machine could know.
//
// An enrolment that failed keeps one thing: enrol.key (0600), the private key that
// it asked with. The same enrolment key gives the same public key its certificate
// again, so an answer that got lost can be asked for again.
//
// The certificate is replaced while the agent runs (Keeper): its new key waits in
// node.key.next (0600). Killed anywhere in between, the agent has a certificate
// and its key: node.crt is renamed into place first, and whichever of the two keys
// it belongs to is the key.
//
// The identity is four files in the data directory: node.key (0600), node.crt,
// ca.crt and node.json, each written to a temporary name, synced and renamed.
// node.json comes last and makes the enrolment count. Load checks that the four
// belong together.
package enrol
