package httpapi_test

import (
	"context"
	"log/slog"
	"net/http"
	"net/netip"
	"strings"
	"testing"

	"github.com/gorilla/websocket"

	"github.com/berth-panel/berth/controller/access"
	"github.com/berth-panel/berth/controller/httpapi"
	"github.com/berth-panel/berth/shared/ident"
)

const cookieText = "anna"

// loggedIn makes the panel's cookie "anna" a login, and "bert" another.
func loggedIn(public string) option {
	return func(c *settings) {
		of := map[string]access.Caller{}
		for _, name := range []string{"anna", "anna2", "bert"} {
			of[name] = access.Caller{
				Actor:   access.Actor{Via: access.ViaSession, User: ident.User("user-" + strings.TrimSuffix(name, "2")), Username: name},
				Session: ident.Session("session-" + name), Scopes: []access.Scope{access.ScopeAdmin}, Dialect: access.Documented,
			}
		}
		c.Sessions, c.PublicURL = &keys{of: of}, public
	}
}

func behind(proxies ...string) option {
	return func(c *settings) {
		c.HSTS = true
		for _, p := range proxies {
			c.Proxies = append(c.Proxies, netip.MustParsePrefix(p))
		}
	}
}

// teller registers what tells of the caller: for anybody, for who is logged in, and
// made once.
func teller(a *httpapi.API) {
	tell := func(ctx context.Context, _ *struct{}) (map[string]string, error) {
		c, v := access.From(ctx), httpapi.VisitOf(ctx)
		return map[string]string{"user": string(c.User), "via": string(c.Via), "address": c.Address, "cookie": v.Session, "browser": v.Browser}, nil
	}
	op := func(id, method string, rule access.Rule) httpapi.Operation {
		return httpapi.Operation{ID: id, Method: method, Path: "/api/v1/" + id, Access: rule}
	}
	httpapi.Handle(a, op("me", http.MethodGet, access.Needs(access.ScopeRead)), tell)
	httpapi.Handle(a, op("login-only", http.MethodGet, access.LoggedIn()), tell)
	public := op("enter", http.MethodPost, access.Public())
	public.SameOrigin = true
	httpapi.Handle(a, public, tell)
	once := op("once", http.MethodPost, access.Needs(access.ScopeWrite))
	once.Idempotent = true
	made := 0
	httpapi.Handle(a, once, func(context.Context, *struct{}) (int, error) {
		made++
		return made, nil
	})
}

func cookie(text string) header { return header{"Cookie", "berth_session=" + text} }

func token(text string) header { return header{"X-Csrf-Token", httpapi.CSRF(text)} }

func TestTheCookieSaysWhoCalls(t *testing.T) {
	t.Parallel()
	b := setup(t, teller, loggedIn(""))
	for _, c := range []struct {
		what, path string
		headers    []header
		want       string
	}{
		{"a login", "/api/v1/me", []header{cookie(cookieText)}, `"user":"user-anna","via":"session"`},
		{"for logins", "/api/v1/login-only", []header{cookie(cookieText)}, `"user":"user-anna"`},
		{"a key for logins", "/api/v1/login-only", []header{key("admin")}, "FORBIDDEN"},
		{"both", "/api/v1/me", []header{cookie(cookieText), key("read")}, `"user":"user-read","via":"key"`},
		{"nobody's", "/api/v1/me", []header{cookie("nobody")}, "UNAUTHORIZED"},
		{"too long", "/api/v1/me", []header{cookie(strings.Repeat("x", 5000))}, "UNAUTHORIZED"},
		{"of https", "/api/v1/me", []header{{"Cookie", "__Host-berth_session=anna"}}, "UNAUTHORIZED"},
		{"empty", "/api/v1/me", []header{cookie("")}, "UNAUTHORIZED"},
	} {
		if a := b.do("GET", c.path, "", c.headers...); !strings.Contains(a.body, c.want) {
			t.Errorf("%s: %d %s", c.what, a.status, a.body)
		}
	}
	a := b.do("POST", "/api/v1/enter", "", cookie(cookieText), header{"User-Agent", strings.Repeat("a", 300)})
	if a.status != 200 || !strings.Contains(a.body, `"cookie":"anna"`) || !strings.Contains(a.body, `"user":""`) || !strings.Contains(a.body, `"browser":"`+strings.Repeat("a", 200)+`"`) {
		t.Errorf("a public route: %d %s", a.status, a.body)
	}
	if strings.Contains(b.logs.String(), httpapi.CSRF(cookieText)) {
		t.Error("the log holds a token")
	}
}

