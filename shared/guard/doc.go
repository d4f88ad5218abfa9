// Package guard makes the HTTP client with which an agent fetches what its
// customers name (installs and pulls), and the controller what its admins do
// (images to import). It reaches the public internet only, and networks that the
// program's own settings open. What counts is the address that is
// dialled, at every hop: a name that resolves to something inside, now or at the
// second look, gets nowhere, nor does a redirect.
//
// Refused: a check of the URL before the request (names can be answered
// differently a moment later), and proxies (behind one, the guard would see the
// proxy's address only).
package guard
