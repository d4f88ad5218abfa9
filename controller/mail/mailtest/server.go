package mailtest

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"io"
	"math/big"
	"mime"
	"mime/multipart"
	"mime/quotedprintable"
	"net"
	"net/mail"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/emersion/go-sasl"
	"github.com/emersion/go-smtp"
)

// Options are what the server is like. The zero value takes mail without a login
// and without encryption.
type Options struct {
	Username, Password string // "" lets everybody in
	TLS                bool   // from the first byte
	StartTLS           bool
}

// Mail is one that came.
type Mail struct {
	From, To    string
	Raw         string
	Header      mail.Header
	Subject     string // decoded
	Plain, HTML string
	Encrypted   bool
	User        string // who logged in
}

// Link gives the link in the mail's text; "" when there is none.
func (m Mail) Link() string {
	for line := range strings.SplitSeq(m.Plain, "\n") {
		if line = strings.TrimSpace(line); strings.HasPrefix(line, "http") {
			return line
		}
	}
	return ""
}

// Token gives what stands behind the link's #.
func (m Mail) Token() string {
	_, token, _ := strings.Cut(m.Link(), "#")
	return token
}

// Server is the server. Safe for concurrent use.
type Server struct {
	Host  string
	Port  int
	Roots *x509.CertPool // of its certificate

	t       testing.TB
	options Options

	mu      sync.Mutex
	mails   []Mail
	taken   int
	came    chan struct{} // closed and replaced with every mail
	refuse  error
	refused int
}

// New starts a server until the test's end.
func New(t testing.TB, o Options) *Server {
	t.Helper()
	s := &Server{t: t, Host: "127.0.0.1", options: o, came: make(chan struct{})}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr, ok := ln.Addr().(*net.TCPAddr)
	if !ok {
		t.Fatal("no TCP address")
	}
	s.Port = addr.Port
	server := smtp.NewServer(smtp.BackendFunc(func(c *smtp.Conn) (smtp.Session, error) { return &session{server: s, conn: c}, nil }))
	server.Domain, server.AllowInsecureAuth = "localhost", true
	server.ReadTimeout, server.WriteTimeout = time.Minute, time.Minute
	server.ErrorLog = quiet{}
	if o.TLS || o.StartTLS {
		cert := s.certificate()
		server.TLSConfig = &tls.Config{Certificates: []tls.Certificate{cert}, MinVersion: tls.VersionTLS12}
		if o.TLS {
			ln = tls.NewListener(ln, server.TLSConfig)
		}
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = server.Serve(ln)
	}()
	t.Cleanup(func() {
		_ = server.Close()
		<-done
	})
	return s
}

type quiet struct{}

// Printf drops it: broken handshakes are what tests do.
func (quiet) Printf(string, ...any) {}

// Println drops it too.
func (quiet) Println(...any) {}

func (s *Server) certificate() tls.Certificate {
	s.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		s.t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "mailtest"}, NotBefore: time.Unix(0, 0), NotAfter: time.Date(2100, 1, 1, 0, 0, 0, 0, time.UTC),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		s.t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		s.t.Fatal(err)
	}
	s.Roots = x509.NewCertPool()
	s.Roots.AddCert(cert)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

// Refuse has the server answer every mail with that from now on; code 0 takes them
// again.
func (s *Server) Refuse(code int, text string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.refuse = nil
	if code != 0 {
		s.refuse = &smtp.SMTPError{Code: code, EnhancedCode: smtp.EnhancedCode{code / 100, 0, 0}, Message: text}
	}
}

// Refused is how often it was asked and said no.
func (s *Server) Refused() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.refused
}

// Count is how many mails came, in all.
func (s *Server) Count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.mails)
}

const patience = time.Minute // on a busy machine

