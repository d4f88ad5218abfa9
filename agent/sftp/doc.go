// Package sftp is the node's SFTP door: people reach the files of their
// instances with any SFTP client, as "username.instanceid".
//
// Who may come in is pushed by the controller (wire.Logins) and kept on the disk:
// public keys work while the controller is away and after a restart. A password
// is the controller's to check; the agent asks it on a WebSocket that the
// controller holds open, and brakes those who guess before anything is asked.
// For nodes that nobody can dial the controller has a door of its own; it lets
// people in by itself and carries the bytes of the SFTP protocol here, where the
// same files, limits and cuts wait for them.
//
// Promises:
//
//   - Everything goes through agent/files: beneath the volume's root, and no link
//     is followed, not even one within the volume. Links are shown, read and
//     removed; none can be made. Pipes, sockets and devices are never opened.
//   - A session is cut the moment a push has no place for it: the key or the right
//     is gone, the password is another, the instance is suspended or was moved.
//     Who was let in by an answer that is older than such a push is not let in.
//   - New files belong to the volume's owner. Owners can't be changed (asked to, we
//     do nothing), set-uid bits can't be set.
//   - Writing asks Instances.Writable each time: nobody writes into a volume that
//     is being moved, installed or removed. A full disk is said to be one.
//   - Guessing is slow and costs little: by address 10 tries and then waits from
//     1 s to 10 min, by user name 20 and up to 30 s, and 10 questions a second on
//     the whole node, 8 at a time. Keys are checked here and have no such limits.
//   - A user has 16 sessions at a time, an instance 32, the node 512; a session
//     has 128 open files and folders.
//   - What was done in a session is told to the controller at its end, as an event:
//     each path once for each kind of deed, however many packets it took. An agent
//     that dies in between tells nothing of that session.
//   - Nothing in a session keeps a volume in use but the files that it has open;
//     Cut ends those of an instance and waits until they are closed.
//
// The library parses packets, takes none over 256 KiB, and answers those that it
// doesn't know; what is none at all ends the session.
//
// Refused: OpenSSH's server with a chroot for each login (it follows links, needs
// a system user for each login, and can't be told to stop), and sessions that
// hold the volume's root open (no volume could be unmounted while anybody is
// logged in).
package sftp
