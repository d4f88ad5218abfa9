package sshdoor

import (
	"context"
	"errors"
	"runtime"
	"time"

	"golang.org/x/crypto/ssh"
	"golang.org/x/sys/cpu"
)

// guestKey is where the permissions of a connection hold who was let in.
type guestKey struct{}

var errRefused = errors.New("the login is refused")

// config is made for each connection: its callbacks know its context.
func (d *Door[G]) config(ctx context.Context, late *time.Timer) *ssh.ServerConfig {
	passwords := 0
	c := &ssh.ServerConfig{
		Config:                  ssh.Config{Ciphers: ciphers()},
		MaxAuthTries:            triesEach,
		ServerVersion:           "SSH-2.0-Berth",
		PublicKeyAuthAlgorithms: KeyAlgorithms(),
		// It is called with the first try to log in: keys are agreed on, and now a
		// person may have to type.
		BannerCallback: func(ssh.ConnMetadata) string {
			if late.Stop() {
				late.Reset(loginWithin)
			}
			return ""
		},
		PasswordCallback: func(m ssh.ConnMetadata, password []byte) (*ssh.Permissions, error) {
			if passwords++; passwords > passwordsEach {
				return nil, errRefused
			}
			return admitted(m, func(l Login) (G, error) { return d.guard.Password(ctx, l, string(password)) })
		},
		PublicKeyCallback: func(m ssh.ConnMetadata, key ssh.PublicKey) (*ssh.Permissions, error) {
			return admitted(m, func(l Login) (G, error) { return d.guard.Key(ctx, l, key) })
		},
		VerifiedPublicKeyCallback: func(_ ssh.ConnMetadata, _ ssh.PublicKey, p *ssh.Permissions, _ string) (*ssh.Permissions, error) {
			guest, ok := p.ExtraData[guestKey{}].(G)
			if !ok {
				return nil, errRefused
			}
			if err := d.guard.Proven(ctx, guest); err != nil {
				return nil, worded(err)
			}
			return p, nil
		},
	}
	c.AddHostKey(d.HostKey)
	return c
}

func admitted[G any](m ssh.ConnMetadata, ask func(Login) (G, error)) (*ssh.Permissions, error) {
	l, ok := ParseLogin(m.User())
	if !ok {
		return nil, &ssh.BannerError{Err: errRefused, Message: "Log in as username.instanceid, such as anna.0123abcd.\n"}
	}
	l.Address = addressOf(m.RemoteAddr())
	guest, err := ask(l)
	if err != nil {
		return nil, worded(err)
	}
	return &ssh.Permissions{ExtraData: map[any]any{guestKey{}: guest}}, nil
}

// worded shows a problem to the person.
func worded(err error) error {
	if p := problemOf(err); p != nil {
		return &ssh.BannerError{Err: err, Message: p.Message + "\n"}
	}
	return err
}

// ciphers are those that are offered; see the package's doc.
func ciphers() []string {
	aes := []string{ssh.CipherAES128GCM, ssh.CipherAES256GCM, ssh.CipherAES256CTR, ssh.CipherAES128CTR}
	if runtime.GOARCH == "amd64" && cpu.X86.HasAES && cpu.X86.HasPCLMULQDQ {
		return aes
	}
	return append(aes, ssh.CipherChaCha20Poly1305)
}

// KeyAlgorithms are the kinds of signatures that a login may be made with.
func KeyAlgorithms() []string {
	return []string{
		ssh.KeyAlgoED25519, ssh.KeyAlgoSKED25519, ssh.KeyAlgoSKECDSA256,
		ssh.KeyAlgoECDSA256, ssh.KeyAlgoECDSA384, ssh.KeyAlgoECDSA521,
		ssh.KeyAlgoRSASHA256, ssh.KeyAlgoRSASHA512,
	}
}
