package console

import (
	"context"
	"net/http"
	"strconv"
	"time"

	"github.com/gorilla/websocket"
	"golang.org/x/time/rate"

	"github.com/berth-panel/berth/controller/access"
	"github.com/berth-panel/berth/controller/httpapi"
	"github.com/berth-panel/berth/shared/ident"
	"github.com/berth-panel/berth/shared/problem"
	"github.com/berth-panel/berth/shared/wire"
)

// ConsoleTicketView opens one console, once.
type ConsoleTicketView struct {
	Ticket    string    `json:"ticket" doc:"For the console's first message, or its address as ?ticket="`
	ExpiresAt time.Time `json:"expires_at" doc:"Half a minute from now"`
}

// Redacted is the view without its secret.
func (v ConsoleTicketView) Redacted() any {
	v.Ticket = ""
	return v
}

// CommandBody is a line for an instance's stdin.
type CommandBody struct {
	Command string `json:"command" maxLength:"4096" doc:"One line; its end is added"`
}

// ConsoleLineView is one line that was printed.
type ConsoleLineView struct {
	Seq    int64              `json:"seq" doc:"From 1, without gap, within one record"`
	At     time.Time          `json:"at"`
	Source wire.ConsoleSource `json:"source" doc:"out, err, in (a command), install, berth (said by Berth itself)"`
	Text   string             `json:"text" doc:"May hold colours and other escapes of a terminal"`
	Part   bool               `json:"part,omitempty" doc:"The next line goes on with it"`
}

// ConsoleLinesView is a stretch of a console.
type ConsoleLinesView struct {
	Record string             `json:"record" doc:"Another one than before: the numbers began anew"`
	Last   int64              `json:"last" doc:"The number of the newest line; 0 when there is none"`
	Missed *ConsoleMissedView `json:"missed,omitempty" doc:"Lines behind after that are gone"`
	Lines  []ConsoleLineView  `json:"lines"`
}

// ConsoleMissedView are lines that are gone, both ends included.
type ConsoleMissedView struct {
	From int64 `json:"from"`
	To   int64 `json:"to"`
}

// ConsolePath names an instance in a path.
type ConsolePath struct {
	ID string `path:"id" doc:"The instance's id"`
}

type commandInput struct {
	ConsolePath
	Body CommandBody
}

type linesInput struct {
	ConsolePath
	After string `query:"after" pattern:"^[0-9]{0,18}$" doc:"The lines behind this number, the oldest first; without it the newest"`
	Limit int    `query:"limit" default:"1000" minimum:"1" maximum:"5000" doc:"How many at most"`
}

const about = `A WebSocket of JSON messages. A key in the headers, a one-time ticket as ?ticket=, or a first message {"type":"auth","ticket":…} or ` +
	`{"type":"auth","key":…} within 5 s says who calls. Then come record, state, missed, lines, tail, done, error, pong, and closing before the end; ` +
	`command, size, power and ping are taken.`

// Mount registers the operations of consoles.
func (s *Service) Mount(a *httpapi.API) {
	const base, tag = "/api/v1/instances/{id}", "console"
	read, write := access.Uses(access.ReadConsole), access.Uses(access.WriteConsole)
	httpapi.HandleSocket(a, httpapi.Operation{ID: "openConsole", Method: http.MethodGet, Path: base + "/console", Tag: tag, Access: access.Announces(access.ReadConsole), Farewell: true,
		Summary: "Look at and type into an instance's console", Description: about,
		Params: []httpapi.Param{{Name: "ticket", Doc: "Of createConsoleTicket"}, {Name: "after", Integer: true, Doc: "Go on behind this line"},
			{Name: "record", Doc: "The record that after is of"}}}, s.handleSocket)
	httpapi.Handle(a, httpapi.Operation{ID: "createConsoleTicket", Method: http.MethodPost, Path: base + "/console/ticket", Tag: tag, Access: read, Status: http.StatusCreated,
		Summary: "Get a ticket that opens the console once"}, s.handleTicket)
	httpapi.Handle(a, httpapi.Operation{ID: "listConsoleLines", Method: http.MethodGet, Path: base + "/console/lines", Tag: tag, Access: read,
		Summary: "Read what an instance printed"}, s.handleLines)
	httpapi.Handle(a, httpapi.Operation{ID: "sendCommand", Method: http.MethodPost, Path: base + "/command", Tag: tag, Access: write,
		Summary: "Write a command to an instance's console"}, s.handleCommand)
}

func (s *Service) handleSocket(ctx context.Context, r *httpapi.Request) (httpapi.Socket, error) {
	id := ident.Instance(r.Param("id"))
	from, err := fromQuery(r)
	if err != nil {
		return nil, err
	}
	guest, err := s.Grants.Arrive(ctx, r, id, access.ReadConsole, Door)
	if err != nil {
		return nil, err
	}
	return func(ctx context.Context, conn *websocket.Conn) {
		c := &client{service: s, conn: conn, id: id, guest: guest, from: from, answers: make(chan tell, 2*rateBurst), limit: rate.NewLimiter(ratePerSec, rateBurst)}
		c.serve(ctx)
	}, nil
}

func fromQuery(r *httpapi.Request) (From, error) {
	text := r.Query("after")
	if text == "" {
		return From{}, nil
	}
	after, err := strconv.ParseInt(text, 10, 64)
	if err != nil || after < 0 {
		return From{}, problem.Invalid("after", "must be the number of a line")
	}
	return From{Resume: true, After: after, Record: r.Query("record")}, nil
}

func (s *Service) handleTicket(ctx context.Context, in *ConsolePath) (ConsoleTicketView, error) {
	t, err := s.Grants.Issue(ctx, access.From(ctx), ident.Instance(in.ID), access.ReadConsole, Door)
	return ConsoleTicketView{Ticket: t.Text, ExpiresAt: t.Expires}, err
}

func (s *Service) handleCommand(ctx context.Context, in *commandInput) (httpapi.Done, error) {
	err := s.Command(ctx, access.From(ctx), ident.Instance(in.ID), in.Body.Command)
	return httpapi.Did("the command was written to the instance's console"), err
}

func (s *Service) handleLines(ctx context.Context, in *linesInput) (ConsoleLinesView, error) {
	var after *int64
	if in.After != "" {
		n, err := strconv.ParseInt(in.After, 10, 64)
		if err != nil {
			return ConsoleLinesView{}, problem.Invalid("after", "must be the number of a line")
		}
		after = &n
	}
	p, err := s.Lines(ctx, access.From(ctx), ident.Instance(in.ID), after, in.Limit)
	if err != nil {
		return ConsoleLinesView{}, err
	}
	out := ConsoleLinesView{Record: p.Record, Last: p.Last, Lines: make([]ConsoleLineView, 0, len(p.Lines))}
	if p.Missed != nil {
		out.Missed = &ConsoleMissedView{From: p.Missed.From, To: p.Missed.To}
	}
	for _, raw := range p.Lines {
		f, err := Line{Raw: raw}.Frame()
		if err != nil {
			return ConsoleLinesView{}, err
		}
		out.Lines = append(out.Lines, ConsoleLineView{Seq: f.Seq, At: f.At, Source: f.Source, Text: f.Text, Part: f.Part})
	}
	return out, nil
}
