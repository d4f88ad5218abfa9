// Package sftp says who may log in at the nodes' SFTP doors, checks passwords for
// them, and has a door of its own for nodes that nobody can dial.
//
// Each online node holds a list of who may log in (wire.Logins), with public
// keys. controller/push keeps it right: when a node comes online and after each
// event about users, SSH keys or instances. The node cuts sessions that have no
// place in it.
//
// Passwords are checked here: the controller holds a socket open to each online
// node, on which the node asks. Guesses are slowed down here too, by user name
// and in all: a node that was taken over must not become a way to try passwords,
// and it learns only of instances that are its own.
//
// The controller's own door lets people in by itself and carries the bytes of the
// SFTP protocol to the agent, which serves and cuts them as it does its own.
//
// Promises: rights are decided by access.Caller.May, a subuser's as the owner's; nobody is told whether an
// instance exists before he has shown who he is; a suspended instance refuses its
// owner with a sentence; neither passwords nor what they are checked against is
// logged or leaves this machine.
//
// Refused: answering with the keys of one user when a node asks for him (no login
// while the controller is away).
package sftp
