// Package mail sends mails, through the one SMTP server that an admin sets in the
// panel. It knows no feature: a room registers a kind of mail with a Composer, and
// orders mails of that kind in its own transactions.
//
//	ordered → sent | given up (after its time, or refused for good by the server)
//	ordered → ordered   (a passing failure: again after a pause that grows)
//
// Promises:
//
//   - A mail is ordered if and only if the transaction that wanted it was
//     committed, and survives a restart. No request waits for a mail server but the
//     one that tests it.
//   - What a mail says is made when it is sent and never stored: an order names
//     whom it is about. So the token of a link waits nowhere, and a mail that is
//     sent late says what is true then, or is not sent, when there is nothing to
//     say any more.
//   - A mail may be sent twice (the server took it and the controller died before
//     it knew), never lost without the event mail.failed.
//   - No text of a user reaches a header but the encoded subject and the address,
//     which is checked again; control characters become spaces; in HTML all of it is
//     escaped. The texts are templates of ours; what users wrote is data to them.
//   - Nothing goes out unencrypted but to this very machine. A server whose
//     certificate isn't good is not spoken to. The password is told only to the
//     server that it was set for: another server needs it again.
//   - What the server answers is shown to admins only, made short and printable.
//
// The SMTP server may be any address, a private one too: that is where mail
// relays are. Only who may change the settings says where.
//
// Refused: controller/job. A job keeps its input, and people see and retry it;
// mails have nothing to show and their orders shall be gone when they are sent.
package mail
