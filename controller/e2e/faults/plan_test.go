package faults

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"
)

// act is what a deed does.
type act string

const (
	deploy    act = "deploy"
	remove    act = "delete"
	suspend   act = "suspend"
	unsuspend act = "unsuspend"
	start     act = "start"
	stop      act = "stop"
	restart   act = "restart"
	kill      act = "kill"
	change    act = "change"
	move      act = "move"
	count     act = "count"  // have the witness write into its volume
	drain     act = "drain"  // move everything off a node
	reopen    act = "reopen" // and let it be used again
)

// deed is one thing that somebody does over the API.
type deed struct {
	At       time.Duration
	Act      act
	Slot     int // which of the instances, counted by their deployments; of a node's deeds a number below 0
	Node     int // deploy and move: to which; -1 lets the controller choose. drain, reopen: which
	Memory   int64
	CPU      float64
	Port     uint16
	Greeting string
	Repeat   bool // ask the same again under the same key, and compare
}

func (d deed) String() string {
	text := fmt.Sprintf("%s slot %d", d.Act, d.Slot)
	switch d.Act {
	case deploy:
		text += fmt.Sprintf(" on %d, %d MiB, %g cores, port %d", d.Node, d.Memory, d.CPU, d.Port)
	case change:
		text += fmt.Sprintf(" to %d MiB, %g cores, port %d, %q", d.Memory, d.CPU, d.Port, d.Greeting)
	case move:
		text += fmt.Sprintf(" to %d", d.Node)
	case drain, reopen:
		text = fmt.Sprintf("%s node %d", d.Act, d.Node)
	}
	return text
}

// harm is what a fault does.
type harm string

const (
	killController   harm = "kill controller"
	killInCall       harm = "kill controller in a call"
	killAgent        harm = "kill agent"
	killEngine       harm = "kill dockerd"
	stopController   harm = "stop controller"
	stopAgent        harm = "stop agent"
	stopEngine       harm = "stop dockerd"
	freezeController harm = "freeze controller"
	freezeAgent      harm = "freeze agent"
	freezeEngine     harm = "freeze dockerd"
	linkDown         harm = "link down"
	delayNode        harm = "delay"
	stallNode        harm = "stall"
	refuseNode       harm = "refuse"
	resetNode        harm = "reset"
	halveNear        harm = "half-open, our end gone"
	halveFar         harm = "half-open, far end gone"
	delayFront       harm = "delay clients"
	stallFront       harm = "stall clients"
	resetFront       harm = "reset clients"
	fillNode         harm = "fill the agent's disk"
	fillController   harm = "fill the controller's disk"
	handStop         harm = "docker stop by hand"
	handKill         harm = "docker kill by hand"
	handRemove       harm = "docker rm -f by hand"
	handStart        harm = "docker start by hand"
	handPause        harm = "docker pause by hand"
	crash            harm = "crash of a program"
)

// fault is one thing that goes wrong, and for how long.
type fault struct {
	At, For time.Duration
	Harm    harm
	Node    int
	Pick    uint32 // which container
	Delay   time.Duration
}

func (f fault) String() string {
	return fmt.Sprintf("%s (node %d) for %s", f.Harm, f.Node, f.For.Round(time.Millisecond))
}

// plan is all that a run does, in order of time.
type plan struct {
	Seed   uint64
	Deeds  []deed
	Faults []fault
}

// pace is how much of it there is.
type pace struct {
	Length   time.Duration // of the time in which things are begun
	Deeds    time.Duration // between two, on average
	Faults   time.Duration
	Longest  time.Duration // of a fault
	Slots    int           // instances at a time
	Harms    map[harm]int  // weights
	CanMove  bool
	CanPlace bool
	CanDrain bool
}

// everything are the weights of a long run.
var everything = map[harm]int{
	killController: 6, killInCall: 8, killAgent: 10, killEngine: 6, stopController: 2, stopAgent: 2, stopEngine: 4, freezeController: 4, freezeAgent: 6, freezeEngine: 4,
	linkDown: 6, delayNode: 6, stallNode: 6, refuseNode: 4, resetNode: 8, halveNear: 4, halveFar: 4,
	delayFront: 3, stallFront: 3, resetFront: 6, fillNode: 4, fillController: 3,
	handStop: 4, handKill: 4, handRemove: 6, handStart: 4, handPause: 2, crash: 10,
}

