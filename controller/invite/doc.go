// Package invite lets people in by one-time links: who was invited chooses his
// first password, who forgot his a new one, and who changes his address confirms
// the new one. A link is mailed, or handed to the admin who asked for it.
//
//	made → used | replaced by a newer one | expired
//
// Promises:
//
//   - A link works once: it is taken in the very transaction that changes the
//     account, so that of two who use it at once one gets in. A newer one voids the
//     older. An invitation lives for 7 days, the others for an hour.
//   - The token is 256 random bits, kept as its SHA-256. A link that is mailed is
//     made when the mail is sent (controller/mail) and is nowhere before. It stands
//     behind the # of {PublicURL}/link, so no server and no log ever sees it, and
//     comes to us in a body. Links are made of the configured address alone, never
//     of what a request says its host is.
//   - Nobody learns who has an account: POST /forgot answers everybody alike and
//     as fast, for it only orders a mail, and who is meant is looked for when the
//     mail is composed.
//   - A disabled account has no links, and one that was mailed to an address is
//     worth nothing once the account has another.
//   - A new password ends all of the account's logins, and its address is told.
//     Using a link logs in, unless the account has a second factor: then the link
//     gives a password and nothing else.
//   - Nobody is let into an account that can do more than his own: who invites is
//     checked as who changes the account is.
//
// Asking for resets is slowed down by the address it comes from, loudly, and by the
// account, silently: that somebody else keeps asking is not told to strangers.
package invite
