package coarse_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"math/big"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/berth-panel/berth/shared/coarse"
)

// counted counts the calls of a connection.
type counted struct {
	net.Conn
	reads, writes atomic.Int64
	room          atomic.Int64 // of the largest read
	fails         atomic.Bool
}

var errBroken = errors.New("broken")

func (c *counted) Read(p []byte) (int, error) {
	c.reads.Add(1)
	c.room.Store(max(c.room.Load(), int64(len(p))))
	return c.Conn.Read(p)
}

func (c *counted) Write(p []byte) (int, error) {
	c.writes.Add(1)
	if c.fails.Load() {
		return 0, errBroken
	}
	return c.Conn.Write(p)
}

// pair is two ends of a TCP connection.
func pair(t *testing.T) (here, there *counted) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	dialled, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	accepted, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _, _ = dialled.Close(), accepted.Close() })
	return &counted{Conn: dialled}, &counted{Conn: accepted}
}

func certificate(t *testing.T) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour)}
	raw, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{raw}, PrivateKey: key}
}

// secure is the two ends of a TLS connection, with a Conn beneath each.
func secure(t *testing.T) (client, server *tls.Conn, here, there *counted) {
	t.Helper()
	here, there = pair(t)
	client = tls.Client(coarse.New(here), &tls.Config{InsecureSkipVerify: true, MinVersion: tls.VersionTLS13})
	server = tls.Server(coarse.New(there), &tls.Config{Certificates: []tls.Certificate{certificate(t)}, MinVersion: tls.VersionTLS13})
	var both sync.WaitGroup
	both.Go(func() {
		if err := server.Handshake(); err != nil {
			t.Error(err)
		}
	})
	if err := client.Handshake(); err != nil {
		t.Fatal(err)
	}
	both.Wait()
	return client, server, here, there
}

func noise(t *testing.T, n int) []byte {
	t.Helper()
	p := make([]byte, n)
	if _, err := rand.Read(p); err != nil {
		t.Fatal(err)
	}
	return p
}

// arrives reads all that comes, and waits for what became of who sent it.
func arrives(t *testing.T, server io.Reader, want []byte, sent <-chan error) {
	t.Helper()
	got, err := io.ReadAll(server)
	if err != nil {
		t.Fatal(err)
	}
	if err := <-sent; err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Fatal("something else came")
	}
}

func TestMuchGoesInFewPieces(t *testing.T) {
	t.Parallel()
	client, server, here, there := secure(t)
	const size = 16 << 20
	want := noise(t, size)
	before, readBefore := here.writes.Load(), there.reads.Load()
	failed := make(chan error, 1)
	go func() {
		conn := coarse.Hold(client)
		for p := want; len(p) > 0; {
			n, err := conn.Write(p[:min(len(p), 512<<10)])
			if err != nil {
				failed <- err
				return
			}
			p = p[n:]
		}
		failed <- client.Close()
	}()
	arrives(t, server, want, failed)
	// TLS alone writes a record of 16 KiB at a time, and needs a read at least for each.
	const records = size / (16 << 10)
	if n := here.writes.Load() - before; n > records/8 {
		t.Errorf("%d writes for %d records", n, records)
	}
	if n := there.reads.Load() - readBefore; n >= records {
		t.Errorf("%d reads for %d records", n, records)
	}
}

func TestACopyGoesInFewPieces(t *testing.T) {
	t.Parallel()
	const size = 16<<20 + 5
	for name, from := range map[string]func(want []byte) io.Reader{
		"read": func(want []byte) io.Reader { return struct{ io.Reader }{bytes.NewReader(want)} },
		"that writes itself": func(want []byte) io.Reader {
			return struct {
				io.Reader
				io.WriterTo
			}{nil, bytes.NewReader(want)}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for more := range int64(2) { // the source ends before its limit, or at it
				client, server, here, _ := secure(t)
				want := noise(t, size)
				before := here.writes.Load()
				failed := make(chan error, 1)
				go func() {
					// As net/http sends a body whose length it knows.
					l := &io.LimitedReader{R: from(want), N: size + more}
					n, err := io.Copy(coarse.Hold(client), l)
					if n != size || l.N != more || err != nil {
						t.Errorf("%d bytes, %d left to come, %v", n, l.N, err)
					}
					failed <- client.Close()
				}()
				arrives(t, server, want, failed)
				if n, most := here.writes.Load()-before, int64(size/(224<<10)); n > most {
					t.Errorf("%d writes, at most %d wanted", n, most)
				}
			}
		})
	}
}