// draw makes the plan of a seed. Deeds and faults have a stream of random
// numbers each: what is changed in one leaves the other as it was.
func draw(seed uint64, p pace) plan {
	return plan{
		Seed:   seed,
		Deeds:  drawDeeds(rand.New(rand.NewPCG(seed, 1)), p),
		Faults: drawFaults(rand.New(rand.NewPCG(seed, 2)), p),
	}
}

// gap is a random pause around an average.
func gap(r *rand.Rand, average time.Duration) time.Duration {
	return time.Duration(float64(average) * (0.2 + 1.6*r.Float64()))
}

func drawDeeds(r *rand.Rand, p pace) []deed {
	var out []deed
	var living []int
	slots := 0
	for at := time.Duration(0); at < p.Length; at += gap(r, p.Deeds) {
		if len(living) == 0 || (len(living) < p.Slots && r.IntN(100) < 30) {
			living = append(living, slots)
			out = append(out, drawDeploy(r, p, at, slots))
			slots++
			continue
		}
		if p.CanDrain && r.IntN(80) == 0 {
			out = append(out, drawDrain(r, at)...)
			continue
		}
		d := deed{At: at, Slot: living[r.IntN(len(living))], Repeat: r.IntN(6) == 0}
		d.Act = drawAct(r, p)
		switch d.Act {
		case remove:
			living = slices.DeleteFunc(living, func(s int) bool { return s == d.Slot })
		case move:
			d.Node = r.IntN(nodes)
		case change:
			drawChange(r, &d, slots)
		}
		out = append(out, d)
	}
	slices.SortStableFunc(out, func(a, b deed) int { return cmp.Compare(a.At, b.At) })
	return out
}

// drawDrain empties a node, and opens it again a while later.
func drawDrain(r *rand.Rand, at time.Duration) []deed {
	node := r.IntN(nodes)
	later := at + time.Duration(5+r.IntN(25))*time.Second
	return []deed{{At: at, Act: drain, Slot: -1 - node, Node: node}, {At: later, Act: reopen, Slot: -1 - node, Node: node}}
}

func drawDeploy(r *rand.Rand, p pace, at time.Duration, slot int) deed {
	d := deed{
		At: at, Act: deploy, Slot: slot, Node: r.IntN(nodes), Memory: int64(32 + 16*r.IntN(4)), CPU: 0.25 * float64(1+r.IntN(3)),
		Port: drawPort(r, slot), Repeat: r.IntN(4) == 0,
	}
	if automatic := r.IntN(4) == 0; automatic && p.CanPlace {
		d.Node = -1
	}
	return d
}

// drawPort gives mostly a port that nobody else has, at times another's.
func drawPort(r *rand.Rand, slot int) uint16 {
	other := r.IntN(slot + 1)
	if r.IntN(10) == 0 {
		slot = other
	}
	return uint16(20000 + slot)
}

func drawAct(r *rand.Rand, p pace) act {
	acts := []act{count, count, count, count, change, change, start, start, stop, restart, kill, suspend, unsuspend, unsuspend, remove, remove}
	if p.CanMove {
		acts = append(acts, move, move)
	}
	return acts[r.IntN(len(acts))]
}

func drawChange(r *rand.Rand, d *deed, slots int) {
	switch r.IntN(4) {
	case 0:
		d.Memory = int64(32 + 16*r.IntN(6))
	case 1:
		d.CPU = 0.25 * float64(1+r.IntN(4))
	case 2:
		d.Greeting = fmt.Sprintf("greeting %d", r.IntN(1000))
	case 3:
		d.Port = uint16(21000 + r.IntN(max(slots, 1)*2))
	}
}

func drawFaults(r *rand.Rand, p pace) []fault {
	var bag []harm
	for h, weight := range p.Harms {
		for range weight {
			bag = append(bag, h)
		}
	}
	slices.Sort(bag) // a map has no order
	var out []fault
	if len(bag) == 0 {
		return nil
	}
	for at := gap(r, p.Faults); at < p.Length; at += gap(r, p.Faults) {
		f := fault{At: at, Harm: bag[r.IntN(len(bag))], Node: r.IntN(nodes), Pick: r.Uint32(), Delay: time.Duration(50+r.IntN(1500)) * time.Millisecond}
		// Most are short; some last long enough to be noticed as an absence.
		f.For = time.Duration(float64(p.Longest) * (0.02 + 0.3*r.Float64()))
		if r.IntN(5) == 0 {
			f.For = time.Duration(float64(p.Longest) * (0.3 + 0.7*r.Float64()))
		}
		out = append(out, f)
	}
	slices.SortStableFunc(out, func(a, b fault) int { return cmp.Compare(a.At, b.At) })
	return out
}