func TestHTTPSHasItsOwnCookie(t *testing.T) {
	t.Parallel()
	b := setup(t, teller, loggedIn("https://panel.example.com:443/"))
	if a := b.do("GET", "/api/v1/me", "", cookie(cookieText)); a.status != http.StatusUnauthorized {
		t.Errorf("a cookie that http could set: %d", a.status)
	}
	in := header{"Cookie", "__Host-berth_session=anna"}
	for origin, want := range map[string]int{
		"https://panel.example.com": 200, "https://PANEL.example.com:443": 200, "http://panel.example.com": 403, "https://panel.example.com.evil.test": 403,
		"https://panel.example.com:8443": 403, "": 200, b.url: 200,
	} {
		if a := b.do("POST", "/api/v1/once", "", in, token(cookieText), header{"Origin", origin}); a.status != want {
			t.Errorf("from %q: %d %s", origin, a.status, a.body)
		}
	}
}

// A repeat is the same user's, by whichever of his logins.
func TestOnceForAUser(t *testing.T) {
	t.Parallel()
	b := setup(t, teller, loggedIn(""))
	do := func(who string) answer {
		return b.do("POST", "/api/v1/once", "", cookie(who), token(who), header{"Idempotency-Key", "a text"})
	}
	first, again, other := do("anna"), do("anna2"), do("bert")
	if first.body != again.body || again.header.Get("Idempotency-Replayed") != "true" || other.body == first.body {
		t.Errorf("%s, %s, another's %s", first.body, again.body, other.body)
	}
}

// A page asks for much at a time: a login may call twelve times as often as a key.
func TestALoginsLimit(t *testing.T) {
	t.Parallel()
	b := setup(t, teller, loggedIn(""), limited(2))
	for n := range 20 { // in one second
		if a := b.do("GET", "/api/v1/me", "", cookie("anna")); a.status != 200 || a.header.Get("X-Ratelimit-Limit") != "24" {
			t.Fatalf("call %d: %d %s", n, a.status, a.header.Get("X-Ratelimit-Limit"))
		}
	}
	if a := b.do("GET", "/api/v1/me", "", cookie("anna")); a.status != 429 || a.header.Get("Retry-After") == "" {
		t.Errorf("%d", a.status)
	}
	if a := b.do("GET", "/api/v1/me", "", cookie("bert")); a.status != 200 {
		t.Errorf("another login: %d", a.status)
	}
	limited := 0
	for range 40 { // wrong cookies are counted by address
		if a := b.do("GET", "/api/v1/me", "", cookie("wrong")); a.status == 429 {
			limited++
		}
	}
	if limited == 0 {
		t.Error("anybody may try cookies without end")
	}
}

