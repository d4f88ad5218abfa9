package faults

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"time"
)

// engine talks to one Docker Engine by itself: Berth knows nothing of it.
type engine struct {
	socket string
	client *http.Client
}

func newEngine(socket string) *engine {
	return &engine{socket: socket, client: &http.Client{Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "unix", socket)
		},
	}}}
}

// call makes one call; a nil out is not read. A status of 400 or more is an error.
func (e *engine) call(method, path string, body io.Reader, out any) error {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, "http://docker"+path, body)
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	res, err := e.client.Do(req)
	if err != nil {
		return err
	}
	defer func() { _ = res.Body.Close() }()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		return err
	}
	if res.StatusCode >= 400 {
		return fmt.Errorf("%s %s: %d %s", method, path, res.StatusCode, bytes.TrimSpace(text))
	}
	if out == nil {
		return nil
	}
	return json.Unmarshal(text, out)
}

// await waits until the engine answers.
func (e *engine) await(patience time.Duration) error {
	var err error
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) {
		if err = e.call("GET", "/_ping", nil, nil); err == nil {
			return nil
		}
	}
	return fmt.Errorf("the engine at %s does not answer: %w", e.socket, err)
}

// container is what Docker says of one.
type container struct {
	ID     string `json:"Id"`
	Name   string
	Config struct {
		Env    []string
		Labels map[string]string
	}
	State struct {
		Status          string
		Running, Paused bool
		ExitCode, Pid   int
		Error           string
	}
	HostConfig struct {
		Memory, NanoCpus int64
		PortBindings     map[string][]struct{ HostIp, HostPort string }
	}
	NetworkSettings struct {
		Ports map[string][]struct{ HostIp, HostPort string }
	}
}

const labelInstance, labelNode = "berth.instance", "berth.node"

// ours lists the ids of all containers that carry Berth's label.
func (e *engine) ours() ([]string, error) {
	var list []struct {
		ID string `json:"Id"`
	}
	query := url.Values{"all": {"1"}, "filters": {`{"label":["` + labelNode + `"]}`}}
	if err := e.call("GET", "/containers/json?"+query.Encode(), nil, &list); err != nil {
		return nil, err
	}
	ids := make([]string, len(list))
	for i, c := range list {
		ids[i] = c.ID
	}
	return ids, nil
}

// inspect gives false for one that is gone.
func (e *engine) inspect(id string) (c container, there bool, err error) {
	var list []struct{}
	query := url.Values{"all": {"1"}, "filters": {`{"id":["` + id + `"]}`}}
	if err := e.call("GET", "/containers/json?"+query.Encode(), nil, &list); err != nil || len(list) == 0 {
		return c, false, err
	}
	err = e.call("GET", "/containers/"+id+"/json", nil, &c)
	return c, err == nil, err
}

// importImage makes an image of a tar of its root filesystem.
func (e *engine) importImage(root []byte, reference string) error {
	query := url.Values{"fromSrc": {"-"}, "repo": {reference}, "changes": {`ENTRYPOINT ["/witness"]`}}
	return e.call("POST", "/images/create?"+query.Encode(), bytes.NewReader(root), nil)
}
