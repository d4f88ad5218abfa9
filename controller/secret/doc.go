// Package secret keeps what the controller must be able to read again, such as
// the secret of an enrolment key, unreadable in the database: whoever gets a
// copy of the database alone gets none of it. What needs no reading back (API
// keys, passwords) is hashed by its feature and never comes here.
//
// The key is 32 random bytes in DATA/secret.key, made at the first start, for
// the controller's user only; a file that others may read is refused, because
// nobody can tell who read it. Losing it voids open enrolment keys, authenticator
// apps, the passwords in the settings (of the mail server and of the other
// login) and the logins of registries, which then say that they must be set again.
//
// XChaCha20-Poly1305, because its nonces are long enough to be drawn at random
// for ever; with AES-GCM's the number of seals under one key would have to be
// counted.
package secret
