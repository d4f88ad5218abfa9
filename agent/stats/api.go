package stats

import (
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/gorilla/websocket"

	"github.com/berth-panel/berth/agent/server"
	"github.com/berth-panel/berth/shared/ident"
	"github.com/berth-panel/berth/shared/problem"
	"github.com/berth-panel/berth/shared/wire"
)

var _ server.Live = (*Service)(nil)

const (
	livesAtOnce  = 1024 // streams of samples
	liveWithin   = 10 * time.Second
	messageLimit = 512 // of what a stream is told, which is nothing
)

// ServeNode answers the calls about the node.
func (s *Service) ServeNode(w http.ResponseWriter, r *http.Request, rest string) {
	switch {
	case rest != "" && rest != "history":
		server.NoCall(w)
	case r.Method != http.MethodGet:
		server.WrongMethod(w, r)
	case rest == "":
		server.Answer(w, http.StatusOK, s.Node())
	default:
		answerHistory(w, r, s.NodeHistory)
	}
}

// ServeInstance answers the calls about an instance.
func (s *Service) ServeInstance(w http.ResponseWriter, r *http.Request, id ident.Instance, rest string) {
	switch {
	case rest != "" && rest != "history" && rest != "live":
		server.NoCall(w)
	case r.Method != http.MethodGet:
		server.WrongMethod(w, r)
	case rest == "history":
		answerHistory(w, r, func(resolution wire.Resolution, since time.Time) (wire.StatsHistory, error) {
			return s.History(id, resolution, since)
		})
	case rest == "live":
		s.serveLive(w, r, id)
	default:
		sample, err := s.Newest(id)
		if err != nil {
			server.Refuse(w, err)
			return
		}
		server.Answer(w, http.StatusOK, sample)
	}
}

func answerHistory(w http.ResponseWriter, r *http.Request, read func(wire.Resolution, time.Time) (wire.StatsHistory, error)) {
	resolution, since, err := historyQuery(r.URL.Query())
	if err != nil {
		server.Refuse(w, err)
		return
	}
	history, err := read(resolution, since)
	if err != nil {
		server.Refuse(w, err)
		return
	}
	server.Answer(w, http.StatusOK, history)
}

func historyQuery(q url.Values) (wire.Resolution, time.Time, error) {
	resolution := wire.Resolution(q.Get("resolution"))
	if !resolution.Valid() {
		return "", time.Time{}, problem.Invalid("resolution", "must be 1s, 10s or 1m")
	}
	text := q.Get("since")
	if text == "" {
		return resolution, time.Time{}, nil
	}
	since, err := strconv.ParseInt(text, 10, 64)
	if err != nil || since < 0 {
		return "", time.Time{}, problem.Invalid("since", "must be Unix seconds")
	}
	return resolution, time.Unix(since, 0), nil
}

// serveLive sends the newest sample after each round, until the other side goes,
// the instance does, or the agent ends. One that takes nothing for a while is
// dropped; nobody waits for it.
func (s *Service) serveLive(w http.ResponseWriter, r *http.Request, id ident.Instance) {
	if !s.Instances.Holds(id) {
		server.Refuse(w, notHeld(id))
		return
	}
	if !s.enterLive() {
		server.Refuse(w, problem.New(problem.RateLimited, "%d streams of figures are open to this node: close some", livesAtOnce))
		return
	}
	defer s.leaveLive()
	conn, err := s.Upgrade(w, r)
	if err != nil {
		return // answered
	}
	defer func() { _ = conn.Close() }()
	gone := make(chan struct{})
	go func() { // sees its end; what it says is nothing to us
		defer close(gone)
		conn.SetReadLimit(messageLimit)
		for {
			if _, _, err := conn.ReadMessage(); err != nil {
				return
			}
		}
	}()
	for {
		next := s.nextRound()
		if err := s.sendNewest(conn, id); err != nil {
			return
		}
		select {
		case <-next:
		case <-gone:
			return
		case <-s.stopped:
			s.bye(conn, "the agent is being stopped")
			return
		}
	}
}

func (s *Service) sendNewest(conn *websocket.Conn, id ident.Instance) error {
	sample, err := s.Newest(id)
	if err != nil {
		s.bye(conn, "the instance is gone")
		return err
	}
	text, err := json.Marshal(sample)
	if err != nil {
		return err
	}
	return errors.Join(conn.SetWriteDeadline(s.Now().Add(liveWithin)), conn.WriteMessage(websocket.TextMessage, text))
}

func (s *Service) bye(conn *websocket.Conn, why string) {
	_ = conn.WriteControl(websocket.CloseMessage, websocket.FormatCloseMessage(websocket.CloseGoingAway, why), s.Now().Add(liveWithin))
}

// nextRound is closed when the next samples are there.
func (s *Service) nextRound() <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.round
}

func (s *Service) enterLive() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.lives >= livesAtOnce {
		return false
	}
	s.lives++
	return true
}

func (s *Service) leaveLive() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lives--
}
