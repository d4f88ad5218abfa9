package app_test

import (
	"io"
	"maps"
	"net/http"
	"strings"
	"testing"

	"github.com/gorilla/websocket"

	"github.com/berth-panel/berth/controller/access"
	"github.com/berth-panel/berth/controller/httpapi"
	"github.com/berth-panel/berth/controller/store"
	"github.com/berth-panel/berth/shared/ident"
)

// asked is what a route of an instance is called with, so that nothing but a
// right is in the way.
type asked struct {
	query  string
	body   any
	header map[string]string
}

const (
	children = "/api/v1/instances/{id}"
	uploads  = children + "/files/uploads"
)

func ask() map[string]asked {
	tus := func(more ...string) map[string]string {
		h := map[string]string{"Tus-Resumable": "1.0.0"}
		for n := 0; n < len(more); n += 2 {
			h[more[n]] = more[n+1]
		}
		return h
	}
	file, task := asked{query: "?path=a"}, asked{body: object{"paths": []string{"a"}}}
	return map[string]asked{
		"PATCH " + children:                       {body: object{"name": "other"}},
		"POST " + children + "/command":           {body: object{"command": "help"}},
		"GET " + children + "/files/entry":        file,
		"GET " + children + "/files/content":      file,
		"HEAD " + children + "/files/content":     file,
		"PUT " + children + "/files/content":      {query: "?path=a", body: "text", header: map[string]string{"Content-Type": "application/octet-stream"}},
		"GET " + children + "/files/bundle":       file,
		"POST " + children + "/files/folder":      {body: object{"path": "a"}},
		"POST " + children + "/files/rename":      {body: object{"renames": []object{{"from": "a", "to": "b"}}}},
		"POST " + children + "/files/chmod":       {body: object{"paths": []string{"a"}, "mode": "644"}},
		"POST " + children + "/files/search":      {body: object{"name": "a"}},
		"POST " + children + "/files/ticket":      {body: object{"path": "a"}},
		"POST " + children + "/files/delete":      task,
		"POST " + children + "/files/copy":        {body: object{"paths": []string{"a"}, "to": "b"}},
		"POST " + children + "/files/archive":     {body: object{"paths": []string{"a"}, "to": "b.tar.gz", "format": "tar.gz"}},
		"POST " + children + "/files/extract":     {body: object{"path": "a.tar.gz"}},
		"POST " + children + "/files/pull":        {body: object{"url": "https://example.org/a", "to": "a"}},
		"POST " + uploads:                         {header: tus("Upload-Length", "1", "Upload-Metadata", "path YQ==")},
		"HEAD " + uploads + "/{upload}":           {header: tus()},
		"DELETE " + uploads + "/{upload}":         {header: tus()},
		"PATCH " + uploads + "/{upload}":          {body: "x", header: tus("Upload-Offset", "0", "Content-Type", "application/offset+octet-stream")},
		"POST " + uploads + "/{upload}":           {body: "x", header: tus("X-Http-Method-Override", "PATCH", "Upload-Offset", "0", "Content-Type", "application/offset+octet-stream")},
		"POST " + children + "/subusers":          {body: object{"username": "nobody", "rights": []string{}}},
		"PUT " + children + "/subusers/{user_id}": {body: object{"rights": []string{}}},
		"POST " + children + "/move":              {body: object{}},
		"GET " + children + "/stats/history":      {query: "?resolution=1s"},
	}
}

// anInstance deploys one of a node that is away.
func (b *bundle) anInstance(owner ident.User) ident.Instance {
	b.t.Helper()
	node, _ := b.call(adminKey, "POST", "/api/v1/nodes", object{"name": "a", "address": "192.0.2.1", "port": 8443, "memory": 1024, "disk": 20480}).object(201)["node"].(object)["id"].(string)
	image, _ := b.call(adminKey, "POST", "/api/v1/images", object{"name": "Game", "references": []string{"example/game:1"}, "env": []string{"SECRET=x"}}).object(201)["id"].(string)
	if err := b.app.DB.Write(b.t.Context(), func(tx *store.Tx) error {
		_, err := tx.ExecContext(b.t.Context(), `UPDATE nodes SET enrolled_at = 1, hello = '{"engine":{"cores":4}}' WHERE id = ?`, node)
		return err
	}); err != nil {
		b.t.Fatal(err)
	}
	made := b.call(adminKey, "POST", "/api/v1/instances", object{"name": "one", "owner_id": owner, "node_id": node, "image_id": image, "memory": 64, "cpu": 1}).object(202)
	id, _ := made["instance"].(object)["id"].(string)
	return ident.Instance(id)
}

