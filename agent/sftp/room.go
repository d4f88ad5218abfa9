package sftp

import (
	"errors"
	"io"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/gorilla/websocket"

	"github.com/berth-panel/berth/agent/server"
	"github.com/berth-panel/berth/shared/ident"
	"github.com/berth-panel/berth/shared/problem"
	"github.com/berth-panel/berth/shared/wire"
)

// Upgrade makes a WebSocket of a call; an error has been answered.
type Upgrade func(w http.ResponseWriter, r *http.Request) (*websocket.Conn, error)

// Rooms are what the agent's door serves of this: "logins" and "sftp".
func (s *Service) Rooms(upgrade Upgrade) map[string]server.Live {
	return map[string]server.Live{"logins": &loginsRoom{s, upgrade}, "sftp": &sftpRoom{s, upgrade}}
}

type loginsRoom struct {
	*Service
	upgrade Upgrade
}

// ServeInstance is server.Live's.
func (*loginsRoom) ServeInstance(w http.ResponseWriter, _ *http.Request, _ ident.Instance, _ string) {
	server.NoCall(w)
}

// ServeNode takes who may log in, or the socket on which we ask.
func (l *loginsRoom) ServeNode(w http.ResponseWriter, r *http.Request, rest string) {
	switch {
	case rest == "ask" && r.Method == http.MethodGet:
		if socket, err := l.upgrade(w, r); err == nil {
			l.asker.serve(socket)
		}
	case rest == "" && r.Method == http.MethodPut:
		var all wire.Logins
		if err := server.DecodeMost(w, r, &all, wire.LoginsMost); err != nil {
			server.Refuse(w, err)
			return
		}
		held, err := l.put(all)
		if err != nil {
			l.Log.Error("who may log in over SFTP can't be kept", "error", err)
			server.Refuse(w, err)
			return
		}
		server.Answer(w, http.StatusOK, held)
	case rest == "" || rest == "ask":
		server.WrongMethod(w, r)
	default:
		server.NoCall(w)
	}
}

type sftpRoom struct {
	*Service
	upgrade Upgrade
}

// ServeInstance is server.Live's.
func (*sftpRoom) ServeInstance(w http.ResponseWriter, _ *http.Request, _ ident.Instance, _ string) {
	server.NoCall(w)
}

// ServeNode carries a session of somebody whom the controller's door let in.
func (c *sftpRoom) ServeNode(w http.ResponseWriter, r *http.Request, rest string) {
	query := r.URL.Query()
	g := guest{user: ident.User(query.Get("user")), instance: ident.Instance(query.Get("instance")),
		address: query.Get("address"), key: query.Get("key"), stamp: query.Get("password")}
	switch {
	case rest != "session":
		server.NoCall(w)
		return
	case r.Method != http.MethodGet:
		server.WrongMethod(w, r)
		return
	case !g.instance.Valid() || g.user == "" || (g.key == "") == (g.stamp == ""):
		server.Refuse(w, problem.New(problem.BadRequest, "a session needs instance, user, and either key or password"))
		return
	}
	if err := c.listed(r.Context(), g); err != nil {
		server.Refuse(w, err)
		return
	}
	socket, err := c.upgrade(w, r)
	if err != nil {
		return
	}
	// The call's own context ends with nothing that the other side does.
	carried := newCarried(socket)
	defer func() { _ = carried.Close() }()
	if err = c.Serve(r.Context(), g, carried); err != nil {
		carried.End(lastWords(err))
		return
	}
	carried.say(websocket.CloseNormalClosure, "")
}

// carried is a session's bytes in the messages of a WebSocket.
type carried struct {
	socket *websocket.Conn
	rest   io.Reader
	ending sync.Once
}

// carriedMost is more than a message of the controller's door has.
const carriedMost = 512 << 10

const endWithin = 2 * time.Second

func newCarried(socket *websocket.Conn) *carried {
	socket.SetReadLimit(carriedMost)
	return &carried{socket: socket}
}

// Read has one caller at a time.
func (c *carried) Read(p []byte) (int, error) {
	for {
		if c.rest != nil {
			n, err := c.rest.Read(p)
			if !errors.Is(err, io.EOF) {
				return n, err
			}
			if c.rest = nil; n > 0 {
				return n, nil
			}
		}
		_, next, err := c.socket.NextReader()
		if websocket.IsCloseError(err, websocket.CloseNormalClosure) {
			return 0, io.EOF
		}
		if err != nil {
			return 0, err
		}
		c.rest = next
	}
}

// Write has one caller at a time: the library holds a lock.
func (c *carried) Write(p []byte) (int, error) {
	if err := c.socket.WriteMessage(websocket.BinaryMessage, p); err != nil {
		return 0, err
	}
	return len(p), nil
}

// Close ends it without a word.
func (c *carried) Close() error { return c.socket.Close() }

// End is sshdoor.Channel's.
func (c *carried) End(words string) {
	c.ending.Do(func() {
		go c.say(websocket.ClosePolicyViolation, words)
	})
}

// say ends it with a reason, which a client that takes nothing in doesn't get.
func (c *carried) say(code int, words string) {
	const most = 120 // bytes of a reason
	if len(words) > most {
		words = strings.ToValidUTF8(words[:most], "")
	}
	late := time.AfterFunc(endWithin, func() { _ = c.socket.Close() })
	defer late.Stop()
	_ = c.socket.WriteControl(websocket.CloseMessage, websocket.FormatCloseMessage(code, words), time.Time{})
	_ = c.socket.Close()
}
