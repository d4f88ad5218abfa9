package httpapi_test

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/berth-panel/berth/controller/access"
	"github.com/berth-panel/berth/controller/httpapi"
	"github.com/berth-panel/berth/shared/problem"
)

// leader registers a route that leads on, and one that logs in on the way.
func leader(a *httpapi.API) {
	op := func(id string) httpapi.Operation {
		return httpapi.Operation{ID: id, Method: http.MethodGet, Path: "/api/v1/" + id, Access: access.Public(), Params: []httpapi.Param{{Name: "to"}}}
	}
	httpapi.HandleRedirect(a, op("on"), func(_ context.Context, r *httpapi.Request) (httpapi.Redirect, error) {
		if r.Query("to") == "" {
			return httpapi.Redirect{}, problem.New(problem.BadRequest, "say where")
		}
		return httpapi.Redirect{To: "/" + r.Query("to") + r.Cookie(a.CookieName("way")), Cookies: []http.Cookie{{Name: "way", Value: "v", MaxAge: 60, Domain: "evil.test", Path: "/x"}}}, nil
	})
	httpapi.HandleRedirect(a, op("in"), func(context.Context, *httpapi.Request) (httpapi.Redirect, error) {
		return httpapi.Redirect{To: "/", Session: "anna", Life: time.Hour, Cookies: []http.Cookie{{Name: "way", MaxAge: -1}}}, nil
	})
}

func TestARedirectLeadsOn(t *testing.T) {
	t.Parallel()
	browser := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	for public, prefix := range map[string]string{"http://panel.test": "", "https://panel.test": "__Host-"} {
		b := setup(t, leader, loggedIn(public))
		a := b.with(browser, http.MethodGet, "/api/v1/on?to=there-", "", header{"Cookie", prefix + "way=mine"})
		if a.status != http.StatusSeeOther || a.header.Get("Location") != "/there-mine" {
			t.Fatal(a.status, a.header)
		}
		secure := prefix != ""
		for _, c := range a.header.Values("Set-Cookie") {
			if !strings.HasPrefix(c, prefix+"way=v; Path=/;") || !strings.Contains(c, "HttpOnly") || !strings.Contains(c, "SameSite=Lax") || strings.Contains(c, "Secure") != secure ||
				secure && strings.Contains(c, "Domain") {
				t.Error(public, c)
			}
		}
		if a := b.with(browser, http.MethodGet, "/api/v1/on", ""); a.status != http.StatusBadRequest || a.header.Get("Location") != "" {
			t.Error(a.status, a.header)
		}
		a = b.with(browser, http.MethodGet, "/api/v1/in", "")
		got := strings.Join(a.header.Values("Set-Cookie"), "\n")
		if !strings.Contains(got, prefix+"berth_session=anna; Path=/; Max-Age=3600; HttpOnly") || !strings.Contains(got, prefix+"way=; Path=/; Max-Age=0") ||
			!strings.Contains(got, prefix+"berth_logged_in=1; Path=/; Max-Age=3600") {
			t.Error(public, got)
		}
	}
}
