package fleet

// Who opens a tunnel is a stranger until it has shown its certificate, and
// strangers may not take much.
const (
	strangersAtOnce = 64
	strangersEach   = 8 // from one network
)
