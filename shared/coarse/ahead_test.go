package coarse_test

import (
	"bytes"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/berth-panel/berth/shared/coarse"
)

// What comes after much is given when it is there, however little it is.
func TestWhatIsReadAheadIsWholeAndAtOnce(t *testing.T) {
	t.Parallel()
	client, server, here, _ := secure(t)
	coarse.ReadAhead(client)
	const rounds, size = 3, 4<<20 + 7
	want := noise(t, size)
	var answering sync.WaitGroup
	answering.Go(func() {
		conn := coarse.Hold(server)
		for range rounds {
			if _, err := conn.Write(want); err != nil {
				t.Error(err)
			}
			for range 3 { // a word, and no more before it was heard
				if _, err := io.WriteString(conn, "hello"); err != nil {
					t.Error(err)
				}
				if _, err := io.ReadFull(conn, make([]byte, 1)); err != nil {
					t.Error(err)
				}
			}
		}
		if err := server.Close(); err != nil {
			t.Error(err)
		}
	})
	got, word := make([]byte, size), make([]byte, 5)
	for range rounds {
		if _, err := io.ReadFull(client, got); err != nil || !bytes.Equal(got, want) {
			t.Fatalf("something else came: %v", err)
		}
		for range 3 {
			if _, err := io.ReadFull(client, word); err != nil || string(word) != "hello" {
				t.Fatalf("%q, %v", word, err)
			}
			if _, err := client.Write([]byte{1}); err != nil {
				t.Fatal(err)
			}
		}
	}
	if n, err := client.Read(word); n != 0 || !errors.Is(err, io.EOF) {
		t.Errorf("%d bytes after the end, %v", n, err)
	}
	answering.Wait()
	if here.room.Load() < 256<<10 {
		t.Errorf("the largest read was %d bytes: nothing was read ahead", here.room.Load())
	}
}

// The bubble doesn't end before all that was begun in it has.
func TestCloseEndsWhatIsReadAhead(t *testing.T) {
	t.Parallel()
	cert := certificate(t)
	for name, enough := range map[string]int{"with nothing to come": 8 << 20, "with its buffers full": 64 << 10} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				here, there := net.Pipe()
				client := tls.Client(coarse.New(here), &tls.Config{InsecureSkipVerify: true, MinVersion: tls.VersionTLS13})
				server := tls.Server(there, &tls.Config{Certificates: []tls.Certificate{cert}, MinVersion: tls.VersionTLS13, SessionTicketsDisabled: true})
				go func() {
					_, _ = server.Write(make([]byte, 8<<20)) // until nobody reads
				}()
				if err := client.Handshake(); err != nil {
					t.Fatal(err)
				}
				coarse.ReadAhead(client)
				if _, err := io.ReadFull(client, make([]byte, enough)); err != nil {
					t.Fatal(err)
				}
				synctest.Wait()
				if err := here.Close(); err != nil {
					t.Fatal(err)
				}
				_ = client.Close()
				_, _ = there.Close(), client.Close()
			})
		})
	}
}