// A proxy is believed when it is named, and only as far as the chain is named.
func TestProxies(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		what    string
		trusted []string
		headers []header
		want    string
		strict  bool
	}{
		{"nobody is trusted", nil, []header{{"X-Forwarded-For", "192.0.2.7"}, {"X-Forwarded-Proto", "https"}}, "127.0.0.1", false},
		{"another is", []string{"192.0.2.0/24"}, []header{{"X-Forwarded-For", "198.51.100.1"}, {"X-Forwarded-Proto", "https"}}, "127.0.0.1", false},
		{"one", []string{"127.0.0.0/8"}, []header{{"X-Forwarded-For", "192.0.2.7"}, {"X-Forwarded-Proto", "https"}}, "192.0.2.7", true},
		{"it says nothing", []string{"127.0.0.0/8"}, nil, "127.0.0.1", false},
		{"http", []string{"127.0.0.0/8"}, []header{{"X-Forwarded-For", "192.0.2.7"}, {"X-Forwarded-Proto", "https, http"}}, "192.0.2.7", false},
		{"what a client made up", []string{"127.0.0.0/8"}, []header{{"X-Forwarded-For", "1.1.1.1, 10.0.0.1, 192.0.2.7"}}, "192.0.2.7", false},
		{"two", []string{"127.0.0.0/8", "10.0.0.0/8"}, []header{{"X-Forwarded-For", "1.1.1.1, 192.0.2.7, 10.0.0.1"}}, "192.0.2.7", false},
		{"all", []string{"127.0.0.0/8", "10.0.0.0/8"}, []header{{"X-Forwarded-For", "10.0.0.9, 10.0.0.1"}}, "10.0.0.9", false},
		{"nonsense", []string{"127.0.0.0/8"}, []header{{"X-Forwarded-For", "192.0.2.7, <script>"}}, "127.0.0.1", false},
		{"with ports", []string{"127.0.0.0/8"}, []header{{"X-Forwarded-For", "[2001:db8::1]:4711"}}, "2001:db8::1", false},
		{"mapped", []string{"127.0.0.0/8"}, []header{{"X-Forwarded-For", "::ffff:192.0.2.7"}}, "192.0.2.7", false},
	} {
		b := setup(t, teller, loggedIn(""), behind(c.trusted...))
		a := b.do("GET", "/api/v1/me", "", append(c.headers, cookie(cookieText))...)
		if !strings.Contains(a.body, `"address":"`+c.want+`"`) || (a.header.Get("Strict-Transport-Security") != "") != c.strict {
			t.Errorf("%s: %s %q", c.what, a.body, a.header.Get("Strict-Transport-Security"))
		}
	}
}

// Where any site may open a socket, what browsers send by themselves counts for
// nothing; on our own public ones a page of ours is known by it.
func TestPublicSocketsAndTheCookie(t *testing.T) {
	t.Parallel()
	known := make(chan string, 1)
	register := func(a *httpapi.API) {
		for path, anyOrigin := range map[string]bool{"/api/v1/ours": false, "/api/v1/anybodys": true} {
			op := httpapi.Operation{ID: path[8:], Method: http.MethodGet, Path: path, Access: access.Public(), AnyOrigin: anyOrigin}
			httpapi.HandleSocket(a, op, func(ctx context.Context, r *httpapi.Request) (httpapi.Socket, error) {
				c, err := r.Identify(ctx)
				known <- string(c.User)
				return func(context.Context, *websocket.Conn) {}, err
			})
		}
	}
	b := setup(t, register, loggedIn(""))
	for _, c := range []struct {
		path, origin, want string
		status             int
	}{
		{"/api/v1/ours", b.url, "user-anna", 101}, {"/api/v1/ours", "", "", 403}, {"/api/v1/anybodys", "https://evil.test", "", 101}, {"/api/v1/anybodys", b.url, "", 101},
	} {
		header := http.Header{"Cookie": {"berth_session=anna"}}
		if c.origin != "" {
			header.Set("Origin", c.origin)
		}
		conn, res, err := websocket.DefaultDialer.DialContext(t.Context(), "ws://"+b.addr+c.path, header)
		if conn != nil {
			_ = conn.Close()
		}
		if res == nil || res.StatusCode != c.status {
			t.Fatalf("%+v: %v %v", c, res, err)
		}
		if got := <-known; got != c.want {
			t.Errorf("%+v: it is %q", c, got)
		}
	}
}

func TestThePublicURLIsOne(t *testing.T) {
	t.Parallel()
	b := prepare(t)
	_, err := httpapi.New(httpapi.Config{Authenticator: b.keys, DB: b.db, Logger: slog.New(slog.DiscardHandler), Now: b.clock.now, PublicURL: "no url"})
	if err == nil {
		t.Error("anything is taken")
	}
}
