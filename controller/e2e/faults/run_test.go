package faults

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"os/signal"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

const (
	envMinutes = "BERTH_FAULTS_MINUTES" // how long TestFaults goes on; unset skips it
	envSeed    = "BERTH_FAULTS_SEED"    // which plan it follows; unset draws one
	healing    = 60 * time.Second       // within which all must agree again
	answering  = 90 * time.Second       // within which every call has its answer after the healing
)

// shortSeed is one whose short plan has all that TestTheShortPlan wants.
const shortSeed = 22

func shortPace() pace {
	return pace{
		Length: 20 * time.Second, Deeds: 450 * time.Millisecond, Faults: 1500 * time.Millisecond, Longest: 6 * time.Second, Slots: 6,
		Harms: map[harm]int{
			killController: 3, killInCall: 1, killAgent: 3, killEngine: 2, resetNode: 2, stallNode: 1, linkDown: 1, freezeAgent: 1, handRemove: 1, crash: 2,
		},
	}
}

// TestShort is a short run of one seed, in a row that does not depend on luck.
func TestShort(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("it takes most of a minute")
	}
	perform(t, "short", "go test -run TestShort ./controller/e2e/faults", shortSeed, shortPace())
}

// TestFaults is as long as it is told to be, with a seed that is drawn unless
// one is named: make test-faults.
func TestFaults(t *testing.T) {
	minutes, err := strconv.ParseFloat(os.Getenv(envMinutes), 64)
	if err != nil || minutes <= 0 {
		t.Skipf("%s is not set: run make test-faults", envMinutes)
	}
	seed := rand.Uint64N(1_000_000)
	if text := os.Getenv(envSeed); text != "" {
		if seed, err = strconv.ParseUint(text, 10, 64); err != nil {
			t.Fatalf("%s: %v", envSeed, err)
		}
	}
	harms := everything
	if only := os.Getenv("BERTH_FAULTS_ONLY"); only != "" {
		harms = map[harm]int{}
		for h, weight := range everything {
			if slices.ContainsFunc(strings.Split(only, ","), func(part string) bool { return strings.Contains(string(h), part) }) {
				harms[h] = weight
			}
		}
	}
	perform(t, fmt.Sprintf("seed-%d", seed), fmt.Sprintf("SEED=%d MINUTES=%g make test-faults", seed, minutes), seed, pace{
		Length: time.Duration(minutes * float64(time.Minute)), Deeds: every("BERTH_FAULTS_DEEDS", 500*time.Millisecond), Faults: every("BERTH_FAULTS_EVERY", 1800*time.Millisecond),
		Longest: 30 * time.Second, Slots: 14, Harms: harms,
	})
}

// every reads a pause from the environment.
func every(name string, usual time.Duration) time.Duration {
	if d, err := time.ParseDuration(os.Getenv(name)); err == nil && d > 0 {
		return d
	}
	return usual
}

