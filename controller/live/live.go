package live

import (
	"time"

	"github.com/berth-panel/berth/controller/event"
	"github.com/berth-panel/berth/controller/stats"
	"github.com/berth-panel/berth/shared/ident"
	"github.com/berth-panel/berth/shared/problem"
)

const (
	watchMost   = 100   // instances and nodes of one page
	messageMost = 16000 // bytes of a message of a page
	asksPerSec  = 5     // messages of a page, as a mean
	asksBurst   = 20
	behindMost  = 2000 // facts that a page catches up with
)

// pace is how long things take. Only tests have another than the usual.
type pace struct {
	beat    time.Duration // between two beats
	dead    time.Duration // without a sign of life
	stuck   time.Duration // of a write: who takes nothing for so long is cut
	figures time.Duration // between two askings of a node
	answer  time.Duration // that a node has to answer
	recheck time.Duration // between two looks at what a page may see
}

func usualPace() pace {
	return pace{beat: 25 * time.Second, dead: 70 * time.Second, stuck: 20 * time.Second, figures: time.Second, answer: 5 * time.Second, recheck: 5 * time.Second}
}

// ask is a message of a page.
type ask struct {
	Type      string           `json:"type"`
	Instances []ident.Instance `json:"instances"`
	Nodes     []ident.Node     `json:"nodes"`
}

// The messages to a page.
type (
	tell struct {
		Type    string `json:"type"` // hello, behind, beat, pong, refused
		After   *int64 `json:"after,omitempty"`
		Message string `json:"message,omitempty"`
	}
	tellEvent struct {
		Type  string          `json:"type"` // event
		Event event.EventView `json:"event"`
	}
	tellStats struct {
		Type     string         `json:"type"` // stats
		Instance ident.Instance `json:"instance_id"`
		stats.StatsView
	}
	tellNode struct {
		Type string     `json:"type"` // stats
		Node ident.Node `json:"node_id"`
		stats.NodeStatsView
	}
	tellOffline struct {
		Type     string         `json:"type"` // offline
		Instance ident.Instance `json:"instance_id,omitempty"`
		Node     ident.Node     `json:"node_id,omitempty"`
		Code     problem.Code   `json:"code"`
		Message  string         `json:"message"`
	}
	tellWatching struct {
		Type      string           `json:"type"` // watching
		Instances []ident.Instance `json:"instances"`
		Nodes     []ident.Node     `json:"nodes"`
	}
)
