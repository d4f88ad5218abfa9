package web_test

import (
	"io/fs"
	"path"
	"regexp"
	"strings"
	"testing"

	"github.com/berth-panel/berth/web"
)

// What a strict policy would block, or what would ask another host.
var (
	inline = regexp.MustCompile(`(?i)<style|\sstyle=|\son[a-z]+=|<script(?:>|\s[^>]*>\s*[^<\s])|javascript:`)
	remote = regexp.MustCompile(`(?i)(?:src|href|url)\s*[=(]\s*["']?\s*(?:https?:)?//`)
	linked = regexp.MustCompile(`(?:src|href)="([^"]+)"`)
)

// served are the addresses that the controller answers by itself.
var served = []string{"/docs", "/openapi.json"}

func TestPagesGetAlongWithAStrictPolicy(t *testing.T) {
	t.Parallel()
	pages, err := web.Pages()
	if err != nil {
		t.Fatal(err)
	}
	seen := 0
	err = fs.WalkDir(pages, ".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		text, err := fs.ReadFile(pages, name)
		if err != nil {
			return err
		}
		seen++
		if path.Ext(name) == ".html" {
			if found := inline.Find(text); found != nil {
				t.Errorf("%s holds %q: styles and scripts are files of their own", name, found)
			}
		}
		if path.Ext(name) == ".html" || path.Ext(name) == ".css" {
			if found := remote.Find(text); found != nil {
				t.Errorf("%s holds %q: nothing comes from another host", name, found)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if seen == 0 {
		t.Error("no page is embedded")
	}
}

func TestLinksOfTheFirstPageLeadSomewhere(t *testing.T) {
	t.Parallel()
	pages, err := web.Pages()
	if err != nil {
		t.Fatal(err)
	}
	text, err := fs.ReadFile(pages, "index.html")
	if err != nil {
		t.Fatal(err)
	}
	links := linked.FindAllSubmatch(text, -1)
	if len(links) == 0 {
		t.Fatal("the first page links to nothing")
	}
	for _, link := range links {
		target := string(link[1])
		if known(target) {
			continue
		}
		if _, err := fs.Stat(pages, strings.TrimPrefix(target, "/")); err != nil {
			t.Errorf("link to %s: %v", target, err)
		}
	}
}

func known(target string) bool {
	for _, s := range served {
		if target == s {
			return true
		}
	}
	return false
}

func TestPolicyCheckFindsInlineAndRemote(t *testing.T) {
	t.Parallel()
	for _, bad := range []string{`<p style="x">`, `<style>`, `<b onclick=x>`, `<script>x</script>`, `<script async>go()</script>`} {
		if !inline.MatchString(bad) {
			t.Errorf("%s is not found", bad)
		}
	}
	for _, bad := range []string{`<img src="https://x/y">`, `<a href=//x>`, `url( "http://x")`} {
		if !remote.MatchString(bad) {
			t.Errorf("%s is not found", bad)
		}
	}
	for _, fine := range []string{`<script src="/app.js"></script>`, `<link href="/style.css">`, `<p>one style, on=ly text</p>`} {
		if inline.MatchString(fine) || remote.MatchString(fine) {
			t.Errorf("%s is refused", fine)
		}
	}
}
