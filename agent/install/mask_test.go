package install

import (
	"bytes"
	"strings"
	"testing"
)

func TestMaskHidesSecretsHoweverTheyAreCut(t *testing.T) {
	t.Parallel()
	secrets := []string{"hunter2", "hunter22", "two\r\nlines", "", "  ", "ab", "aab"}
	for text, want := range map[string]string{
		"nothing here\n":              "nothing here\n",
		"the password is hunter2.\n":  "the password is ******.\n",
		"hunter22 is longer":          "****** is longer",
		"hunter2":                     "******",
		"hunter":                      "hunter",
		"hunhunter2ter2":              "hun******ter2",
		"hunter2hunter2":              "************",
		"two lines, or two\nlines":    "****** ******, or ******\n******",
		"aaab":                        "a******",
		"Größe \xff\xfe of hunter2\n": "Größe \xff\xfe of ******\n",
	} {
		if got := Hide(secrets, text); got != want {
			t.Errorf("%q shows as %q, want %q", text, got, want)
		}
		for size := 1; size <= len(text); size++ {
			var out bytes.Buffer
			m := NewMask(secrets, &out)
			for rest := text; rest != ""; {
				n := min(size, len(rest))
				if _, err := m.Write([]byte(rest[:n])); err != nil {
					t.Fatal(err)
				}
				rest = rest[n:]
			}
			if err := m.Flush(); err != nil || out.String() != want {
				t.Errorf("%q in pieces of %d shows as %q, %v; want %q", text, size, out.String(), err, want)
			}
		}
	}
}

// TestMaskHoldsNoLineBack: what ends with its line is shown at once.
func TestMaskHoldsNoLineBack(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	m := NewMask([]string{"secret"}, &out)
	if _, err := m.Write([]byte("a secr\nsecr")); err != nil || out.String() != "a secr\n" {
		t.Errorf("shown: %q, %v", out.String(), err)
	}
	if _, err := m.Write([]byte("et\n")); err != nil || out.String() != "a secr\n******\n" {
		t.Errorf("shown: %q, %v", out.String(), err)
	}
}

func FuzzMask(f *testing.F) {
	f.Add("a hunter2 b", "hunter2", 3)
	f.Add("aaab", "aab", 1)
	f.Fuzz(func(t *testing.T, text, secret string, size int) {
		if size < 1 || strings.ContainsAny(secret, "\r\n*") || strings.TrimSpace(secret) == "" {
			t.Skip()
		}
		var out bytes.Buffer
		m := NewMask([]string{secret}, &out)
		for rest := text; rest != ""; {
			n := min(size, len(rest))
			_, _ = m.Write([]byte(rest[:n]))
			rest = rest[n:]
		}
		_ = m.Flush()
		if want := strings.ReplaceAll(text, secret, hidden); out.String() != want {
			t.Errorf("%q without %q is %q, want %q", text, secret, out.String(), want)
		}
	})
}
