package runtimetest

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/bcrypt"

	"github.com/berth-panel/berth/agent/runtime"
)

// Private is a real registry (Debian's docker-registry), which gives nothing
// without a login. It listens on the loopback, which engines take without TLS.
type Private struct {
	Address string // "127.0.0.1:PORT", with which the names of its images begin
	Login   runtime.Login
}

const privateConfig = `version: 0.1
log:
  level: info
storage:
  filesystem:
    rootdirectory: %s
http:
  addr: 127.0.0.1:0
  secret: of-a-test
auth:
  htpasswd:
    realm: test
    path: %s
`

var listens = regexp.MustCompile(`listening on (127\.0\.0\.1:\d+)`)

// NewPrivate runs one until the test ends. Where the program is missing the test
// is skipped, or fails when Docker is required.
func NewPrivate(t testing.TB, login runtime.Login) *Private {
	t.Helper()
	program, err := exec.LookPath("docker-registry")
	if err != nil {
		if os.Getenv(EnvDocker) == "required" {
			t.Fatalf("docker-registry is missing, and %s says that it is required: %v", EnvDocker, err)
		}
		t.Skipf("docker-registry is missing, so this test is skipped: %v", err)
	}
	dir := t.TempDir()
	hash, err := bcrypt.GenerateFromPassword([]byte(login.Password), bcrypt.MinCost)
	if err != nil {
		t.Fatal(err)
	}
	users, config := filepath.Join(dir, "htpasswd"), filepath.Join(dir, "config.yml")
	for path, text := range map[string]string{
		users: login.Username + ":" + string(hash) + "\n", config: fmt.Sprintf(privateConfig, filepath.Join(dir, "data"), users),
	} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	ctx, cancel := context.WithCancel(context.Background())
	command := exec.CommandContext(ctx, program, "serve", config)
	command.Env = []string{"OTEL_TRACES_EXPORTER=none"}
	said, err := command.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	address, read := make(chan string, 1), make(chan struct{})
	go readAddress(said, address, read)
	t.Cleanup(func() {
		cancel()
		<-read
		_ = command.Wait() // it was killed
	})
	select {
	case at := <-address:
		return &Private{Address: at, Login: login}
	case <-read:
		t.Fatal("the registry ended before it listened")
	case <-time.After(Patience):
		t.Fatal("the registry does not listen")
	}
	return nil
}

// readAddress reads what a registry says until it ends, and tells where it listens.
func readAddress(said io.Reader, address chan<- string, read chan<- struct{}) {
	defer close(read)
	lines := bufio.NewScanner(said)
	for lines.Scan() {
		if m := listens.FindStringSubmatch(lines.Text()); m != nil {
			select {
			case address <- m[1]:
			default:
			}
		}
	}
}

// Push puts an image of two layers into it that no engine can run, made for that
// kind of machine ("" is this one), and gives its reference and its digest. The
// engine's copy is removed at the end.
func (p *Private) Push(t testing.TB, host, repository, arch string) (reference, digest string) {
	t.Helper()
	g := &Registry{blobs: map[string][]byte{}, tags: map[string][]byte{}, arch: arch, Address: p.Address}
	reference = g.Offer(t, host, repository)
	p.push(t, repository, g)
	return reference, digestOf(g.tags[repository+":1"])
}

// PushProbe puts the probe's image into it, like no other.
func (p *Private) PushProbe(t testing.TB, host, repository string) (reference string) {
	t.Helper()
	g := &Registry{blobs: map[string][]byte{}, tags: map[string][]byte{}, Address: p.Address}
	reference = g.OfferProbe(t, host, repository)
	p.push(t, repository, g)
	return reference
}

func (p *Private) push(t testing.TB, repository string, g *Registry) {
	t.Helper()
	for digest, text := range g.blobs {
		answer := p.ask(t, http.MethodPost, "http://"+p.Address+"/v2/"+repository+"/blobs/uploads/", "", nil, http.StatusAccepted)
		at, err := url.Parse(answer.Get("Location"))
		if err != nil {
			t.Fatal(err)
		}
		q := at.Query()
		q.Set("digest", digest)
		at.RawQuery = q.Encode()
		p.ask(t, http.MethodPut, at.String(), "application/octet-stream", text, http.StatusCreated)
	}
	for name, manifest := range g.tags {
		_, tag, _ := strings.Cut(name, ":")
		p.ask(t, http.MethodPut, "http://"+p.Address+"/v2/"+repository+"/manifests/"+tag, manifestType, manifest, http.StatusCreated)
	}
}

func (p *Private) ask(t testing.TB, method, address, kind string, body []byte, want int) http.Header {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), method, address, bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Content-Type", kind)
	request.SetBasicAuth(p.Login.Username, p.Login.Password)
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = answer.Body.Close() }()
	if answer.StatusCode != want {
		text, _ := io.ReadAll(answer.Body)
		t.Fatalf("%s %s: %d, want %d: %s", method, address, answer.StatusCode, want, text)
	}
	return answer.Header
}

// Front is the address of a proxy in front of it, by which images are named, too.
// Every request goes to hook first; it says whether it has answered.
func (p *Private) Front(t testing.TB, hook func(w http.ResponseWriter, r *http.Request) bool) string {
	t.Helper()
	behind := httputil.NewSingleHostReverseProxy(&url.URL{Scheme: "http", Host: p.Address})
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !hook(w, r) {
			behind.ServeHTTP(w, r)
		}
	}))
	t.Cleanup(server.Close)
	return strings.TrimPrefix(server.URL, "http://")
}
