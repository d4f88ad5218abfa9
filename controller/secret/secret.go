package secret

import (
	"crypto/cipher"
	"crypto/rand"
	"errors"
	"fmt"
	"path/filepath"

	"golang.org/x/crypto/chacha20poly1305"
)

// FileName is the key's file in the data directory.
const FileName = "secret.key"

// format is the first byte of everything sealed, so that a later form can be told apart.
const format = 1

// ErrSealed is what Open says of bytes that were not sealed by this key for
// this purpose, or were changed since.
var ErrSealed = errors.New("not sealed by this controller for this purpose")

// Box seals and opens. It is safe for concurrent use.
type Box struct {
	aead cipher.AEAD
}

// Open reads the key in the data directory, or makes it at the first start.
func Open(dir string) (*Box, error) {
	key, err := File(filepath.Join(dir, FileName), 0o600, func() ([]byte, error) {
		fresh := make([]byte, chacha20poly1305.KeySize)
		_, _ = rand.Read(fresh) // never fails: crypto/rand aborts the process instead
		return fresh, nil
	})
	if err != nil {
		return nil, err
	}
	aead, err := chacha20poly1305.NewX(key)
	if err != nil {
		return nil, fmt.Errorf("%s is not a key of %d bytes: put the right one back, or remove it to start with a new one", FileName, chacha20poly1305.KeySize)
	}
	return &Box{aead: aead}, nil
}

// Seal makes plain unreadable. Purpose says what for ("enrolment key 7f…"):
// only Open with the same purpose gives it back, so that a sealed value moved
// to another row or column is worth nothing.
func (b *Box) Seal(purpose string, plain []byte) []byte {
	nonce := make([]byte, b.aead.NonceSize(), 1+b.aead.NonceSize()+len(plain)+b.aead.Overhead())
	_, _ = rand.Read(nonce) // never fails
	out := append([]byte{format}, nonce...)
	return b.aead.Seal(out, nonce, plain, []byte(purpose))
}

// Open gives back what Seal was given, or ErrSealed.
func (b *Box) Open(purpose string, sealed []byte) ([]byte, error) {
	head := 1 + b.aead.NonceSize()
	if len(sealed) < head || sealed[0] != format {
		return nil, ErrSealed
	}
	plain, err := b.aead.Open(nil, sealed[1:head], sealed[head:], []byte(purpose))
	if err != nil {
		return nil, ErrSealed
	}
	return plain, nil
}
