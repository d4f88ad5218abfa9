// Package certificate makes the controller speak HTTPS by itself: with certificate
// files, or with certificates that it gets and renews from an ACME authority such
// as Let's Encrypt. Behind a proxy that does it, none of this is needed.
//
// Promises:
//
//   - Files are read again when they change, within ten seconds and without a
//     restart. A pair that can't be used (half written, or of different keys) changes
//     nothing and is logged; at the start it is an error.
//   - Certificates of an authority, and the account's key, are kept beneath the data
//     directory, for its owner's eyes only, and renewed long before they end. Nothing
//     waits for the authority: until the first certificate is there, handshakes fail
//     and the log says why.
//   - The authority's proof is answered on the doors that are open anyway: over TLS
//     (tls-alpn-01) on the controller's own, over HTTP (http-01) on the plain one when
//     there is one. No other port is opened.
//   - TLS 1.2 or newer.
//   - The plain door answers challenges and sends browsers that only read to the same
//     path over HTTPS, at the address that is configured, whatever Host they name.
//     Everything else is refused: a key that came in the clear is to be replaced, not
//     carried on.
//
// Refused: certmagic's defaults and globals, which open ports by themselves and
// write to the home directory; and a self-signed certificate when there is none:
// people learn to click warnings away.
package certificate
