package login

import (
	"fmt"
	"testing"
)

func TestWhosePasskeysTheseAre(t *testing.T) {
	t.Parallel()
	for public, want := range map[string]string{
		"https://Panel.example.com":      "panel.example.com [https://panel.example.com]",
		"https://panel.example.com:443":  "panel.example.com [https://panel.example.com]",
		"https://panel.example.com:8443": "panel.example.com [https://panel.example.com:8443]",
		"http://localhost:8080":          "localhost [http://localhost:8080]",
		"http://192.0.2.7:8080":          "localhost [http://localhost:8080 https://localhost:8080]",
		"http://[2001:db8::1]:8080":      "localhost [http://localhost:8080 https://localhost:8080]",
		"":                               "localhost [http://localhost https://localhost]",
	} {
		party, err := newParty(public)
		if err != nil {
			t.Fatalf("%q: %v", public, err)
		}
		if got := fmt.Sprint(party.Config.RPID, " ", party.Config.RPOrigins); got != want {
			t.Errorf("%q: %s, want %s", public, got, want)
		}
	}
}
