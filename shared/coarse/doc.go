// Package coarse lies beneath TLS where much data goes between controller and agent:
// it makes few large calls of the kernel's out of many small ones. TLS writes and
// reads a record of 16 KiB at a time, and each costs a round through the kernel's
// network; files that are copied, and the output of a busy console, are thousands
// of them a second.
//
// Promises:
//   - What is written is on its way when Write returns, except between Hold and
//     Release: then it is when Release does, and that has the failure.
//   - A connection holds no buffer until much goes over it, and none any more once
//     something small does.
//   - What is read ahead is four buffers at most, and no slower for that: what has come
//     is given at once. Close ends it.
//
// Reading ahead (ReadAhead) is where the controller gets files from an agent: of the
// three programs that a download goes through it has the most to do, and while it
// decrypted and sent on, the agent stood still before a full connection.
//
// Refused: a larger record. TLS has none. Refused: TCP_CORK. It makes larger
// packets, but no fewer calls.
package coarse
