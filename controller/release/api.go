package release

import (
	"bytes"
	"context"
	"io"
	"net/http"

	"github.com/berth-panel/berth/controller/access"
	"github.com/berth-panel/berth/controller/httpapi"
	"github.com/berth-panel/berth/controller/job"
	"github.com/berth-panel/berth/controller/node"
	"github.com/berth-panel/berth/shared/ident"
	"github.com/berth-panel/berth/shared/problem"
)

// ReleaseView is what this controller hands out.
type ReleaseView struct {
	Release  string               `json:"release" doc:"Of the agents' programs"`
	Programs []ReleaseProgramView `json:"programs"`
}

// ReleaseProgramView is the agent for one architecture.
type ReleaseProgramView struct {
	Arch   string `json:"arch" enum:"amd64,arm64"`
	Size   int64  `json:"size" doc:"Bytes"`
	SHA256 string `json:"sha256"`
	Path   string `json:"path" doc:"Where it is fetched, on this controller"`
}

// Mount registers the operations of releases.
func (s *Service) Mount(a *httpapi.API) {
	const tag = "releases"
	read, write := access.Permits(access.ReadNodes), access.Permits(access.WriteSystem)
	httpapi.Handle(a, httpapi.Operation{ID: "getRelease", Method: http.MethodGet, Path: "/api/v1/release", Tag: tag, Access: read,
		Summary: "Which agents this controller hands out"}, s.handleGet)
	httpapi.Handle(a, httpapi.Operation{ID: "updateNode", Method: http.MethodPost, Path: "/api/v1/nodes/{id}/update", Tag: tag, Access: write,
		Status: http.StatusAccepted, Idempotent: true, Summary: "Bring a node's agent to the controller's release"}, s.handleUpdate)
	httpapi.Handle(a, httpapi.Operation{ID: "updateNodes", Method: http.MethodPost, Path: "/api/v1/nodes/update", Tag: tag, Access: write,
		Status: http.StatusAccepted, Idempotent: true, Summary: "Bring every node's agent to the controller's release, one at a time"}, s.handleUpdateAll)
	public := func(id, path, summary string) httpapi.Operation {
		return httpapi.Operation{ID: id, Method: http.MethodGet, Path: path, Tag: tag, Access: access.Public(), Style: httpapi.Document, Summary: summary}
	}
	const text, binary = "text/x-shellscript; charset=utf-8", "application/octet-stream"
	httpapi.HandleDownload(a, public("getInstaller", scriptPath, "The script that makes a machine a node; the line of an enrolment key runs it"), text,
		func(context.Context) (httpapi.Download, error) { return s.installer(text) })
	for _, arch := range Architectures() {
		httpapi.HandleDownload(a, public("getAgent"+arch, programPath+arch, "The agent's program for "+arch), binary,
			func(ctx context.Context) (httpapi.Download, error) {
				p, body, err := s.download(arch, httpapi.Network(access.From(ctx).Address))
				return httpapi.Download{Type: binary, Size: p.Size, Body: body}, err
			})
	}
}

func (s *Service) installer(kind string) (httpapi.Download, error) {
	if s.PublicURL == "" {
		return httpapi.Download{}, problem.New(problem.Conflict, "this controller doesn't know its own address: start it with --public-url")
	}
	script, err := s.Programs.Script(s.PublicURL)
	return httpapi.Download{Type: kind, Size: int64(len(script)), Body: io.NopCloser(bytes.NewReader(script))}, err
}

func (s *Service) handleGet(context.Context, *struct{}) (ReleaseView, error) {
	release, err := s.Programs.Release()
	v := ReleaseView{Release: release, Programs: []ReleaseProgramView{}}
	if err != nil {
		return v, err
	}
	for _, arch := range Architectures() {
		p, err := s.Programs.For(arch)
		if err != nil {
			return v, err
		}
		v.Programs = append(v.Programs, ReleaseProgramView{Arch: arch, Size: p.Size, SHA256: p.SHA256, Path: programPath + arch})
	}
	return v, nil
}

func (s *Service) handleUpdate(ctx context.Context, in *node.NodePath) (job.JobView, error) {
	j, err := s.Update(ctx, access.From(ctx), ident.Node(in.ID))
	return j.View(), err
}

func (s *Service) handleUpdateAll(ctx context.Context, _ *struct{}) (job.JobView, error) {
	j, err := s.UpdateAll(ctx, access.From(ctx))
	return j.View(), err
}
