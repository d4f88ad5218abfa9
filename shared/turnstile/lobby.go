package turnstile

import "sync"

// Lobby counts who is inside: in all, and of each key.
type Lobby struct {
	most, each int

	mu   sync.Mutex
	of   map[string]int
	open int
}

// NewLobby makes one with room for most in all and each of one key.
func NewLobby(most, each int) *Lobby { return &Lobby{most: most, each: each, of: map[string]int{}} }

// Room says whether one more could enter.
func (l *Lobby) Room(key string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.room(key)
}

func (l *Lobby) room(key string) bool { return l.open < l.most && l.of[key] < l.each }

// Enter takes a place, if there is one. leave gives it back; calling it again
// does nothing.
func (l *Lobby) Enter(key string) (leave func(), ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.room(key) {
		return nil, false
	}
	l.open++
	l.of[key]++
	return sync.OnceFunc(func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.open--
		if l.of[key]--; l.of[key] == 0 {
			delete(l.of, key)
		}
	}), true
}

// Open is how many are inside.
func (l *Lobby) Open() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.open
}