// A source that has more than its limit gives no more, and keeps the rest.
func TestACopyEndsAtItsLimit(t *testing.T) {
	t.Parallel()
	client, server, _, _ := secure(t)
	want := noise(t, 100<<10)
	source := bytes.NewReader(want)
	failed := make(chan error, 1)
	go func() {
		n, err := io.Copy(coarse.Hold(client), io.LimitReader(source, 70<<10))
		if n != 70<<10 || err != nil || source.Len() != 30<<10 {
			t.Errorf("%d bytes, %v, and %d are left", n, err, source.Len())
		}
		failed <- client.Close()
	}()
	arrives(t, server, want[:70<<10], failed)
}

func TestSmallWritesGoAtOnce(t *testing.T) {
	t.Parallel()
	client, server, _, _ := secure(t)
	conn := coarse.Hold(client)
	answer := make([]byte, 5)
	for _, text := range []string{"hello", "again"} {
		if _, err := io.WriteString(conn, text); err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadFull(server, answer); err != nil || string(answer) != text {
			t.Fatalf("%q, %v", answer, err)
		}
	}
	large := noise(t, 100<<10) // and what is large is there when it was written
	var reading sync.WaitGroup
	got := make([]byte, len(large))
	reading.Go(func() {
		if _, err := io.ReadFull(server, got); err != nil {
			t.Error(err)
		}
	})
	if n, err := conn.Write(large); err != nil || n != len(large) {
		t.Fatal(n, err)
	}
	reading.Wait()
	if !bytes.Equal(got, large) {
		t.Error("something else came")
	}
}

func TestABrokenConnectionIsTold(t *testing.T) {
	t.Parallel()
	client, _, here, _ := secure(t)
	here.fails.Store(true)
	for _, size := range []int{100 << 10, 1 << 20} {
		if n, err := coarse.Hold(client).Write(noise(t, size)); err == nil {
			t.Errorf("%d bytes were taken as written", n)
		}
	}
}

func TestAReadEndsWithItsConnection(t *testing.T) {
	t.Parallel()
	here, there := pair(t)
	conn := coarse.New(there)
	if _, err := here.Conn.Write(noise(t, 100<<10)); err != nil {
		t.Fatal(err)
	}
	if err := here.Conn.Close(); err != nil {
		t.Fatal(err)
	}
	total, small := 0, make([]byte, 8<<10)
	for {
		n, err := conn.Read(small)
		total += n
		if err != nil {
			if !errors.Is(err, io.EOF) {
				t.Error(err)
			}
			break
		}
	}
	if total != 100<<10 {
		t.Errorf("%d bytes came", total)
	}
	if there.reads.Load() > 8 { // fourteen without a buffer
		t.Errorf("%d reads", there.reads.Load())
	}
}

// A thousand nodes' idle connections would keep a gigabyte of buffers else.
func TestASmallReadThatIsFilledMakesNoBuffer(t *testing.T) {
	t.Parallel()
	here, there := pair(t)
	conn := coarse.New(there)
	if _, err := here.Conn.Write(noise(t, 2000)); err != nil {
		t.Fatal(err)
	}
	for total, small := 0, make([]byte, 500); total < 2000; {
		n, err := conn.Read(small)
		if err != nil {
			t.Fatal(err)
		}
		total += n
	}
	if there.room.Load() != 500 {
		t.Errorf("a read of %d bytes was made", there.room.Load())
	}
}

func TestAServersCallsKnowTheirConnection(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	want := noise(t, 3<<20)
	server := &http.Server{ReadHeaderTimeout: time.Minute, ConnContext: coarse.With, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if coarse.From(r.Context()) == nil {
			t.Error("the call doesn't know its connection")
		}
		if _, err := coarse.Write(coarse.From(r.Context()), want, w.Write); err != nil {
			t.Error(err)
		}
	})}
	secured := tls.NewListener(coarse.Listen(l), &tls.Config{Certificates: []tls.Certificate{certificate(t)}, MinVersion: tls.VersionTLS13})
	var serving sync.WaitGroup
	serving.Go(func() { _ = server.Serve(secured) })
	t.Cleanup(func() { _ = server.Close(); serving.Wait() })
	transport := &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}
	defer transport.CloseIdleConnections()
	for range 2 { // the second over the same connection
		res, err := (&http.Client{Transport: transport}).Get("https://" + l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(res.Body)
		_ = res.Body.Close()
		if err != nil || !bytes.Equal(got, want) {
			t.Fatalf("%d bytes, %v", len(got), err)
		}
	}
	if coarse.From(t.Context()) != nil {
		t.Error("a connection out of nothing")
	}
}
