package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"github.com/berth-panel/berth/controller/app"
)

type nodeUpdate struct {
	local
	Node string `arg:"" optional:"" help:"Id or name."`
	All  bool   `help:"Every node that runs another release, one at a time; the first that fails ends it."`
}

// Run orders the update and tells how it goes until it has ended.
func (n nodeUpdate) Run(ctx context.Context, out *output) error {
	path := "/api/v1/nodes/update"
	switch {
	case n.All == (n.Node != ""):
		return errors.New("name a node, or say --all")
	case !app.Running(ctx, n.Data):
		return fmt.Errorf("no controller runs on %s: updating agents is its work; start it first", n.Data)
	case !n.All:
		id, err := n.findNode(ctx, n.Node)
		if err != nil {
			return err
		}
		path = "/api/v1/nodes/" + url.PathEscape(id) + "/update"
	}
	data, err := n.call(ctx, http.MethodPost, path, nil)
	if err != nil {
		return err
	}
	var made struct{ ID string }
	if err := json.Unmarshal(data, &made); err != nil {
		return err
	}
	return n.follow(ctx, out, made.ID)
}

type nodeDrain struct{ oneNode }

// Run orders the drain and tells how it goes until it has ended.
func (n nodeDrain) Run(ctx context.Context, out *output) error {
	if !app.Running(ctx, n.Data) {
		return fmt.Errorf("no controller runs on %s: moving instances is its work; start it first", n.Data)
	}
	data, err := n.ask(ctx, http.MethodPost, "/drain")
	if err != nil {
		return err
	}
	var made struct{ ID string }
	if err := json.Unmarshal(data, &made); err != nil {
		return err
	}
	return n.follow(ctx, out, made.ID)
}

// follow prints the lines of a job's log until it has ended; a failure is its error.
func (l local) follow(ctx context.Context, out *output, id string) error {
	const pause = time.Second
	path, seen := "/api/v1/jobs/"+url.PathEscape(id), int64(0)
	for {
		data, err := l.call(ctx, http.MethodGet, path, nil)
		if err != nil {
			return err
		}
		var j struct {
			State   string
			Failure *struct{ Message string }
		}
		if err := json.Unmarshal(data, &j); err != nil {
			return err
		}
		if seen, err = l.lines(ctx, out, path, seen); err != nil { // after the state: the last line is among them
			return err
		}
		switch j.State {
		case "succeeded":
			return l.said(out, data, "Done.")
		case "failed", "cancelled":
			if j.Failure != nil {
				return errors.New(j.Failure.Message)
			}
			return errors.New("the job was " + j.State)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(pause):
		}
	}
}

func (l local) lines(ctx context.Context, out *output, path string, seen int64) (int64, error) {
	data, err := l.call(ctx, http.MethodGet, fmt.Sprintf("%s/logs?after=%d", path, seen), nil)
	if err != nil {
		return seen, err
	}
	var lines []struct {
		Seq  int64
		Text string
	}
	if err := json.Unmarshal(data, &lines); err != nil {
		return seen, err
	}
	for _, line := range lines {
		seen = line.Seq
		if l.JSON {
			continue
		}
		if _, err := fmt.Fprintln(out.stdout, line.Text); err != nil {
			return seen, err
		}
	}
	return seen, nil
}
