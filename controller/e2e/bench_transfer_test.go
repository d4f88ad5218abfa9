package e2e

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"hash"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"
)

// What transfers are measured by: a file of benchSize goes to the node and comes
// back into a file, through controller and agent (with TLS between the two), and in
// turns with that to and from a plain net/http server on the loopback. All files
// are on the same disk: what is compared is what somebody waits for who copies one.
// What TLS and two hops alone cost is said beside it, see plainHops.
const (
	leastUpload   = 0.7 // of the plain server's speed
	leastDownload = 0.7
	benchSize     = 1 << 30
	benchRounds   = 9
	cutSize       = 2 << 30
)

// BenchmarkTransfer measures uploads by the tus protocol and downloads.
func BenchmarkTransfer(b *testing.B) {
	f := startFiled(b)
	source := filepath.Join(b.TempDir(), "source")
	sparse(b, source, benchSize)
	plainURL, served := plainServer(b)
	hopsURL := plainHops(b, served)
	var up, plainUp, upCPU, down, plainDown, downCPU, hopsDown []float64
	for range benchRounds {
		plainUp = append(plainUp, f.send(b, "PUT", plainURL+"/up", source))
		if err := os.Rename(filepath.Join(served, "up"), filepath.Join(served, "file")); err != nil {
			b.Fatal(err)
		}
		at := f.announce(b, "big", benchSize)
		used := f.used(b)
		up = append(up, f.send(b, "PATCH", f.panel.url+at, source, "Tus-Resumable", "1.0.0", "Content-Type", "application/offset+octet-stream", "Upload-Offset", "0"))
		upCPU = append(upCPU, f.used(b)-used)
		plainDown = append(plainDown, f.fetch(b, plainURL+"/file"))
		used = f.used(b)
		down = append(down, f.fetch(b, f.panel.url+f.base+"/content?path=big"))
		downCPU = append(downCPU, f.used(b)-used)
		f.remove(b, "big")
		hopsDown = append(hopsDown, f.fetch(b, hopsURL+"/file"))
	}
	b.Logf("MiB/s: up %.0f, plain %.0f; down %.0f, plain %.0f, plain in two hops %.0f", up, plainUp, down, plainDown, hopsDown)
	b.Logf("CPU seconds of controller and agent together: up %.2f, down %.2f", upCPU, downCPU)
	figure(b, "upload of 1 GiB, of a plain net/http server's speed", median(up)/median(plainUp), "at least", leastUpload)
	figure(b, "download of 1 GiB, of a plain net/http server's speed", median(down)/median(plainDown), "at least", leastDownload)
	b.Logf("download in two hops of net/http with TLS between, all in one process, of a plain net/http server's speed: %.2f", median(hopsDown)/median(plainDown))
	b.ReportMetric(0, "ns/op")
}

// BenchmarkTransferBundle fetches a volume as an archive: nobody knows its length
// beforehand, so it comes in HTTP's chunks.
func BenchmarkTransferBundle(b *testing.B) {
	f := startFiled(b)
	source := filepath.Join(b.TempDir(), "source")
	sparse(b, source, benchSize)
	at := f.announce(b, "big", benchSize)
	f.send(b, "PATCH", f.panel.url+at, source, "Tus-Resumable", "1.0.0", "Content-Type", "application/offset+octet-stream", "Upload-Offset", "0")
	var down, downCPU []float64
	for range benchRounds {
		used := f.used(b)
		down = append(down, f.fetch(b, f.panel.url+f.base+"/bundle?format=tar"))
		downCPU = append(downCPU, f.used(b)-used)
	}
	b.Logf("MiB/s of a tar of 1 GiB: %.0f; CPU seconds of controller and agent together: %.2f", down, downCPU)
	b.ReportMetric(0, "ns/op")
}

