package faults

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// eventView is an event of the API, as far as it matters here.
type eventView struct{ ID int64 }

// newest gives the id of the newest event.
func (l *lab) newest() (int64, error) {
	var events []eventView
	if err := l.api.get("/api/v1/events?limit=1", &events); err != nil || len(events) == 0 {
		return 0, err
	}
	return events[0].ID, nil
}

// eventIDs lists the events behind an id.
func (l *lab) eventIDs(base int64) ([]int64, error) {
	var ids []int64
	for after := base; ; {
		var events []eventView
		if err := l.api.get(fmt.Sprintf("/api/v1/events?after=%d&limit=500", after), &events); err != nil {
			return nil, err
		}
		for _, e := range events {
			ids = append(ids, e.ID)
			after = e.ID
		}
		if len(events) < 500 {
			return ids, nil
		}
	}
}

// look takes the picture, but for the stream.
func (l *lab) look(base int64) (p picture, err error) {
	p.Base = base
	if p.Log, err = l.eventIDs(base); err != nil {
		return p, err
	}
	if p.Jobs, err = pages[jobView](l.api, "/api/v1/jobs?sort=created_at"); err != nil {
		return p, err
	}
	if p.Instances, err = pages[instanceView](l.api, "/api/v1/instances?sort=created_at"); err != nil {
		return p, err
	}
	for n, i := range p.Instances {
		// The list has no variables; one that has gone meanwhile shows in the next look.
		if err := l.api.get("/api/v1/instances/"+i.ID, &p.Instances[n]); err != nil {
			return p, err
		}
	}
	for _, n := range l.nodes {
		one, err := n.look()
		if err != nil {
			return p, err
		}
		p.Nodes = append(p.Nodes, one)
	}
	return p, nil
}

func (n *node) look() (p nodePicture, err error) {
	p = nodePicture{ID: n.id, Name: n.name, Volumes: map[string]files{}}
	var v struct {
		State      string
		MemoryUsed int64 `json:"memory_used"`
	}
	if err := n.lab.api.get("/api/v1/nodes/"+n.id, &v); err != nil {
		return p, err
	}
	p.State, p.MemoryUsed = v.State, v.MemoryUsed
	used, err := pages[struct{ Port uint16 }](n.lab.api, "/api/v1/nodes/"+n.id+"/allocations?use=used")
	if err != nil {
		return p, err
	}
	for _, a := range used {
		p.Used = append(p.Used, a.Port)
	}
	ids, err := n.engine.ours()
	if err != nil {
		return p, err
	}
	for _, id := range ids {
		box, there, err := n.engine.inspect(id)
		if err != nil {
			return p, err
		}
		if there {
			p.Containers = append(p.Containers, box)
		}
	}
	dirs, err := os.ReadDir(filepath.Join(n.disk.dir, "data", "volumes"))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return p, err
	}
	for _, d := range dirs {
		if strings.HasPrefix(d.Name(), ".") {
			p.leftovers(filepath.Join(n.disk.dir, "data", "volumes", d.Name()))
			continue
		}
		p.Volumes[d.Name()] = readFiles(filepath.Join(n.disk.dir, "data", "volumes", d.Name(), "data"))
	}
	return p, nil
}

// leftovers are volumes on their way, or on their way out: in the end there are
// none.
func (p *nodePicture) leftovers(dir string) {
	inside, _ := os.ReadDir(dir) // it may be gone by now
	for _, d := range inside {
		if d.Name() == "trash" {
			p.leftovers(filepath.Join(dir, d.Name()))
			continue
		}
		p.Volumes[filepath.Base(dir)+"/"+d.Name()] = files{}
	}
}

// readFiles reads what a witness keeps; a count that was never written is 0.
func readFiles(dir string) files {
	var f files
	mark, err := os.ReadFile(filepath.Join(dir, "mark"))
	if err != nil {
		return files{Error: err.Error()}
	}
	f.Mark = string(mark)
	text, err := os.ReadFile(filepath.Join(dir, "count"))
	if err == nil {
		f.Count, err = strconv.Atoi(string(text))
	}
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		f.Error = err.Error()
	}
	return f
}
