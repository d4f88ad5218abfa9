package wire_test

import (
	"bytes"
	"crypto/sha256"
	"reflect"
	"strings"
	"testing"

	"github.com/berth-panel/berth/shared/wire"
)

func key() wire.EnrolmentKey {
	print := sha256.Sum256([]byte("ca"))
	return wire.EnrolmentKey{ID: "k1", Secret: bytes.Repeat([]byte{7}, 32), Fingerprint: print[:]}
}

func TestEnrolmentKeyText(t *testing.T) {
	t.Parallel()
	text := key().String()
	got, err := wire.ParseEnrolmentKey(" " + text + "\n")
	if err != nil || !reflect.DeepEqual(got, key()) {
		t.Fatalf("%+v, %v", got, err)
	}
	parts := strings.Split(text, ".")
	for name, bad := range map[string]string{
		"empty": "", "another kind": "berth-join." + strings.Join(parts[1:], "."), "cut": text[:len(text)-2], "no id": strings.Replace(text, ".k1.", "..", 1),
		"three parts": strings.Join(parts[:3], "."), "five parts": text + ".x", "secret too short": strings.Replace(text, parts[2], "AAAA", 1),
		"not base64": strings.Replace(text, parts[3], "!"+parts[3][1:], 1),
	} {
		if _, err := wire.ParseEnrolmentKey(bad); err == nil {
			t.Errorf("%s: %q is taken for a key", name, bad)
		}
	}
}

func request() wire.EnrolRequest {
	return wire.EnrolRequest{
		KeyID: "k1", Nonce: "n", CSR: "csr",
		Agent: wire.EnrolAgent{Release: "1", Wire: 1, Name: "a", Address: "b", Port: 2, Tags: []string{"x", "y"}, MemoryMiB: 3, DiskMiB: 4},
	}
}

// TestProofsCoverEveryField changes each field, found by reflection, so that a
// field that is added without being signed fails here.
func TestProofsCoverEveryField(t *testing.T) {
	t.Parallel()
	k := key()
	want := k.SignRequest(request())
	if want != k.SignRequest(request()) || !wire.Proves(want, want) || wire.Proves(want, want[1:]) {
		t.Fatal("the proof is not a function of the request")
	}
	r := request()
	each(t, reflect.ValueOf(&r).Elem(), func(field string) {
		if field != "MAC" && k.SignRequest(r) == want {
			t.Errorf("the request's %s is not signed", field)
		}
	})
	answer := wire.EnrolAnswer{Node: "n", CA: "ca", Certificate: "cert"}
	wantAnswer := k.SignAnswer("nonce", answer)
	each(t, reflect.ValueOf(&answer).Elem(), func(field string) {
		if field != "MAC" && k.SignAnswer("nonce", answer) == wantAnswer {
			t.Errorf("the answer's %s is not signed", field)
		}
	})
	if k.SignAnswer("other", answer) == wantAnswer {
		t.Error("the answer is not bound to the nonce")
	}
	other := k
	other.Secret = bytes.Repeat([]byte{8}, 32)
	if other.SignRequest(request()) == want || other.SignAnswer("nonce", answer) == wantAnswer {
		t.Error("another secret gives the same proof")
	}
}

// each changes one field at a time, calls check, and puts it back.
func each(t *testing.T, v reflect.Value, check func(field string)) {
	t.Helper()
	for i := range v.NumField() {
		field, name := v.Field(i), v.Type().Field(i).Name
		before := reflect.ValueOf(field.Interface())
		switch field.Kind() {
		case reflect.Struct:
			each(t, field, check)
			continue
		case reflect.String:
			field.SetString(field.String() + "x")
		case reflect.Int, reflect.Int64:
			field.SetInt(field.Int() + 1)
		case reflect.Bool:
			field.SetBool(!field.Bool())
		case reflect.Slice:
			field.Set(reflect.ValueOf([]string{"x,y"}))
		default:
			t.Fatalf("%s is of a kind that this test doesn't know", name)
		}
		check(name)
		field.Set(before)
	}
}

func TestProofsDoNotRunTogether(t *testing.T) {
	t.Parallel()
	a, b := request(), request()
	a.KeyID, a.Nonce = "ab", "c"
	b.KeyID, b.Nonce = "a", "bc"
	if key().SignRequest(a) == key().SignRequest(b) {
		t.Error("two requests have one proof")
	}
	a, b = request(), request()
	a.Agent.Tags = []string{"x", "y"}
	for _, tags := range [][]string{{"x\x1fy"}, {"x,y"}, {"x y"}, {`x" "y`}, {"xy"}} {
		b.Agent.Tags = tags
		if key().SignRequest(a) == key().SignRequest(b) {
			t.Errorf("tags %q and %q have one proof", a.Agent.Tags, tags)
		}
	}
}