// perform does what the seed says, heals, and checks. again is what a person
// types to see the same once more.
func perform(t *testing.T, name, again string, seed uint64, p pace) {
	fmt.Printf("seed %d for %s; the same once more: %s\n", seed, p.Length, again)
	ctx, stop := signal.NotifyContext(t.Context(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	l := newLab(t, name)
	l.can(t, &p)
	todo := draw(seed, p)
	base, err := l.newest()
	if err != nil {
		t.Fatal(err)
	}
	l.story.tell("seed %d: %d deeds and %d faults in %s, moves %t, drains %t, placement %t, tunnel %t", seed, len(todo.Deeds), len(todo.Faults), p.Length,
		p.CanMove, p.CanDrain, p.CanPlace, l.nodes[nodes-1].tunnel)
	stream := follow("http://"+l.front.addr(), base, l.story)
	defer stream.close()
	led, giveUp := newLedger(), make(chan struct{})
	people, bad := newCrew(l, led, seed, giveUp), &trouble{lab: l}
	harming, calm := context.WithCancel(ctx)
	began := time.Now()
	go func() {
		time.Sleep(time.Until(began.Add(p.Length)))
		calm()
	}()
	bad.done.Go(func() { bad.run(harming, todo.Faults, began) })
	people.run(ctx, todo.Deeds, began)
	<-harming.Done()
	bad.done.Wait()
	if err := l.heal(); err != nil {
		t.Errorf("healing: %v", err)
	}
	l.story.tell("healed")
	timer := time.AfterFunc(answering, func() { close(giveUp) })
	defer timer.Stop()
	people.wait()
	l.story.tell("every call has its answer: %v", led.answers)
	found := l.judge(ctx, led, stream, base)
	report(t, l, again, found)
}

// can says which verbs this build's API has, by its own document.
func (l *lab) can(t testing.TB, p *pace) {
	t.Helper()
	var document struct {
		Paths      map[string]any
		Components struct {
			Schemas map[string]struct{ Required []string }
		}
	}
	res, err := l.api.http.Get(l.api.base + "/openapi.json")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	if err := json.NewDecoder(res.Body).Decode(&document); err != nil {
		t.Fatal(err)
	}
	_, p.CanMove = document.Paths["/api/v1/instances/{id}/move"]
	_, p.CanDrain = document.Paths["/api/v1/nodes/{id}/drain"]
	body, there := document.Components.Schemas["InstanceCreateBody"]
	p.CanPlace = there && !slices.Contains(body.Required, "node_id")
}

// judge looks until nothing is wrong any more, for as long as healing may take.
func (l *lab) judge(ctx context.Context, led *ledger, stream *follower, base int64) []violation {
	began, nudged, said := time.Now(), map[string]time.Time{}, ""
	for {
		p, err := l.look(base)
		var found []violation
		if err != nil {
			found = []violation{{"look", err.Error()}}
		} else {
			p.Ledger, p.Stream = led.all(), stream.seen()
			found = check(p)
			l.nudge(p, nudged)
		}
		if len(found) > 0 && found[0].String() != said {
			said = found[0].String()
			l.story.tell("not yet: %s (and %d more)", said, len(found)-1)
		}
		if len(found) == 0 {
			l.story.tell("all agree %.1f s after the last answer; %d instances, %d jobs, %d events, %d connections of the stream",
				time.Since(began).Seconds(), len(p.Instances), len(p.Jobs), len(p.Log), stream.connections())
			return l.confess(led.contradictions())
		}
		if time.Since(began) > healing || ctx.Err() != nil {
			return l.confess(append(found, led.contradictions()...))
		}
		time.Sleep(500 * time.Millisecond)
	}
}

// nudge asks for another try of what has failed for good and says so: a disk
// that was full, a container that was killed too often. People do that.
func (l *lab) nudge(p picture, done map[string]time.Time) {
	for _, i := range p.Instances {
		gaveUp := i.Actual == "crashed" && i.RetryAt == ""
		if !i.runs() || (i.Phase != "failed" && !gaveUp) || time.Since(done[i.ID]) < 10*time.Second {
			continue
		}
		done[i.ID] = time.Now()
		a, err := l.api.try("POST", "/api/v1/instances/"+i.ID+"/start", "", nil, 10*time.Second)
		l.story.tell("asked %s for another try: %d %s %v", i, a.status, a.message, err)
	}
}

// confess adds what the programs' own logs admit.
func (l *lab) confess(found []violation) []violation {
	all := []*process{l.controller}
	for _, n := range l.nodes {
		all = append(all, n.agent)
	}
	for _, p := range all {
		for _, line := range p.confessions() {
			found = append(found, violation{"log", line})
		}
	}
	return found
}

// report fails the test with what was found, and says how to see it again.
func report(t *testing.T, l *lab, again string, found []violation) {
	t.Helper()
	if len(found) == 0 {
		fmt.Println(l.story.text(1))
		return
	}
	for _, v := range found {
		l.story.tell("VIOLATION %s", v)
		t.Error(v)
	}
	t.Logf("the same once more: %s\nall logs: %s\n%s", again, l.dir, l.story.text(400))
}
