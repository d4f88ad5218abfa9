package sftp

import (
	"context"
	"errors"
	"io"
	"net"
	"net/url"
	"path/filepath"
	"time"

	"github.com/gorilla/websocket"
	"golang.org/x/crypto/ssh"

	"github.com/berth-panel/berth/controller/fleet"
	"github.com/berth-panel/berth/shared/ident"
	"github.com/berth-panel/berth/shared/problem"
	"github.com/berth-panel/berth/shared/sshdoor"
)

// DoorConfig is how the controller's own door runs.
type DoorConfig struct {
	Dir    string // of the host key
	Listen string // HOST:PORT; "" or "off": no door
}

// HostKeyFile is the door's key in the data directory: clients remember it.
const HostKeyFile = "sftp_host_ed25519_key"

const (
	sessionsMost = 512
	sessionsEach = 16        // of one user
	piece        = 256 << 10 // bytes of a message to the agent, at most
)

// door is the controller's own.
type door struct {
	listener net.Listener
	ssh      *sshdoor.Door[visitor]
	port     uint16
	hostKey  string // as in authorized_keys
}

// visitor is who was let in, and by what.
type visitor struct {
	user     ident.User
	instance ident.Instance
	node     ident.Node
	address  string
	key      string // fingerprint; "" by password
	stamp    string // of the password
	refused  error  // for who has shown that the key is his
}

// openDoor listens. A port that is taken leaves the controller without a door.
func (s *Service) openDoor(c DoorConfig) (*door, error) {
	if c.Listen == "" || c.Listen == "off" {
		return nil, nil
	}
	key, err := sshdoor.HostKey(filepath.Join(c.Dir, HostKeyFile))
	if err != nil {
		return nil, err
	}
	listener, err := net.Listen("tcp", c.Listen)
	if err != nil {
		s.Log.Error("the controller's own SFTP door stays shut: free the port, or name another with --sftp-listen", "address", c.Listen, "error", err)
		return nil, nil
	}
	d := &door{listener: listener, hostKey: sshdoor.PublicText(key.PublicKey())}
	d.ssh = sshdoor.New[visitor](s, sshdoor.Options{HostKey: key, Log: s.Log})
	if tcp, ok := listener.Addr().(*net.TCPAddr); ok {
		d.port = tcp.AddrPort().Port()
	}
	return d, nil
}

// Addr is where the door listens; nil when there is none.
func (s *Service) Addr() net.Addr {
	if s.door == nil {
		return nil
	}
	return s.door.listener.Addr()
}

var errWrong = errors.New("the login is wrong")

// Password is sshdoor.Guard's.
func (s *Service) Password(ctx context.Context, l sshdoor.Login, password string) (visitor, error) {
	p, err := s.check(ctx, l.Address, l.Username, password)
	if problem.Is(err, problem.Unauthorized) {
		return visitor{}, errWrong
	}
	if err != nil {
		return visitor{}, err
	}
	i, err := s.reach(ctx, p, l.Instance)
	if problem.Is(err, problem.NotFound) {
		return visitor{}, errWrong
	}
	return visitor{user: p.ID, instance: l.Instance, node: i.Node, address: l.Address, stamp: p.Password}, err
}

// Key is sshdoor.Guard's.
func (s *Service) Key(ctx context.Context, l sshdoor.Login, key ssh.PublicKey) (visitor, error) {
	fingerprint := ssh.FingerprintSHA256(key)
	p, err := s.Users.KeyHolder(ctx, l.Username, fingerprint)
	if err != nil {
		return visitor{}, s.silent(err)
	}
	i, err := s.reach(ctx, p, l.Instance)
	if err != nil && !problem.Is(err, problem.Conflict) {
		return visitor{}, s.silent(err)
	}
	return visitor{user: p.ID, instance: l.Instance, node: i.Node, address: l.Address, key: fingerprint, refused: err}, nil
}

// silent tells strangers nothing, and the log what is no mere stranger.
func (s *Service) silent(err error) error {
	if !problem.Is(err, problem.NotFound) {
		s.Log.Error("a login over SFTP can't be judged", "error", err)
	}
	return errWrong
}

// Proven is sshdoor.Guard's.
func (s *Service) Proven(_ context.Context, v visitor) error { return v.refused }

// Serve is sshdoor.Guard's: it carries the bytes to the agent, which decides
// whether the visitor may still come in, and cuts him.
func (s *Service) Serve(ctx context.Context, v visitor, channel sshdoor.Channel) error {
	leave, ok := s.sessions.Enter(string(v.user))
	if !ok {
		return problem.New(problem.RateLimited, "you have %d SFTP sessions open here, or the controller has %d: end one first", sessionsEach, sessionsMost)
	}
	defer leave()
	query := url.Values{"instance": {string(v.instance)}, "user": {string(v.user)}, "address": {v.address}}
	if v.key != "" {
		query.Set("key", v.key)
	} else {
		query.Set("password", v.stamp)
	}
	socket, err := s.Agents.Socket(ctx, v.node, "/v1/sftp/session?"+query.Encode())
	if err != nil {
		return err
	}
	s.Log.Info("an SFTP session is carried", "instance", string(v.instance), "user", string(v.user), "node", string(v.node), "address", v.address)
	return carry(ctx, channel, socket)
}

// carry copies both ways until either side ends.
func carry(ctx context.Context, channel sshdoor.Channel, socket *fleet.Socket) (err error) {
	defer func() { _ = socket.Close() }()
	detach := context.AfterFunc(ctx, func() {
		_ = socket.Close()
		channel.End("the connection ends")
	})
	defer detach()
	go send(channel, socket) // ends with the connection at the latest
	err = receive(channel, socket)
	var closed *websocket.CloseError
	switch {
	case errors.As(err, &closed) && closed.Code == websocket.CloseNormalClosure:
		err = nil
	case errors.As(err, &closed) && closed.Code == websocket.ClosePolicyViolation:
		err = problem.New(problem.Conflict, "%s", closed.Text)
	case ctx.Err() == nil:
		err = problem.New(problem.NodeOffline, "the connection to the node broke off: try again in a while")
	}
	return err
}

// send carries what the client says.
func send(channel io.Reader, socket *fleet.Socket) {
	buffer := make([]byte, piece)
	for {
		n, err := channel.Read(buffer)
		if n > 0 && socket.WriteMessage(websocket.BinaryMessage, buffer[:n]) != nil {
			return
		}
		if err != nil {
			_ = socket.WriteControl(websocket.CloseMessage, websocket.FormatCloseMessage(websocket.CloseNormalClosure, ""), time.Time{})
			return
		}
	}
}

// receive carries what the agent answers, until the error with which that ends.
func receive(channel io.Writer, socket *fleet.Socket) error {
	socket.SetReadLimit(2 * piece)
	buffer := make([]byte, 64<<10)
	for {
		_, message, err := socket.NextReader()
		if err != nil {
			return err
		}
		if _, err := io.CopyBuffer(writerOnly{channel}, message, buffer); err != nil {
			return err
		}
	}
}

// writerOnly hides what io.CopyBuffer would prefer to the buffer.
type writerOnly struct{ io.Writer }
