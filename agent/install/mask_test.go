package install

import (
	"bytes"
	"fmt"
	"io"
	"strings"
	"testing"
)

func TestMaskHidesSecretsHoweverTheyAreCut(t *testing.T) {
	t.Parallel()
	secrets := []string{"hunter2", "hunter22", "two\r\nlines", "", "  ", "ab", "aab", "overl", "erlap", "Q"}
	for text, want := range map[string]string{
		"nothing here\n":              "nothing here\n",
		"the password is hunter2.\n":  "the password is ******.\n",
		"hunter22 is longer":          "****** is longer",
		"hunter2":                     "******",
		"hunter":                      "hunter",
		"hunhunter2ter2":              "hun******ter2",
		"hunter2hunter2":              "******",
		"hunter2 hunter2":             "****** ******",
		"two lines, or two\nlines":    "****** ******, or ******\n******",
		"aaab":                        "a******",
		"overlap, overl, over":        "******, ******, over",
		"a Q is hidden as well":       "a ****** is hidden as well",
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

// TestMaskOfManySecrets: what the search takes doesn't grow with how many there are, nor
// with how much they look like the text.
func TestMaskOfManySecrets(t *testing.T) {
	t.Parallel()
	var secret strings.Builder
	for n := range 5000 {
		fmt.Fprintf(&secret, "line %d\n", n)
	}
	secret.WriteString(strings.Repeat("a", 20_000) + "b")
	text := strings.Repeat("line \n", 10_000) + strings.Repeat("a", 1<<20) + "\nline 4711\n"
	got := Hide([]string{secret.String()}, text)
	if want := strings.Replace(text, "line 4711", hidden, 1); got != want {
		t.Errorf("%d bytes became %d", len(text), len(got))
	}
}

func BenchmarkMaskOfManySecrets(b *testing.B) {
	var secret strings.Builder
	for n := range 5000 {
		fmt.Fprintf(&secret, "%d\n", 10_000+n)
	}
	text := []byte(strings.Repeat("1 of 100000 chunks, 12345 left\n", 30_000))
	m := NewMask([]string{secret.String()}, io.Discard)
	b.SetBytes(int64(len(text)))
	for b.Loop() {
		_, _ = m.Write(text)
	}
}

// naive hides by looking for each secret at each place.
func naive(text string, secrets ...string) string {
	secret := make([]bool, len(text))
	for at := range len(text) {
		for _, s := range secrets {
			if strings.HasPrefix(text[at:], s) {
				for n := range len(s) {
					secret[at+n] = true
				}
			}
		}
	}
	var out strings.Builder
	for at := range len(text) {
		if !secret[at] {
			out.WriteByte(text[at])
		} else if at == 0 || !secret[at-1] {
			out.WriteString(hidden)
		}
	}
	return out.String()
}

func FuzzMask(f *testing.F) {
	f.Add("a hunter2 b", "hunter2", "ter2 b", 3)
	f.Add("aaab", "aab", "b", 1)
	f.Add("abcabcabd", "abcabd", "bcab", 2)
	f.Fuzz(func(t *testing.T, text, one, other string, size int) {
		for _, s := range []string{one, other} {
			if strings.ContainsAny(s, "\r\n") || strings.TrimSpace(s) == "" {
				t.Skip()
			}
		}
		if size < 1 {
			t.Skip()
		}
		var out bytes.Buffer
		m := NewMask([]string{one, other}, &out)
		for rest := text; rest != ""; {
			n := min(size, len(rest))
			_, _ = m.Write([]byte(rest[:n]))
			rest = rest[n:]
		}
		_ = m.Flush()
		if want := naive(text, one, other); out.String() != want {
			t.Errorf("%q without %q and %q is %q, want %q", text, one, other, out.String(), want)
		}
	})
}
