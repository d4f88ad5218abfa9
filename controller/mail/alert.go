package mail

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/berth-panel/berth/controller/event"
	"github.com/berth-panel/berth/controller/store"
)

const (
	alertMail  Kind = "alert"
	alertUntil      = 6 * time.Hour // an older one is no news
	offline         = event.Type("node.offline")
	alertPause      = 10 * time.Second
)

// Person is who gets an alert.
type Person struct{ Email, Locale string }

// People says who they are: the enabled admins.
type People interface {
	Admins(ctx context.Context) ([]Person, error)
}

// alert is what an alert's order keeps.
type alert struct {
	Person
	Node   string `json:"node"`
	Reason string `json:"reason"`
}

// Alert mails admins when a node goes offline, until ctx ends, while the setting
// says so. What happens while the controller is down is told at its start, by the
// event; one that is written in the moment in which the controller is killed may
// be missed.
func (s *Service) Alert(ctx context.Context, who People) {
	for ctx.Err() == nil {
		if err := s.follow(ctx, who); err != nil && ctx.Err() == nil {
			s.log.Error("look for nodes to mail about", "error", err)
			timer := time.NewTimer(alertPause)
			select {
			case <-ctx.Done():
			case <-timer.C:
			}
			timer.Stop()
		}
	}
}

func (s *Service) follow(ctx context.Context, who People) error {
	feed, err := s.events.Follow(ctx, s.db, event.Filter{Sight: event.Everything(), Type: offline})
	if err != nil {
		return err
	}
	defer feed.Close()
	for {
		facts, err := feed.Next(ctx)
		if err != nil {
			return err
		}
		for _, fact := range facts {
			if err := s.orderAlerts(ctx, fact, who); err != nil {
				return err
			}
		}
	}
}

func (s *Service) orderAlerts(ctx context.Context, fact event.Event, who People) error {
	st, err := s.server.Get(ctx, nil)
	if err != nil || !st.Value.ready() || !st.Value.Alerts {
		return err
	}
	var said struct{ Name, Reason string }
	if err := json.Unmarshal(fact.Data, &said); err != nil {
		return fmt.Errorf("read event %d: %w", fact.ID, err)
	}
	if said.Name == "" {
		said.Name = string(fact.Node)
	}
	admins, err := who.Admins(ctx)
	if err != nil {
		return err
	}
	return s.db.Write(ctx, func(tx *store.Tx) error {
		for _, p := range admins {
			if err := s.Order(ctx, tx, Order{Kind: alertMail, About: alert{p, said.Name, said.Reason}, Until: alertUntil}); err != nil {
				return err
			}
		}
		return nil
	})
}

func (s *Service) composeAlert(ctx context.Context, about json.RawMessage) (*Letter, error) {
	var a alert
	if err := json.Unmarshal(about, &a); err != nil {
		return nil, fmt.Errorf("read an alert: %w", err)
	}
	if a.Email == "" {
		return nil, errors.New("an alert without an address")
	}
	st, err := s.server.Get(ctx, nil)
	if err != nil || !st.Value.Alerts {
		return nil, err
	}
	return &Letter{To: a.Email, Locale: a.Locale, Text: "node-offline", Fields: map[string]string{"Node": a.Node, "Reason": a.Reason}}, nil
}
