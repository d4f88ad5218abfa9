package sftp

import (
	"context"
	"net/http"
	"net/url"

	"golang.org/x/crypto/ssh"

	"github.com/berth-panel/berth/controller/access"
	"github.com/berth-panel/berth/controller/httpapi"
	"github.com/berth-panel/berth/controller/instance"
	"github.com/berth-panel/berth/controller/node"
	"github.com/berth-panel/berth/shared/ident"
	"github.com/berth-panel/berth/shared/problem"
)

// SFTPView is how to reach an instance's files.
type SFTPView struct {
	Host        string `json:"host"`
	Port        uint16 `json:"port"`
	Username    string `json:"username" doc:"Of the caller, with the instance's id; the owner's on the controller's own socket"`
	HostKey     string `json:"host_key" doc:"As in known_hosts, behind the host's name"`
	Fingerprint string `json:"fingerprint" doc:"Of the host key, as clients show it at the first login"`
	Via         string `json:"via" enum:"node,controller" doc:"Whose door it is: the node's own, or the controller's for a node that can't be dialled"`
}

// Mount registers the operation.
func (s *Service) Mount(a *httpapi.API) {
	httpapi.Handle(a, httpapi.Operation{ID: "getInstanceSFTP", Method: http.MethodGet, Path: "/api/v1/instances/{id}/sftp", Tag: "instances",
		Access: access.Uses(access.SeeInstance), Summary: "Where and as whom to log in over SFTP"}, s.handleGet)
}

func (s *Service) handleGet(ctx context.Context, in *instance.InstancePath) (SFTPView, error) {
	c := access.From(ctx)
	i, err := s.Instances.Get(ctx, c, ident.Instance(in.ID))
	if err != nil {
		return SFTPView{}, err
	}
	user := c.User
	if user == "" {
		user = i.Owner
	}
	u, err := s.Users.User(ctx, user)
	if err != nil {
		return SFTPView{}, err
	}
	n, err := s.Nodes.Find(ctx, s.DB.Snapshot(), i.Node)
	if err != nil {
		return SFTPView{}, err
	}
	v, err := s.place(n)
	v.Username = u.Username + "." + string(i.ID)
	return v, err
}

// place is the door that people are sent to: the node's, where it can be dialled.
func (s *Service) place(n node.Node) (SFTPView, error) {
	at := n.Hello.Engine.SFTP
	switch {
	case at != nil && n.Connection == node.Dial:
		return view(n.Host(), at.Port, at.HostKey, "node")
	case s.door != nil:
		public, err := url.Parse(s.PublicURL)
		if err != nil {
			return SFTPView{}, err
		}
		return view(public.Hostname(), s.door.port, s.door.hostKey, "controller")
	}
	return SFTPView{}, problem.New(problem.Conflict, "neither the node nor the controller serves SFTP: an admin can turn it on with --sftp-listen")
}

func view(host string, port uint16, hostKey, via string) (SFTPView, error) {
	key, _, _, _, err := ssh.ParseAuthorizedKey([]byte(hostKey))
	if err != nil {
		return SFTPView{}, problem.New(problem.Conflict, "the node's SFTP host key can't be read: restart its agent").Because(err)
	}
	return SFTPView{Host: host, Port: port, HostKey: hostKey, Fingerprint: ssh.FingerprintSHA256(key), Via: via}, nil
}
