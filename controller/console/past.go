package console

import (
	"context"
	"encoding/json"
	"strconv"

	"github.com/berth-panel/berth/controller/access"
	"github.com/berth-panel/berth/controller/fleet"
	"github.com/berth-panel/berth/shared/ident"
	"github.com/berth-panel/berth/shared/problem"
	"github.com/berth-panel/berth/shared/wire"
)

// past reads a stretch of a record's lines over a stream of its own.
type past struct {
	service *Service
	id      ident.Instance
	record  string // that it must be; "" any, and it is filled in
	at      int64  // has the lines up to here
	to      int64  // wants them up to here; -1: to the end there is when it begins
	newest  bool   // the newest lines, instead of those behind at
	conn    *fleet.Socket
	ready   []json.RawMessage // read, not given yet
}

// next gives the next lines, or what is missing of them.
func (p *past) next(ctx context.Context) ([]Line, *wire.ConsoleMissed, error) {
	if p.conn == nil {
		if err := p.open(ctx); err != nil {
			return nil, nil, err
		}
	}
	for p.at < p.to {
		in := frame{Lines: p.ready}
		p.ready = nil
		if in.Lines == nil {
			if err := p.conn.ReadJSON(&in); err != nil {
				return nil, nil, err
			}
		}
		if in.Missed != nil && in.Missed.To > p.at {
			missed := wire.ConsoleMissed{From: max(in.Missed.From, p.at+1), To: min(in.Missed.To, p.to)}
			p.at = missed.To
			p.ready = in.Lines
			return nil, &missed, nil
		}
		lines, err := p.take(in.Lines)
		if err != nil || len(lines) > 0 {
			return lines, nil, err
		}
	}
	return nil, nil, nil
}

// take gives those of the lines that are wanted.
func (p *past) take(raws []json.RawMessage) ([]Line, error) {
	var out []Line
	for _, raw := range raws {
		line, err := lineOf(raw)
		if err != nil {
			return nil, err
		}
		if line.Seq > p.to {
			p.at = p.to
			break
		}
		if line.Seq > p.at {
			out = append(out, line)
			p.at = line.Seq
		}
	}
	return out, nil
}

func (p *past) open(ctx context.Context) error {
	i, err := p.service.Instances.Get(ctx, access.Local(), p.id)
	if err != nil {
		return err
	}
	target := path(p.id)
	if !p.newest {
		target += "?after=" + strconv.FormatInt(p.at, 10)
	}
	conn, err := p.service.Agents.Socket(ctx, i.Node, target)
	if err != nil {
		return err
	}
	p.conn = conn
	conn.SetReadLimit(frameLimit)
	if err := conn.SetReadDeadline(soon(firstWithin)); err != nil {
		return err
	}
	var first frame
	if err := conn.ReadJSON(&first); err != nil {
		return err
	}
	if first.Record == "" || (p.record != "" && first.Record != p.record) {
		return problem.New(problem.Conflict, "the console began anew").Because(errRecord)
	}
	p.record, p.ready = first.Record, first.Lines
	if p.to < 0 {
		p.to = first.Last
	}
	return nil
}

func (p *past) close() {
	if p.conn != nil {
		_ = p.conn.Close()
	}
}
