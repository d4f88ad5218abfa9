package instance

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"strings"
	"unicode"

	"github.com/berth-panel/berth/agent/install"
	"github.com/berth-panel/berth/agent/journal"
	"github.com/berth-panel/berth/agent/runtime"
	"github.com/berth-panel/berth/shared/wire"
)

const (
	// The job's log gets the first lines as they come and the last ones at the end:
	// what a script prints between them is in the console.
	outputFirst = 150
	outputLast  = 50
	// lastLines are those in the sentence about a failure, of so many runes.
	lastLines    = 5
	lastLineText = 200
)

// output is where what an installation prints goes: to the console, to the log of
// its job, and into the sentence about its failure; without secrets in any.
type output struct {
	o       *owner
	j       job
	console io.Writer
	mask    *install.Mask
	line    []byte   // under way
	told    int      // lines of the job's log
	batch   []string // of it, that are told next
	last    []string // the newest lines, at most outputLast
	since   int      // lines in last that the job's log doesn't have
	passed  int      // lines that it won't have
	deaf    bool     // the log can't be read: said once
	news    bool     // there are lines since the progress was told
}

func newOutput(o *owner, j job, console io.Writer) *output {
	t := &output{o: o, j: j, console: console}
	t.mask = install.NewMask(j.desired.Spec.Install.Secrets, t)
	return t
}

// take takes what was printed since it was asked last, also by an agent before
// this one.
func (t *output) take(ctx context.Context, id runtime.ContainerID) error {
	known, _ := t.o.know()
	at := journal.Script{Container: string(id)}
	if known.Script != nil && known.Script.Container == at.Container {
		at = *known.Script
	}
	next, seen := at, 0
	err := t.o.m.deps.Engine.Log(ctx, id, runtime.LogRange{Since: at.At}, func(p runtime.LogPart) error {
		switch {
		case p.At.Before(at.At):
			return nil
		case p.At.Equal(at.At):
			if seen++; seen <= at.Taken {
				return nil
			}
		}
		if !p.At.Equal(next.At) {
			next.At, next.Taken = p.At, 0
		}
		next.Taken++
		_, err := t.mask.Write(p.Text)
		return err
	})
	if next != at {
		t.o.learn(func(k *journal.Known) { k.Script = &next })
	}
	t.tell()
	switch reason := runtime.ReasonOf(err); {
	case err == nil, reason == runtime.Missing: // which the next look shows
		return nil
	case ctx.Err() != nil || reason == runtime.Unreachable:
		return err
	}
	if !t.deaf {
		t.deaf = true
		t.o.log.Warn("what the install script prints can't be read", "error", err)
	}
	return nil
}

// Write takes text without secrets; of the mask.
func (t *output) Write(p []byte) (int, error) {
	if _, err := t.console.Write(p); err != nil {
		t.o.log.Debug("the console takes nothing", "error", err)
	}
	for rest := p; len(rest) > 0; {
		line, more, ended := bytes.Cut(rest, []byte("\n"))
		if len(t.line) < wire.ConsoleLine {
			t.line = append(t.line, line...)
		}
		if !ended {
			break
		}
		t.add(string(t.line))
		t.line, rest = t.line[:0], more
	}
	return len(p), nil
}

// add takes a line for the job's log.
func (t *output) add(line string) {
	line = clip(plainText(line), wire.OutputText)
	if line == "" {
		return
	}
	t.news = true
	t.last = append(t.last, line)
	t.last = t.last[max(0, len(t.last)-outputLast):]
	if t.told < outputFirst {
		t.told++
		t.batch = append(t.batch, line)
		return
	}
	t.passed++
	t.since = min(t.since+1, outputLast)
}

// plainText is what a line shows, without escapes and what else isn't text. What
// stands before a return was overwritten.
func plainText(line string) string {
	line = strings.TrimRight(withoutEscapes(line), "\r ")
	if i := strings.LastIndexByte(line, '\r'); i >= 0 {
		line = line[i+1:]
	}
	return strings.TrimSpace(strings.ToValidUTF8(strings.Map(func(r rune) rune {
		if r == '\t' {
			return ' '
		}
		if unicode.IsControl(r) {
			return -1
		}
		return r
	}, line), "�"))
}

func clip(text string, most int) string {
	if r := []rune(text); len(r) > most {
		return string(r[:most]) + "…"
	}
	return text
}

// tell hands the lines that wait over to the job's log.
func (t *output) tell() {
	if t.news {
		t.news = false
		t.o.step(t.j, "install", "%s", clip(t.last[len(t.last)-1], lastLineText))
	}
	for len(t.batch) > 0 {
		n := min(len(t.batch), wire.OutputLines)
		e := t.o.event(wire.EventOutput, t.j.desired.Generation)
		e.Output = t.batch[:n:n]
		t.o.m.deps.Journal.Post(e)
		t.batch = t.batch[n:]
	}
}

// close ends what has no end yet. When the script is over, the job's log gets the
// last lines, too.
func (t *output) close() {
	t.finish()
	t.tell()
}

func (t *output) finish() {
	_ = t.mask.Flush() // it writes to us, and we take everything
	if len(t.line) > 0 {
		t.add(string(t.line))
		t.line = nil
	}
	if t.since == 0 {
		return
	}
	if left := t.passed - t.since; left > 0 {
		t.batch = append(t.batch, fmt.Sprintf("… %d lines more; the console has all of them", left))
	}
	t.batch = append(t.batch, t.last[len(t.last)-t.since:]...)
	t.since, t.passed = 0, 0
}

// lastWords are the last lines, as the end of a sentence; "" when there are none.
func (t *output) lastWords() string {
	t.finish()
	last := t.last[max(0, len(t.last)-lastLines):]
	if len(last) == 0 {
		return ""
	}
	words := make([]string, 0, len(last))
	for _, line := range last {
		words = append(words, clip(line, lastLineText))
	}
	return "; it printed last: " + strings.Join(words, " / ")
}
