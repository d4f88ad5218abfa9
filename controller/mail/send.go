package mail

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode"

	gomail "github.com/wneessen/go-mail"

	"github.com/berth-panel/berth/controller/setting"
)

// sendTimeout is how long one mail may take, from the first packet on.
const sendTimeout = 30 * time.Second

// permanent is a failure that would come again.
type permanent struct{ error }

// Unwrap gives what failed.
func (p permanent) Unwrap() error { return p.error }

// isPermanent says whether trying again makes no sense.
func isPermanent(err error) bool {
	var p permanent
	return errors.As(err, &p)
}

// send brings one letter to the server; id makes its Message-ID, the same at each
// attempt, so that a mail that comes twice can be known for one.
func (s *Service) send(ctx context.Context, st setting.State[Server], l Letter, id string) error {
	ctx, cancel := context.WithTimeout(ctx, sendTimeout)
	defer cancel()
	msg, err := s.message(ctx, st.Value, l, id)
	if err != nil {
		return err
	}
	client, err := s.client(st)
	if err != nil {
		return err
	}
	conn, err := client.DialToSMTPClientWithContext(ctx)
	if err != nil {
		return fmt.Errorf("reach %s: %w", st.Value.Host, err)
	}
	defer func() { _ = client.CloseWithSMTPClient(conn) }() // the mail is out, or it isn't: a bad goodbye changes neither
	if err := client.SendWithSMTPClient(conn, msg); err != nil {
		return judge(err)
	}
	return nil
}

// judge tells a refusal of this mail from a server that has a bad day.
func judge(err error) error {
	var refused *gomail.SendError
	if errors.As(err, &refused) && !refused.IsTemp() && refused.ErrorCode() >= 500 {
		return permanent{err}
	}
	return err
}

func (s *Service) client(st setting.State[Server]) (*gomail.Client, error) {
	v := st.Value
	opts := []gomail.Option{
		gomail.WithPort(v.Port), gomail.WithTimeout(sendTimeout),
		gomail.WithTLSConfig(&tls.Config{ServerName: strings.TrimSuffix(v.Host, "."), RootCAs: s.roots, MinVersion: tls.VersionTLS12}),
	}
	auth := gomail.SMTPAuthAutoDiscover
	switch v.Security {
	case TLS:
		opts = append(opts, gomail.WithSSL())
	case Plain:
		if !v.here() {
			return nil, permanent{errors.New("unencrypted mail to another machine is refused")}
		}
		opts = append(opts, gomail.WithTLSPolicy(gomail.NoTLS))
		auth = gomail.SMTPAuthPlainNoEnc
	default:
		opts = append(opts, gomail.WithTLSPolicy(gomail.TLSMandatory))
	}
	if v.Username != "" {
		password, err := s.server.Secret(st)
		if err != nil {
			return nil, err
		}
		opts = append(opts, gomail.WithSMTPAuth(auth), gomail.WithUsername(v.Username), gomail.WithPassword(password))
	}
	return gomail.NewClient(v.Host, opts...)
}

func (s *Service) message(ctx context.Context, v Server, l Letter, id string) (*gomail.Msg, error) {
	if err := CheckAddress("to", l.To); err != nil {
		return nil, permanent{err}
	}
	panel, err := s.panel.Get(ctx, nil)
	if err != nil {
		return nil, err
	}
	text, err := s.texts.render(l, panel.Value)
	if err != nil {
		return nil, permanent{err}
	}
	msg := gomail.NewMsg()
	_, domain, _ := strings.Cut(v.From, "@")
	if err := errors.Join(msg.FromFormat(plainText(panel.Value.Name), v.From), msg.To(l.To)); err != nil {
		return nil, permanent{err}
	}
	msg.Subject(text.subject)
	msg.SetDateWithValue(s.now())
	msg.SetMessageIDWithValue(id + "@" + domain)
	msg.SetGenHeader("Auto-Submitted", "auto-generated") // nobody's "I am away" shall answer
	msg.SetBodyString(gomail.TypeTextPlain, text.plain)
	msg.AddAlternativeString(gomail.TypeTextHTML, text.html)
	return msg, nil
}

const maxReason = 300

// plainText makes one printable line of what came from outside.
func plainText(s string) string {
	s = strings.Map(func(r rune) rune {
		switch {
		case r == unicode.ReplacementChar:
			return '?'
		case !unicode.IsPrint(r):
			return ' '
		}
		return r
	}, strings.ToValidUTF8(s, "?"))
	if s = strings.Join(strings.Fields(s), " "); len([]rune(s)) > maxReason {
		s = string([]rune(s)[:maxReason]) + "…"
	}
	return s
}
