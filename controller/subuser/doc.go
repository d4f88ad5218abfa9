// Package subuser is who may use an instance that isn't his, and what for: its
// owner, or who manages all instances, lets users do single things with it
// (access.Right).
//
// # Promises
//
//   - Nobody gives, changes or takes more than he has: who may choose the
//     subusers without being the owner gives only rights that he has himself, and
//     leaves alone whoever has more. Anybody may leave.
//   - A right counts from the next call on, and what stays open by it (a console,
//     a download, an SFTP session) ends the moment it is taken: the change is an
//     event in the same transaction, which controller/grant and controller/sftp
//     follow.
//   - The owner is no subuser of his own instance. One that gets another owner has
//     no subusers any more: they were his friends, not the new one's.
//   - Whoever may not see the instance is told that there is none, and a subuser is
//     found only through the instance.
//   - Saying the same again changes nothing and tells nobody.
//
// Somebody without an account is invited through Inviter, which makes the account
// and mails the link; without a mail server that is refused with what to do.
//
// Every authentication reads what is shared with its user, so that is bounded:
// PerUser instances, and PerInstance users of one.
//
// Refused: named sets of rights that the owner makes himself (roles within an
// instance). The rights are few, and a set that is changed later changes what
// people may do whom nobody is looking at.
package subuser
