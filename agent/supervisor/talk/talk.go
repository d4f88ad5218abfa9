// Package talk is what the agent and the first process of a container say to each
// other, in lines; see package supervisor. It imports next to nothing: it is in
// every container.
package talk

import "time"

// Where the agent's directory is in a container, and what is in it.
const (
	Dir     = "/.berth"
	Program = "init"
	socket  = "agent"
	Socket  = Dir + "/" + socket
)

// The lines. The process in the container says Ended and a code, then the agent
// says Again or ends the call, then the other says Begins.
const (
	Ended  = "ended "
	Again  = "again"
	Begins = "begins"
)

// Try as the only argument asks the program to do nothing: it can be run.
const Try = "--try"

// Longest is how many bytes a line may have, with its end.
const Longest = 32

// Patience is how long the process in the container waits for each line. The agent
// makes up its mind sooner; one that has ended is told from one that thinks.
const Patience = 20 * time.Second