// BenchmarkTransferThroughCuts sends 2 GiB through a connection that is cut five
// times, and compares sums.
func BenchmarkTransferThroughCuts(b *testing.B) {
	f := startFiled(b)
	source := filepath.Join(b.TempDir(), "source")
	sparse(b, source, cutSize)
	s := newScissors(b, f.panel.url, cutSize/10, cutSize/4, cutSize/3, cutSize/2, cutSize/5*4)
	at := f.announce(b, "big", cutSize)
	began, tries := time.Now(), 0
	for {
		at0 := f.offset(b, at)
		if at0 == cutSize {
			break
		}
		file := open(b, source, at0)
		req, err := http.NewRequestWithContext(b.Context(), "PATCH", s.url+at, file)
		if err != nil {
			b.Fatal(err)
		}
		for name, value := range map[string]string{"x-api-key": adminKey, "Tus-Resumable": "1.0.0", "Content-Type": "application/offset+octet-stream", "Upload-Offset": strconv.FormatInt(at0, 10)} {
			req.Header.Set(name, value)
		}
		req.ContentLength = cutSize - at0
		if res, err := http.DefaultClient.Do(req); err == nil {
			_ = res.Body.Close()
		}
		if tries++; tries > 50 {
			b.Fatal("it doesn't get across")
		}
	}
	took := time.Since(began)
	want, got := sha256.New(), sha256.New()
	sum(b, want, open(b, source, 0))
	res, err := f.ask("GET", f.panel.url+f.base+"/content?path=big", nil)
	if err != nil {
		b.Fatal(err)
	}
	sum(b, got, res.Body)
	if string(want.Sum(nil)) != string(got.Sum(nil)) {
		b.Error("another file came back")
	}
	b.Logf("2 GiB through %d cuts in %d tries and %s, %.0f MiB/s; the sums agree", s.count(), tries, took.Round(time.Millisecond), cutSize/took.Seconds()/(1<<20))
	b.ReportMetric(0, "ns/op")
}

// benched is an instance's files with both programs as processes.
type benched struct {
	*siteHost
	site     *site
	id, base string
}

func startFiled(b *testing.B) *benched {
	b.Helper()
	p := startPrograms(b)
	h := p.addProgramHost(4096)
	body := h.body(h.loadProbe("idle"), p.user("anna"), 0)
	body["start"], body["disk"] = false, 20480
	id, job := h.begin(body)
	p.awaitJob(job, "succeeded")
	return &benched{siteHost: h, site: p, id: id, base: "/api/v1/instances/" + id + "/files"}
}

// used is the CPU time that controller and agent have had.
func (f *benched) used(b *testing.B) float64 {
	return cpuTime(b, f.process.pid) + cpuTime(b, f.site.process.pid)
}

func (f *benched) ask(method, url string, body io.Reader, h ...string) (*http.Response, error) {
	req, err := http.NewRequest(method, url, body)
	if err != nil {
		return nil, err
	}
	req.Header.Set("x-api-key", adminKey)
	for n := 0; n+1 < len(h); n += 2 {
		req.Header.Set(h[n], h[n+1])
	}
	if file, is := body.(*os.File); is {
		info, err := file.Stat()
		if err != nil {
			return nil, err
		}
		req.ContentLength = info.Size()
	}
	return http.DefaultClient.Do(req)
}

// announce begins an upload and gives its address.
func (f *benched) announce(b *testing.B, path string, size int64) string {
	b.Helper()
	code := base64.StdEncoding.EncodeToString
	res, err := f.ask("POST", f.panel.url+f.base+"/uploads", http.NoBody, "Tus-Resumable", "1.0.0", "Upload-Length", strconv.FormatInt(size, 10),
		"Upload-Metadata", "path "+code([]byte(path))+",overwrite "+code([]byte("true")))
	if err != nil {
		b.Fatal(err)
	}
	said, _ := io.ReadAll(res.Body)
	_ = res.Body.Close()
	if res.StatusCode != http.StatusCreated {
		b.Fatalf("%s: %s", res.Status, said)
	}
	return res.Header.Get("Location")
}

// remove deletes a file, so that none has to be made room for while another comes.
func (f *benched) remove(b *testing.B, path string) {
	b.Helper()
	body, err := json.Marshal(map[string][]string{"paths": {path}})
	if err != nil {
		b.Fatal(err)
	}
	res, err := f.ask("POST", f.panel.url+f.base+"/delete", bytes.NewReader(body), "Content-Type", "application/json")
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	var said struct {
		Data struct {
			ID string `json:"id"`
		} `json:"data"`
	}
	if err := json.NewDecoder(res.Body).Decode(&said); err != nil || res.StatusCode != http.StatusAccepted {
		b.Fatalf("%s: %v", res.Status, err)
	}
	f.site.awaitJob(said.Data.ID, "succeeded")
}

func (f *benched) offset(b *testing.B, at string) int64 {
	b.Helper()
	res, err := f.ask("HEAD", f.panel.url+at, nil, "Tus-Resumable", "1.0.0")
	if err != nil {
		b.Fatal(err)
	}
	_ = res.Body.Close()
	n, err := strconv.ParseInt(res.Header.Get("Upload-Offset"), 10, 64)
	if err != nil {
		b.Fatalf("%s: %v", res.Status, err)
	}
	return n
}

