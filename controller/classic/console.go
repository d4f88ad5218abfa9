package classic

import (
	"context"
	"strconv"
	"strings"
	"time"

	"github.com/berth-panel/berth/controller/console"
	"github.com/berth-panel/berth/controller/instance"
	"github.com/berth-panel/berth/shared/problem"
	"github.com/berth-panel/berth/shared/wire"
)

// console is the old console: a greeting, the last lines, then what is printed,
// as text.
func (c *classicSocket) console(ctx context.Context) error {
	if err := c.tell(ctx, greeting); err != nil {
		return err
	}
	view := c.Consoles.Open(ctx, c.id, console.From{Most: oldBacklog})
	defer view.Close()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	shown := make(chan struct{})
	go func() {
		defer close(shown)
		t := typist{socket: c}
		for {
			b, err := view.Next(ctx)
			if err != nil || t.show(ctx, b) != nil {
				return
			}
		}
	}()
	err := c.listen(ctx, func(ctx context.Context, in said) error { return c.order(ctx, view, in) })
	cancel()
	<-shown
	return err
}

// order carries a frame out.
func (c *classicSocket) order(ctx context.Context, view *console.View, in said) error {
	if in.Event == "cmd" {
		return view.Send(ctx, c.caller, in.Command, func(err error) {
			if err != nil {
				select {
				case c.out <- publicText(err):
				default: // he doesn't read what he is told
				}
			}
		})
	}
	switch verb := instance.Verb(strings.TrimPrefix(in.Event, "power:")); {
	case !strings.HasPrefix(in.Event, "power:"):
	case verb == instance.Start || verb == instance.Stop || verb == instance.Restart:
		_, err := view.Power(ctx, c.caller, verb)
		return err
	}
	return noEvent()
}

// typist makes text of what a console prints, as a terminal would get it.
type typist struct {
	socket *classicSocket
	tail   string // that stands there, without an end
}

func (t *typist) show(ctx context.Context, b console.Batch) error {
	var text strings.Builder
	if b.State != nil && b.State.Node == console.Offline {
		text.WriteString("\r\n[Berth] the node is offline: " + b.State.Message + "\r\n")
	}
	for _, line := range b.Lines {
		f, err := line.Frame()
		if err != nil {
			return err
		}
		if f.Source == wire.ConsoleIn { // old clients show what they send themselves
			continue
		}
		text.WriteString(t.rest(f.Text))
		if !f.Part {
			text.WriteString("\r\n")
		}
	}
	if b.Tail != nil {
		text.WriteString(t.rest(*b.Tail))
		t.tail = *b.Tail
	}
	if text.Len() == 0 {
		return nil
	}
	return t.socket.tell(ctx, text.String())
}

// rest is what of a text doesn't stand there yet.
func (t *typist) rest(text string) string {
	tail := t.tail
	t.tail = ""
	if after, ok := strings.CutPrefix(text, tail); ok {
		return after
	}
	return "\r\n" + text
}

// statsEvery is how often old clients get figures.
const statsEvery = 2 * time.Second

// rawStats are figures in the engine's form, as far as old clients read it.
type rawStats struct {
	Read        time.Time `json:"read"`
	CPUStats    rawCPU    `json:"cpu_stats"`
	PreCPUStats rawCPU    `json:"precpu_stats"`
	MemoryStats struct {
		Usage int64 `json:"usage"`
		Limit int64 `json:"limit"`
	} `json:"memory_stats"`
	Networks map[string]rawNetwork `json:"networks"`
	PidsStat struct {
		Current int64 `json:"current"`
	} `json:"pids_stats"`
	VolumeSize string `json:"volumeSize"`
}

type rawCPU struct {
	CPUUsage struct {
		TotalUsage int64 `json:"total_usage"` // nanoseconds
	} `json:"cpu_usage"`
	SystemUsage int64 `json:"system_cpu_usage"`
	OnlineCPUs  int   `json:"online_cpus"`
}

type rawNetwork struct {
	RxBytes int64 `json:"rx_bytes"`
	TxBytes int64 `json:"tx_bytes"`
}

// stats sends figures until the client is gone.
func (c *classicSocket) stats(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	shown := make(chan struct{})
	go func() {
		defer close(shown)
		var before rawCPU
		tick := time.NewTicker(c.statsEvery)
		defer tick.Stop()
		for c.figures(ctx, &before) == nil {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
			}
		}
	}()
	err := c.listen(ctx, func(context.Context, said) error { return noEvent() })
	cancel()
	<-shown
	return err
}

// figures sends the newest; of a node that is away there are none, and the next
// try may find some. before is the processor's clock at the last time.
func (c *classicSocket) figures(ctx context.Context, before *rawCPU) error {
	sample, err := c.Stats.Newest(ctx, c.caller, c.id)
	if err != nil {
		if problem.From(err).Code == problem.Internal && ctx.Err() == nil {
			c.Log.Warn("old clients' figures can't be had", "instance", string(c.id), "error", err.Error())
		}
		return ctx.Err()
	}
	raw, err := marshal(toRaw(sample, before))
	if err != nil {
		return err
	}
	return c.tell(ctx, string(raw))
}

// toRaw makes counters of rates: old clients divide the differences of two.
func toRaw(s wire.Sample, before *rawCPU) rawStats {
	out := rawStats{Read: s.At, PreCPUStats: *before, VolumeSize: megabytes(s.DiskUsed), Networks: map[string]rawNetwork{"eth0": {s.NetIn, s.NetOut}}}
	out.CPUStats.OnlineCPUs = 1
	out.CPUStats.SystemUsage = before.SystemUsage + int64(statsEvery)
	out.CPUStats.CPUUsage.TotalUsage = before.CPUUsage.TotalUsage + int64(s.CPU*float64(statsEvery))
	out.MemoryStats.Usage, out.MemoryStats.Limit, out.PidsStat.Current = s.MemoryBytes, s.MemoryLimit, s.Pids
	out.PreCPUStats.OnlineCPUs = 1
	*before = out.CPUStats
	return out
}

// megabytes is a size as old clients show it; unknown is none.
func megabytes(bytes int64) string {
	return strconv.FormatFloat(float64(max(bytes, 0))/1e6, 'f', 1, 64) + " MB"
}
