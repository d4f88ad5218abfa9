// Package sshdoor is an SSH server that can do one thing: carry one SFTP session
// for each connection. The agents' doors and the controller's are the same.
//
// Who may come in, and what is behind the door, is the Guard's. Promises:
//
//   - There is no shell, no command, no forwarding, no environment; only the
//     subsystem sftp, once for a connection.
//   - A stranger costs little: strangers have 64 places, 8 for each network, 10 s
//     to agree on keys and a minute to log in and begin. Then they are cut off.
//   - A refusal that the Guard words as a *problem.Problem is shown to the person;
//     any other is nothing but a refusal.
//   - Passwords are neither kept nor logged.
//   - A session ends when its context does, with the reason on its stderr, when
//     its connection does, or when nothing came from its client for 15 minutes.
//   - The host key is made once and stays: a file that can't be read is a failure,
//     never a reason for another key.
//
// Ciphers are AES where the processor has instructions for it: clients prefer
// ChaCha20, which Go has in no fast form there and which then takes most of the
// time of a transfer.
//
// It is in shared though it needs a library that the rest of shared doesn't: the
// alternative was the same code twice, in the place where mistakes cost most.
package sshdoor
