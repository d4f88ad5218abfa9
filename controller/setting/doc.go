// Package setting keeps what an admin sets in the panel and not in the
// controller's flags: for each room one document, a typed value kept as JSON and
// at most one secret, sealed. The room that the document belongs to declares the
// type, checks it, and serves it at /api/v1/settings/{room}; this package has the
// rows, the secrets and the event, and the one document that is nobody else's:
// what the panel calls itself.
//
// Promises:
//
//   - A document that nobody has set is the room's initial value.
//   - A change is checked and written in one transaction, with its event
//     settings.changed, which names the fields that differ and none of their
//     values. A change that changes nothing writes nothing.
//   - A secret goes in and never out: views say only whether there is one. It is
//     sealed for its document's name, so that a row under another name opens to
//     nothing. When the controller's key was lost, all but the secret is there, and
//     reading the secret says that it must be set again.
//   - A field of a later release that this one doesn't know is refused nowhere and
//     forgotten at the next change.
//
// Refused: a table of keys and values for everything. Whoever reads one of those
// must know each key's type, and two keys that belong together change apart.
package setting