// send gives the MiB/s of sending a file.
func (f *benched) send(b *testing.B, method, url, source string, h ...string) float64 {
	b.Helper()
	file := open(b, source, 0)
	warm(b)
	began := time.Now()
	res, err := f.ask(method, url, file, h...)
	if err != nil {
		b.Fatal(err)
	}
	said, _ := io.ReadAll(res.Body)
	_ = res.Body.Close()
	if res.StatusCode >= 300 {
		b.Fatalf("%s: %s", res.Status, said)
	}
	return benchSize / time.Since(began).Seconds() / (1 << 20)
}

// fetch gives the MiB/s of getting a file, or an archive that holds it, into a new one.
func (f *benched) fetch(b *testing.B, url string) float64 {
	b.Helper()
	path := filepath.Join(b.TempDir(), "fetched")
	into, err := os.Create(path)
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _, _ = into.Close(), os.Remove(path) }()
	warm(b)
	began := time.Now()
	res, err := f.ask("GET", url, nil)
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	n, err := io.CopyBuffer(struct{ io.Writer }{into}, struct{ io.Reader }{res.Body}, make([]byte, 256<<10))
	if err != nil || n < benchSize || res.ContentLength >= 0 && n != benchSize {
		b.Fatalf("%s: %d bytes, %v", res.Status, n, err)
	}
	return benchSize / time.Since(began).Seconds() / (1 << 20)
}

// plainServer takes a file at /up and serves the folder that it puts it into.
func plainServer(b *testing.B) (url, folder string) {
	b.Helper()
	folder = b.TempDir()
	mux := http.NewServeMux()
	mux.Handle("GET /", http.FileServer(http.Dir(folder)))
	mux.HandleFunc("PUT /up", func(w http.ResponseWriter, r *http.Request) {
		file, err := os.Create(filepath.Join(folder, "up"))
		if err == nil {
			_, err = io.Copy(file, r.Body)
			if closed := file.Close(); err == nil {
				err = closed
			}
		}
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
		}
	})
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	server := &http.Server{Handler: mux, ReadHeaderTimeout: time.Minute}
	go func() { _ = server.Serve(ln) }() // ends with Close
	b.Cleanup(func() { _ = server.Close() })
	return "http://" + ln.Addr().String(), folder
}

// plainHops serves a folder as far away as a node is: a reverse proxy before a file
// server, with TLS between the two, of the standard library and nothing else. Both
// are in this very process, so that there are no switches between programs in it.
func plainHops(b *testing.B, folder string) string {
	b.Helper()
	far := httptest.NewTLSServer(http.FileServer(http.Dir(folder)))
	b.Cleanup(far.Close)
	to, err := url.Parse(far.URL)
	if err != nil {
		b.Fatal(err)
	}
	near := httptest.NewServer(&httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(to) }, Transport: far.Client().Transport})
	b.Cleanup(near.Close)
	return near.URL
}

// warm has the kernel's free memory used a moment ago. A virtual machine's may be
// with its host, and to get it back takes longer than all the rest of a transfer: a
// GiB written into memory that was free for two seconds went at 360 MiB/s here, into
// such that was used just before at 5,000. Whoever came first would pay for all.
func warm(b *testing.B) {
	b.Helper()
	path := filepath.Join(b.TempDir(), "warm")
	sparse(b, path, benchSize+benchSize/4)
	if err := os.Remove(path); err != nil {
		b.Fatal(err)
	}
}

// sparse makes a file of a size whose content repeats.
func sparse(b *testing.B, path string, size int64) {
	b.Helper()
	file, err := os.Create(path)
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = file.Close() }()
	piece := noise(16<<20 + 1)
	for left := size; left > 0; left -= int64(len(piece)) {
		if _, err := file.Write(piece[:min(left, int64(len(piece)))]); err != nil {
			b.Fatal(err)
		}
	}
}

func open(b *testing.B, path string, at int64) *os.File {
	b.Helper()
	file, err := os.Open(path)
	if err == nil {
		_, err = file.Seek(at, io.SeekStart)
	}
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = file.Close() })
	return file
}

func sum(b *testing.B, h hash.Hash, from io.ReadCloser) {
	b.Helper()
	defer func() { _ = from.Close() }()
	if _, err := io.Copy(h, from); err != nil {
		b.Fatal(err)
	}
}
