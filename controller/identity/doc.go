// Package identity knows the users and their API keys, and who is calling.
//
// A user has a name, an address and a password; admins may do everything that a
// key's scopes let them, who has a role what its permissions say, others only what
// concerns themselves and what is shared with them. A user is enabled or disabled;
// a disabled one's keys open nothing. A key belongs to a user, has scopes (read,
// write, admin: each includes the one before), a dialect of the classic API, and
// may have an end, a rate limit of its own, and addresses from which alone it may
// be used. It is stored as its SHA-256 and shown once.
//
// Promises:
//
//   - Two users never share an id, a name or an address, compared without ASCII
//     case: checked in the transaction that makes them and held by constraints.
//   - There is always an enabled admin once there was one: the last can't be
//     demoted, disabled or deleted.
//   - A key that is revoked, expired or whose user is disabled opens nothing from
//     the next request on. Nothing about keys is cached: the one query that
//     authenticating takes costs some ten microseconds.
//   - Nobody makes or changes a key so that it can do more, for longer, or from
//     more addresses than the key he calls with. Only who calls with an admin's key
//     of scope admin may set rate limits of his own keys.
//   - Nobody makes, changes or removes a user, role, API key or SSH key of more
//     power than he has himself (access.Caller.Covers), nor changes his own role or
//     quota. A role counts from the next call on.
//   - A quota holds against any number of calls at once: instances are counted in
//     the transaction that makes, changes or gives them away. Who has more than a
//     quota that was lowered keeps it, and may shrink.
//   - Passwords are hashed with argon2id before any transaction, two at a time.
//   - Every change appends its event in the same transaction. Neither passwords
//     nor keys are in events or logs.
//   - When a key was last used is written every half minute, not on the request's
//     path: what is shown may be as old as that, and a crash loses it.
//
// Who is invited, or comes by another login, has no password yet: none opens his
// account, and trying costs what it costs with others. Links (controller/invite) and
// other logins (controller/oidc) change accounts by Enter and Admit, in their own
// transactions.
//
// A user has SSH keys too, public ones, by which he logs in over SFTP: his own or
// an admin may add and remove them. Weak ones are refused, and private ones that
// were pasted by mistake, with the advice to make another. What the doors for SSH
// know of a password is a stamp: another after each change, and no way back.
//
// A key is random over 256 bits, so a plain SHA-256 of it is as safe as a slow
// hash and can be looked up by an index. That doesn't hold for a key that an
// admin made up himself (BERTH_API_KEY); 16 characters are the least there.
//
// What becomes of a user's instances when he is deleted, and how much they have, is
// known to the room of the instances, and what is shared with him to that of the
// subusers; both come later and are attached, through Instances and Shares.
package identity
