package identity

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
)

func TestHashAndVerify(t *testing.T) {
	t.Parallel()
	h := newHasher(Cost{})
	one, err := h.hash(t.Context(), "correct")
	if err != nil {
		t.Fatal(err)
	}
	two, err := h.hash(t.Context(), "correct")
	if err != nil || one == two {
		t.Fatalf("two hashes are alike, or %v", err)
	}
	for password, want := range map[string]bool{"correct": true, "Correct": false, "": false, "correct ": false} {
		if ok, err := h.verify(t.Context(), password, one); ok != want || err != nil {
			t.Errorf("%q: %v %v", password, ok, err)
		}
	}
}

// A hash that argon2's reference tool made, at another cost than ours.
func TestVerifyTakesOthersHashes(t *testing.T) {
	t.Parallel()
	const phc = "$argon2id$v=19$m=65536,t=2,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc"
	if ok, err := newHasher(Cost{}).verify(t.Context(), "password", phc); !ok || err != nil {
		t.Fatalf("%v %v", ok, err)
	}
}

func TestVerifyRefusesOtherForms(t *testing.T) {
	t.Parallel()
	for _, phc := range []string{
		"", "plain", "$2a$10$abc", "$argon2i$v=19$m=8,t=1,p=1$AAAA$AAAA", "$argon2id$v=16$m=8,t=1,p=1$AAAA$AAAA",
		"$argon2id$v=19$m=8,t=0,p=1$AAAA$AAAA", "$argon2id$v=19$m=8,t=1,p=0$AAAA$AAAA", "$argon2id$v=19$m=99999999,t=1,p=1$AAAA$AAAA",
		"$argon2id$v=19$m=8,t=1,p=1$!$AAAA", "$argon2id$v=19$m=8,t=1,p=1$AAAA$", "$argon2id$v=19$m=8,t=1,p=1$AAAA",
	} {
		if ok, err := newHasher(Cost{}).verify(t.Context(), "x", phc); ok || !errors.Is(err, errHashForm) {
			t.Errorf("%q: %v %v", phc, ok, err)
		}
	}
}

func TestTwoHashesAtATime(t *testing.T) {
	t.Parallel()
	h := newHasher(Cost{})
	for range hashesAtOnce {
		if err := h.turn(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	wg.Go(func() {
		if _, err := h.hash(ctx, "x"); !errors.Is(err, context.Canceled) {
			t.Errorf("a third hash began: %v", err)
		}
	})
	cancel()
	wg.Wait()
	h.done()
	if _, err := h.hash(t.Context(), "x"); err != nil {
		t.Error(err)
	}
}

func TestDecoyIsAHashThatNothingFits(t *testing.T) {
	t.Parallel()
	s := &Service{hasher: newHasher(Cost{})}
	made, err := New(Config{})
	if made != nil || err == nil {
		t.Fatal("an empty configuration was taken")
	}
	if ok, err := s.hasher.verify(t.Context(), strings.Repeat("x", 10), s.hasher.decoy()); ok || err != nil {
		t.Fatalf("%v %v", ok, err)
	}
}
