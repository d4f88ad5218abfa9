package fleet

import "sync"

// Who opens a tunnel is a stranger until it has shown its certificate, and
// strangers may not take much.
const (
	strangersAtOnce = 64
	strangersEach   = 8 // from one network
)

// lobby counts the tunnels that have not proven whose they are. Safe for
// concurrent use.
type lobby struct {
	mu   sync.Mutex
	of   map[string]int // by network
	open int
}

func newLobby() *lobby { return &lobby{of: map[string]int{}} }

// room says whether one more could enter.
func (l *lobby) room(network string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.roomLocked(network)
}

func (l *lobby) roomLocked(network string) bool {
	return l.open < strangersAtOnce && l.of[network] < strangersEach
}

// enter takes a place; leave gives it back and must be called once.
func (l *lobby) enter(network string) (leave func(), ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.roomLocked(network) {
		return nil, false
	}
	l.open++
	l.of[network]++
	return func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.open--
		if l.of[network]--; l.of[network] == 0 {
			delete(l.of, network)
		}
	}, true
}
