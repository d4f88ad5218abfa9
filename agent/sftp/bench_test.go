package sftp

import (
	"bufio"
	"context"
	"crypto/rand"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/berth-panel/berth/shared/sshdoor"
)

// rival is OpenSSH's own server, for the same files.
type rival struct {
	port int
	user string
}

// openSSHServer runs sshd on loopback with settings of its own; false where there
// is none.
func openSSHServer(b *bundle) (rival, bool) {
	b.t.Helper()
	program, err := exec.LookPath("/usr/sbin/sshd")
	if err != nil || os.Geteuid() != 0 {
		return rival{}, false
	}
	dir := b.t.TempDir()
	_, err = sshdoor.HostKey(filepath.Join(dir, "host"))
	must(b.t, err)
	must(b.t, os.WriteFile(filepath.Join(dir, "keys"), []byte(b.all.People[0].Keys[0]+"\n"), 0o600))
	must(b.t, os.MkdirAll("/run/sshd", 0o755)) // it insists
	free, err := net.Listen("tcp", "127.0.0.1:0")
	must(b.t, err)
	r := rival{port: free.Addr().(*net.TCPAddr).Port}
	_ = free.Close()
	me, err := user.Current()
	must(b.t, err)
	r.user = me.Username
	config := fmt.Sprintf("Port %d\nListenAddress 127.0.0.1\nHostKey %s/host\nAuthorizedKeysFile %s/keys\nStrictModes no\nUsePAM no\nPidFile none\nPermitRootLogin yes\nSubsystem sftp /usr/lib/openssh/sftp-server\n", r.port, dir, dir)
	must(b.t, os.WriteFile(filepath.Join(dir, "config"), []byte(config), 0o600))
	cmd := exec.Command(program, "-D", "-e", "-f", filepath.Join(dir, "config"))
	said, err := cmd.StderrPipe()
	must(b.t, err)
	must(b.t, cmd.Start())
	b.t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	lines := bufio.NewScanner(said)
	for lines.Scan() {
		if strings.Contains(lines.Text(), "listening") {
			go func() {
				for lines.Scan() { //nolint:revive // what it says is let go
				}
			}()
			return r, true
		}
	}
	return rival{}, false
}

// run runs the client against sshd.
func (r rival) run(b *bundle, batch string) error {
	ctx, cancel := context.WithTimeout(context.Background(), 5*patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, "sftp", "-F", "/dev/null", "-i", b.key, "-o", "IdentitiesOnly=yes", "-o", "IdentityAgent=none",
		"-o", "UserKnownHostsFile=/dev/null", "-o", "StrictHostKeyChecking=no", "-o", "LogLevel=ERROR", "-P", fmt.Sprint(r.port), "-b", "-", r.user+"@127.0.0.1")
	cmd.Stdin = strings.NewReader(batch)
	out, err := cmd.CombinedOutput()
	if err != nil {
		return fmt.Errorf("%w: %s", err, out)
	}
	return nil
}

// BenchmarkTransfer moves files with OpenSSH's client, through our door and
// through OpenSSH's server; vs-openssh is how fast we are in its terms.
func BenchmarkTransfer(b *testing.B) {
	needClient(b)
	w := setup(b)
	other, ok := openSSHServer(w)
	if !ok {
		b.Skip("there is no sshd")
	}
	local, theirs := b.TempDir(), b.TempDir()
	const size, files = 256 << 20, 10_000
	content := make([]byte, size)
	_, _ = rand.Read(content)
	must(b, os.WriteFile(filepath.Join(local, "big"), content, 0o644))
	for n := range files {
		dir := filepath.Join(local, "many", fmt.Sprint(n/500))
		must(b, os.MkdirAll(dir, 0o755))
		must(b, os.WriteFile(filepath.Join(dir, fmt.Sprint(n)), content[n:n+1000], 0o644))
	}
	for _, c := range []struct{ name, batch, clear string }{
		{"put256MiB", "put big", ""}, {"get256MiB", "get big " + local + "/down", ""},
		{"put10000files", "put -R many", "many"}, {"get10000files", "get -R many " + local + "/downs", ""},
	} {
		b.Run(c.name, func(b *testing.B) {
			var ours, rivals time.Duration
			for b.Loop() {
				began := time.Now()
				if out, err := w.openSSH("lcd " + local + "\n" + c.batch + "\n"); err != nil {
					b.Fatal(err, out)
				}
				ours += time.Since(began)
				began = time.Now()
				if err := other.run(w, "lcd "+local+"\ncd "+theirs+"\n"+c.batch+"\n"); err != nil {
					b.Fatal(err)
				}
				rivals += time.Since(began)
			}
			b.ReportMetric(ours.Seconds()/float64(b.N), "s")
			b.ReportMetric(rivals.Seconds()/ours.Seconds(), "vs-openssh")
		})
	}
}
