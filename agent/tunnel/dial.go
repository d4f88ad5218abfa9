package tunnel

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"syscall"
	"time"

	"github.com/gorilla/websocket"
	"github.com/hashicorp/yamux"

	"github.com/berth-panel/berth/shared/wire"
)

const (
	openWithin   = 10 * time.Second
	maxMessage   = 1 << 20  // bytes of a message of the tunnel
	unsentAtMost = 64 << 10 // bytes in the kernel that have not been sent: a sign of life must not wait behind a volume
)

func sessionConfig() *yamux.Config {
	config := yamux.DefaultConfig()
	config.LogOutput = io.Discard // what matters is in the errors
	config.AcceptBacklog = streamsAtOnce
	config.KeepAliveInterval = wire.TunnelAlive
	config.ConnectionWriteTimeout = wire.TunnelWithin
	config.StreamOpenTimeout = wire.TunnelWithin
	config.StreamCloseTimeout = 30 * time.Second
	config.MaxStreamWindowSize = wire.TunnelWindow
	return config
}

func newDialer(dial func(ctx context.Context, network, address string) (net.Conn, error)) *websocket.Dialer {
	if dial == nil {
		dial = (&net.Dialer{Timeout: openWithin, Control: keepQueueShort}).DialContext
	}
	return &websocket.Dialer{
		Proxy:          http.ProxyFromEnvironment,
		NetDialContext: dial,
		// Who answers proves itself inside: see the package's doc.
		TLSClientConfig:  &tls.Config{MinVersion: tls.VersionTLS12, InsecureSkipVerify: true},
		HandshakeTimeout: openWithin,
		ReadBufferSize:   4 << 10,
		WriteBufferSize:  32 << 10,
	}
}

// keepQueueShort bounds what waits in the kernel behind a slow line. It is no
// more than a help: what doesn't know it goes on without.
func keepQueueShort(_, _ string, raw syscall.RawConn) error {
	return raw.Control(func(fd uintptr) { limitUnsent(int(fd), unsentAtMost) })
}

// dial opens the WebSocket. Errors are sentences for the log.
func (t *Tunnel) dial(ctx context.Context) (*websocket.Conn, error) {
	socket, answer, err := t.dialer.DialContext(ctx, t.address, nil) //nolint:bodyclose // the dialer has read it; there is nothing to close
	if err == nil {
		socket.SetReadLimit(maxMessage)
		return socket, nil
	}
	if !errors.Is(err, websocket.ErrBadHandshake) || answer == nil {
		return nil, fmt.Errorf("the controller can't be reached at %s: %w", t.address, err)
	}
	var said struct {
		Error struct {
			Message string `json:"message"`
		} `json:"error"`
	}
	text, _ := io.ReadAll(io.LimitReader(answer.Body, 4<<10)) // what came is enough
	switch _ = json.Unmarshal(text, &said); {
	case answer.StatusCode >= 300 && answer.StatusCode < 400:
		return nil, fmt.Errorf("the controller sends us on to %q: enrol with that address", answer.Header.Get("Location"))
	case said.Error.Message != "":
		return nil, fmt.Errorf("the controller refuses: %q", said.Error.Message)
	default:
		return nil, fmt.Errorf("what answers at %s has no tunnels (HTTP status %d): is it this agent's controller, and does what lies in between let WebSockets pass?",
			t.address, answer.StatusCode)
	}
}