// Next waits for the next mail.
func (s *Server) Next() Mail {
	s.t.Helper()
	deadline := time.After(patience)
	for {
		s.mu.Lock()
		if s.taken < len(s.mails) {
			m := s.mails[s.taken]
			s.taken++
			s.mu.Unlock()
			return m
		}
		came := s.came
		s.mu.Unlock()
		select {
		case <-came:
		case <-deadline:
			s.t.Fatal("no mail came")
		}
	}
}

// WaitRefused waits until it has said no so often.
func (s *Server) WaitRefused(n int) {
	s.t.Helper()
	deadline := time.After(patience)
	for {
		s.mu.Lock()
		enough, came := s.refused >= n, s.came
		s.mu.Unlock()
		if enough {
			return
		}
		select {
		case <-came:
		case <-deadline:
			s.t.Fatal("no mail was refused")
		}
	}
}

func (s *Server) note() {
	close(s.came)
	s.came = make(chan struct{})
}

// session is one connection.
type session struct {
	server   *Server
	conn     *smtp.Conn
	user     string
	from, to string
}

var errWrong = &smtp.SMTPError{Code: 535, EnhancedCode: smtp.EnhancedCode{5, 7, 8}, Message: "wrong name or password"}

// AuthMechanisms is smtp.AuthSession's.
func (c *session) AuthMechanisms() []string {
	if c.server.options.Username == "" {
		return nil
	}
	return []string{sasl.Plain}
}

// Auth is smtp.AuthSession's.
func (c *session) Auth(string) (sasl.Server, error) {
	return sasl.NewPlainServer(func(_, username, password string) error {
		if username != c.server.options.Username || password != c.server.options.Password {
			return errWrong
		}
		c.user = username
		return nil
	}), nil
}

// Mail is smtp.Session's.
func (c *session) Mail(from string, _ *smtp.MailOptions) error {
	if c.server.options.Username != c.user {
		return smtp.ErrAuthRequired
	}
	c.from = from
	return nil
}

// Rcpt is smtp.Session's.
func (c *session) Rcpt(to string, _ *smtp.RcptOptions) error {
	c.to = to
	return nil
}

// Data is smtp.Session's.
func (c *session) Data(r io.Reader) error {
	raw, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	s := c.server
	s.mu.Lock()
	defer s.mu.Unlock()
	defer s.note()
	if s.refuse != nil {
		s.refused++
		return s.refuse
	}
	m := Mail{From: c.from, To: c.to, Raw: string(raw), User: c.user}
	_, m.Encrypted = c.conn.TLSConnectionState()
	if err := m.read(raw); err != nil {
		s.t.Errorf("a mail can't be read: %v\n%s", err, raw)
	}
	s.mails = append(s.mails, m)
	return nil
}

// Reset is smtp.Session's.
func (c *session) Reset() {}

// Logout is smtp.Session's.
func (c *session) Logout() error { return nil }

var errForm = errors.New("it isn't of a text and the same in HTML")

func (m *Mail) read(raw []byte) error {
	parsed, err := mail.ReadMessage(bytes.NewReader(raw))
	if err != nil {
		return err
	}
	m.Header = parsed.Header
	if m.Subject, err = new(mime.WordDecoder).DecodeHeader(parsed.Header.Get("Subject")); err != nil {
		return err
	}
	kind, params, err := mime.ParseMediaType(parsed.Header.Get("Content-Type"))
	if err != nil || kind != "multipart/alternative" {
		return errors.Join(errForm, err)
	}
	parts := multipart.NewReader(parsed.Body, params["boundary"])
	for {
		part, err := parts.NextRawPart()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		var body io.Reader = part
		if strings.EqualFold(part.Header.Get("Content-Transfer-Encoding"), "quoted-printable") {
			body = quotedprintable.NewReader(part)
		}
		text, err := io.ReadAll(body)
		if err != nil {
			return err
		}
		clean := strings.ReplaceAll(string(text), "\r\n", "\n")
		if strings.HasPrefix(part.Header.Get("Content-Type"), "text/html") {
			m.HTML = clean
		} else {
			m.Plain = clean
		}
	}
}
