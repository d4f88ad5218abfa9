package faults

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"
)

// client calls the public API.
type client struct {
	base  string
	story *story
	http  *http.Client
}

func newClient(base string, s *story) *client {
	// Without kept connections no call is repeated behind our back.
	return &client{base: base, story: s, http: &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}}
}

// answer is a whole one.
type answer struct {
	status   int
	data     json.RawMessage
	code     string // of a refusal
	message  string
	replayed bool // it is a stored one
}

// try makes one call; an error says that no whole answer came.
func (c *client) try(method, path, key string, body any, patience time.Duration) (a answer, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	var reader io.Reader
	if body != nil {
		text, err := json.Marshal(body)
		if err != nil {
			return a, err
		}
		reader = bytes.NewReader(text)
	}
	req, err := http.NewRequestWithContext(ctx, method, c.base+path, reader)
	if err != nil {
		return a, err
	}
	req.Header.Set("x-api-key", apiKey)
	req.Header.Set("Content-Type", "application/json")
	if key != "" {
		req.Header.Set("Idempotency-Key", key)
	}
	res, err := c.http.Do(req)
	if err != nil {
		return a, err
	}
	defer func() { _ = res.Body.Close() }()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		return a, err
	}
	var envelope struct {
		Data  json.RawMessage
		Error struct{ Code, Message string }
	}
	if err := json.Unmarshal(text, &envelope); err != nil {
		return a, fmt.Errorf("%d with something that is not JSON: %.100q", res.StatusCode, text)
	}
	return answer{
		status: res.StatusCode, data: envelope.Data, code: envelope.Error.Code, message: envelope.Error.Message,
		replayed: res.Header.Get("Idempotency-Replayed") != "",
	}, nil
}

// once makes one call that must succeed.
func (c *client) once(method, path string, body, out any) error {
	a, err := c.try(method, path, "", body, 20*time.Second)
	if err != nil {
		return err
	}
	return a.into(out)
}

func (c *client) get(path string, out any) error { return c.once("GET", path, nil, out) }

func (a answer) into(out any) error {
	if a.status >= 400 {
		return fmt.Errorf("%d %s: %s", a.status, a.code, a.message)
	}
	if out == nil {
		return nil
	}
	return json.Unmarshal(a.data, out)
}

// errGaveUp says that no definite answer came in time.
var errGaveUp = errors.New("no definite answer")

// insist repeats a call until its answer is definite: a whole one that is no
// failure inside the controller, and that no earlier try of the same call can
// contradict any more. first says whether the first try was answered.
func (c *client) insist(method, path, key string, body any, giveUp <-chan struct{}) (a answer, first bool, err error) {
	for n := 1; ; n++ {
		a, err = c.try(method, path, key, body, 10*time.Second)
		switch {
		case err != nil:
		case a.status >= 500 && a.code != "NODE_OFFLINE" && a.code != "INSUFFICIENT_RESOURCES":
			err = a.into(nil)
		case n > 1 && key != "" && a.status == http.StatusConflict && !a.replayed:
			err = a.into(nil) // perhaps an earlier try is under way: the next one is told what came of it
		default:
			return a, n == 1, nil
		}
		select {
		case <-giveUp:
			return a, false, errors.Join(errGaveUp, err)
		case <-time.After(time.Duration(min(n, 4)) * 250 * time.Millisecond):
		}
	}
}

// pages reads a whole list.
func pages[T any](c *client, path string) ([]T, error) {
	var all []T
	for page := 1; ; page++ {
		var items []T
		if err := c.get(fmt.Sprintf("%s&page=%d&limit=500", path, page), &items); err != nil {
			return nil, err
		}
		all = append(all, items...)
		if len(items) < 500 {
			return all, nil
		}
	}
}
