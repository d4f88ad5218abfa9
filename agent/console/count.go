package console

import "github.com/berth-panel/berth/shared/ident"

// Lines counts the lines of each console that has had any since the agent began.
func (k *Room) Lines() map[ident.Instance]int64 {
	k.mu.Lock()
	all := make([]*console, 0, len(k.consoles))
	for _, c := range k.consoles {
		all = append(all, c)
	}
	k.mu.Unlock()
	counts := make(map[ident.Instance]int64, len(all))
	for _, c := range all {
		c.mu.Lock()
		if c.meter.total > 0 {
			counts[c.id] = c.meter.total
		}
		c.mu.Unlock()
	}
	return counts
}
