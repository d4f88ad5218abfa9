package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
)

type registryCommands struct {
	List   registryList   `cmd:"" help:"List the logins with which nodes pull images, without their passwords."`
	Add    registryAdd    `cmd:"" help:"Add the login at a registry, or replace it."`
	Check  registryCheck  `cmd:"" help:"Try a login from a node."`
	Remove registryRemove `cmd:"" help:"Forget a login, here and on the nodes."`
}

type registryList struct{ local }

func (r registryList) Run(ctx context.Context, out *output) error {
	data, err := r.call(ctx, http.MethodGet, "/api/v1/registries", nil)
	if err != nil {
		return err
	}
	return r.show(out, data, "id", "host", "username", "broken", "updated_at")
}

type registryAdd struct {
	local
	secretInput
	Host     string `arg:"" help:"As container references begin, such as registry.example.com:5000; docker.io for those without a host."`
	Username string `required:"" help:"Of the login."`
}

func (r registryAdd) Run(ctx context.Context, out *output) error {
	password, err := r.read()
	if err != nil {
		return err
	}
	method, path := http.MethodPost, "/api/v1/registries"
	body := map[string]string{"host": r.Host, "username": r.Username, "password": password}
	id, there, err := r.findRegistry(ctx, r.Host)
	if err != nil {
		return err
	}
	if there {
		method, path = http.MethodPatch, path+"/"+url.PathEscape(id)
		delete(body, "host")
	}
	data, err := r.call(ctx, method, path, body)
	if err != nil {
		return err
	}
	return r.said(out, data, "Nodes pull from %s as %s from now on.", r.Host, r.Username)
}

// findRegistry gives a login's id by id or host.
func (l local) findRegistry(ctx context.Context, which string) (id string, there bool, err error) {
	data, err := l.call(ctx, http.MethodGet, "/api/v1/registries", nil)
	if err != nil {
		return "", false, err
	}
	var list []struct{ ID, Host string }
	if err := json.Unmarshal(data, &list); err != nil {
		return "", false, err
	}
	for _, r := range list {
		if r.ID == which || strings.EqualFold(r.Host, which) {
			return r.ID, true, nil
		}
	}
	return "", false, nil
}

type oneRegistry struct {
	local
	Registry string `arg:"" help:"Id or host."`
}

func (r oneRegistry) ask(ctx context.Context, method, suffix string, body any) (json.RawMessage, error) {
	id, there, err := r.findRegistry(ctx, r.Registry)
	if err != nil {
		return nil, err
	}
	if !there {
		return nil, fmt.Errorf("there is no login for %q", r.Registry)
	}
	return r.call(ctx, method, "/api/v1/registries/"+url.PathEscape(id)+suffix, body)
}

type registryCheck struct {
	oneRegistry
	Node string `help:"From which node: id or name. Any that is online when absent."`
}

func (r registryCheck) Run(ctx context.Context, out *output) error {
	body := map[string]string{}
	if r.Node != "" {
		node, err := r.findNode(ctx, r.Node)
		if err != nil {
			return err
		}
		body["node_id"] = node
	}
	data, err := r.ask(ctx, http.MethodPost, "/check", body)
	if err != nil {
		return err
	}
	var got struct {
		Status, Message string
		NodeName        string `json:"node_name"`
	}
	if err := json.Unmarshal(data, &got); err != nil {
		return err
	}
	if got.Status != "ok" {
		return fmt.Errorf("from node %s: %s", got.NodeName, got.Message)
	}
	return r.said(out, data, "From node %s: %s.", got.NodeName, got.Message)
}

type registryRemove struct{ oneRegistry }

func (r registryRemove) Run(ctx context.Context, out *output) error {
	data, err := r.ask(ctx, http.MethodDelete, "", nil)
	if err != nil {
		return err
	}
	return r.said(out, data, "The login for %s is forgotten.", r.Registry)
}