// ask calls a route of the instance with a key; sockets are opened.
func (b *bundle) ask(key string, r httpapi.Route, id ident.Instance, in asked) (status int, text string) {
	b.t.Helper()
	path := pathPart.ReplaceAllString(strings.Replace(r.Path, "{id}", string(id), 1), "x") + in.query
	if r.Access.IsPublic() {
		conn, res, err := websocket.DefaultDialer.DialContext(b.t.Context(), "ws"+strings.TrimPrefix(b.url, "http")+path, http.Header{"X-Api-Key": {key}})
		if err != nil && res == nil {
			b.t.Fatalf("%s: %v", path, err)
		}
		if err == nil {
			_ = conn.Close()
			return http.StatusSwitchingProtocols, ""
		}
		body, _ := io.ReadAll(res.Body)
		_ = res.Body.Close()
		return res.StatusCode, string(body)
	}
	a := b.callWith(in.header, key, r.Method, path, in.body)
	return a.status, a.body
}

// Each route of an instance, by each kind of person. What a route says that it
// asks for is what it does ask for, and that alone.
func TestRightsToEveryRouteOfAnInstance(t *testing.T) {
	t.Parallel()
	b := setup(t)
	owner := b.user("owner")
	id := b.anInstance(owner)
	ownerKey, stranger := b.key(owner, access.ScopeWrite), b.key(b.user("stranger"), access.ScopeWrite)
	reader := b.key(b.holder("reader", access.ReadInstances), access.ScopeWrite)
	share := func(name string, rights []access.Right) string {
		u := b.user(name)
		if _, err := b.app.Subusers.Put(t.Context(), access.Local(), id, u, rights); err != nil {
			t.Fatal(err)
		}
		return b.key(u, access.ScopeWrite)
	}
	with, without := map[access.Right]string{}, map[access.Right]string{}
	for _, right := range access.Rights() {
		with[right] = share("with-"+string(right), []access.Right{right})
		var others []access.Right
		for _, other := range access.Rights() {
			if other != right {
				others = append(others, other)
			}
		}
		without[right] = share("without-"+string(right), others)
	}
	everything := share("with-everything", access.Rights())
	readable := map[access.Right]bool{access.SeeInstance: true, access.ReadConsole: true, access.ReadActivity: true}
	inputs, used, routes := ask(), map[string]bool{}, 0
	for _, r := range b.app.API.Routes() {
		if !strings.HasPrefix(r.Path, children) || r.Method == http.MethodOptions {
			continue
		}
		routes++
		call := r.Method + " " + r.Path
		in := inputs[call]
		used[call] = true
		is := func(who, key string, wants ...int) {
			t.Helper()
			status, text := b.ask(key, r, id, in)
			gone := status == http.StatusNotFound && strings.Contains(text, "no such instance")
			for _, want := range wants {
				if status == want && (want != http.StatusNotFound || gone || r.Method == http.MethodHead) {
					return
				}
			}
			if len(wants) == 0 && status != http.StatusUnauthorized && status != http.StatusForbidden && !gone && status < 600 && status != http.StatusInternalServerError {
				return
			}
			t.Errorf("%s, %s: got %d %s, want %v", call, who, status, text, wants)
		}
		const missing, forbidden = http.StatusNotFound, http.StatusForbidden
		right := r.Access.Right()
		switch {
		case r.Access.Permission() != "": // of who manages all instances
			for who, key := range map[string]string{"the owner": ownerKey, "a stranger": stranger, "a subuser with everything": everything, "who reads all": reader} {
				is(who, key, forbidden)
			}
		case right == "":
			t.Errorf("%s asks for nothing of the instance: %s", call, r.Access)
		default:
			is("a stranger", stranger, missing)
			is("nobody", "", map[bool]int{false: http.StatusUnauthorized, true: http.StatusSwitchingProtocols}[r.Access.IsPublic()])
			if right != access.SeeInstance {
				is("a subuser with all other rights", without[right], forbidden)
			}
			if readable[right] {
				is("who reads all", reader)
			} else {
				is("who reads all", reader, forbidden)
			}
			is("a subuser with just that right", with[right])
			is("the owner", ownerKey)
			is("an admin", adminKey)
		}
	}
	for call := range maps.Keys(inputs) {
		if !used[call] {
			t.Errorf("%s is no route any more", call)
		}
	}
	if routes < 40 {
		t.Errorf("only %d routes", routes)
	}
}
