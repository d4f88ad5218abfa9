package fleet_test

import (
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"github.com/berth-panel/berth/controller/fleet"
	"github.com/berth-panel/berth/controller/fleet/fleettest"
)

// FuzzTunnel throws bytes at the door for tunnels: the stranger never gets in,
// and nobody else is disturbed.
func FuzzTunnel(f *testing.F) {
	f.Add([]byte{}, 1)
	f.Add([]byte("SSH-2.0-OpenSSH_9.6\r\n"), 4)
	f.Add(frame(1, 1, 2, 0), 12)                                                    // opens a stream
	f.Add(append(frame(1, 2, 1, 0), frame(0, 0, 1, 5)...), 3)                       // takes the controller's and says less than it announced
	f.Add(append(frame(1, 2, 1, 0), append(frame(0, 0, 1, 5), "hello"...)...), 100) // says what is no TLS
	f.Add(frame(0, 0, 1, 1<<31), 12)                                                // more than a window
	f.Add(append(frame(1, 2, 1, 0), frame(1, 8, 1, 0)...), 24)                      // resets it
	f.Add(append(frame(3, 0, 0, 0), frame(2, 1, 0, 9)...), 5)
	b := setup(f, dialled, nil)
	agent := b.join(f)
	f.Fuzz(func(t *testing.T, data []byte, size int) {
		socket, err := b.door.Socket(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for size = max(1, size); len(data) > 0; {
			n := min(size, len(data))
			if socket.WriteMessage(websocket.BinaryMessage, data[:n]) != nil {
				break
			}
			data = data[n:]
		}
		_ = socket.Close()
		if tunnels, _ := b.directory.told(); len(tunnels) != 0 || !b.fleet.Online(agent.Target().Node) {
			t.Fatal("a stranger's tunnel counts, or disturbs")
		}
	})
}

// FuzzSigningRequest: whatever is asked for, a certificate is the node's alone.
func FuzzSigningRequest(f *testing.F) {
	authority, err := fleet.OpenAuthority(f.TempDir(), time.Now)
	if err != nil {
		f.Fatal(err)
	}
	f.Add("-----BEGIN CERTIFICATE REQUEST-----\nAAAA\n-----END CERTIFICATE REQUEST-----\n")
	f.Add(authority.CertificatePEM())
	f.Add(fleettest.ListenAt(f, "x", 1, nil).CSR())
	f.Fuzz(func(t *testing.T, text string) {
		issued, err := authority.IssueNode("n", text, "")
		if err != nil {
			return
		}
		cert := certificate(t, issued.PEM)
		if cert.IsCA || len(cert.URIs) != 1 || cert.URIs[0].String() != "berth://node/n" || len(cert.DNSNames)+len(cert.IPAddresses) != 0 {
			t.Fatalf("%q got a certificate for %v", text, cert.URIs)
		}
	})
}
