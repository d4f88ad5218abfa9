// Package login is how people get into the panel and stay in it: sessions, second
// factors, passkeys.
//
// A login begins with a password, a passkey, another login (OpenID Connect) or a
// one-time link, and is a session from then on: a random text of 256 bits in the
// panel's cookie, kept here as its SHA-256 only. It ends 14 days after its last
// use, 90 days after its beginning, when its user ends it, and when its ground is
// gone.
//
// Whoever has an authenticator app (TOTP) or a passkey has a second factor: his
// password alone is not enough any more, here nor over SFTP. With the first of
// them come ten recovery codes, each good for one login, for the day the device is
// lost; with the last of them they go. A passkey verifies its holder by itself and
// logs in without a password.
//
//	totp:     none → begun (a secret was shown) → confirmed (a code was right) → none
//	passkey:  ceremony begun (5 min, once) → kept → removed
//	session:  started → ended
//
// Promises:
//
//   - A wrong name, a wrong password and a disabled account get the same answer
//     after the same work. Only who has the right password hears that a second
//     factor is needed.
//   - Tries cost waits that grow, by network, by name and of all together, and for
//     codes by account; none is shut out for good, and memory is bounded.
//   - A code, a recovery code, a challenge works once: whoever comes second in the
//     same moment is refused. It is used up in the very transaction that begins the
//     session, so that none of both is without the other.
//   - A password that is changed while somebody logs in with the old one lets him
//     not in.
//   - A login is a new session, whatever cookie came with it; that one's is ended.
//   - What changes how one logs in needs a proof that is no older than ten minutes,
//     and ends all other sessions of the user, as do another password, a disabled
//     account, a deletion. A user who is no admin any more, or has another role,
//     may what he may from the next call on: nothing about a user is kept in a
//     session.
//   - A passkey whose counter runs backwards was copied: it is refused.
//   - Neither passwords nor codes nor cookies are in events or logs. Failed tries
//     are events, thinned out under attack.
//
// When a session was last seen is written every half minute, not on the request's
// path.
//
// Passkeys belong to a host name. That is the public URL's; where that is an
// address, which browsers refuse, passkeys work at http://localhost alone.
//
// Refused: a signed token instead of a row (it can't be taken back); a factor that
// is remembered per browser (what is stolen with the cookie protects nothing);
// codes by mail (they are as safe as the mailbox that resets the password).
package login
