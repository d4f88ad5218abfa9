package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"
	"unicode/utf8"
)

type imageCommands struct {
	List   imageList   `cmd:"" help:"List the catalogue."`
	Import imageImport `cmd:"" help:"Import images: eggs, classic images, Compose files."`
	Update imageUpdate `cmd:"" help:"Import an image anew from the address that its file names."`
	Export imageExport `cmd:"" help:"Print an image as a file of another panel."`
	Delete imageDelete `cmd:"" help:"Delete an image that no instance uses."`
}

type imageList struct{ local }

func (i imageList) Run(ctx context.Context, out *output) error {
	data, err := i.list(ctx, "/api/v1/images")
	if err != nil {
		return err
	}
	return i.show(out, data, "id", "name", "references")
}

const (
	fileMost  = 4 << 20  // bytes of a file that can define an image
	batchMost = 24 << 20 // bytes that are sent at once
	batchLen  = 1000     // files
)

type imageImport struct {
	local
	Source string `arg:"" help:"A file, an address (http, https), or a folder: all files in it."`
	Format string `help:"egg, classic or compose; found out when absent." enum:",egg,classic,compose" default:""`
}

// imported is one file's line of the report.
type imported struct {
	File    string   `json:"file"`
	Status  string   `json:"status"`
	Format  string   `json:"format"`
	Name    string   `json:"name"`
	ImageID string   `json:"image_id,omitempty"`
	Changes []string `json:"changes"`
	Ignored []string `json:"ignored"`
	Error   string   `json:"error"`
}

type fileBody struct {
	Name  string `json:"name"`
	Text  string `json:"text,omitempty"`
	Bytes []byte `json:"bytes,omitempty"`
}

func (f fileBody) size() int { return len(f.Text) + len(f.Bytes)*4/3 }

func (i imageImport) remote() bool {
	return strings.HasPrefix(i.Source, "http://") || strings.HasPrefix(i.Source, "https://")
}

// Validate refuses a path where nothing is, as a mistake of the command line.
func (i imageImport) Validate() error {
	if i.Source == "" || i.remote() {
		return nil
	}
	if _, err := os.Stat(i.Source); err != nil {
		return fmt.Errorf("%s: there is no such file or folder", i.Source)
	}
	return nil
}

func (i imageImport) Run(ctx context.Context, out *output) error {
	report, err := i.run(ctx)
	if err != nil {
		return fmt.Errorf("%s: %w", i.Source, err)
	}
	if err := printReport(out, report, i.JSON); err != nil {
		return err
	}
	refused := 0
	for _, f := range report {
		if f.Status == "refused" {
			refused++
		}
	}
	if refused > 0 {
		return fmt.Errorf("%d of %d files were refused", refused, len(report))
	}
	return nil
}

func (i imageImport) run(ctx context.Context) ([]imported, error) {
	if i.remote() {
		file, err := fetch(ctx, i.Source)
		if err != nil {
			return nil, err
		}
		return i.send(ctx, []fileBody{file})
	}
	info, err := os.Stat(i.Source)
	if err != nil {
		return nil, err
	}
	if !info.IsDir() {
		file, why, err := readFile(i.Source)
		if err != nil {
			return nil, err
		}
		if why != "" {
			return []imported{skipped(i.Source, why)}, nil
		}
		return i.send(ctx, []fileBody{file})
	}
	return i.folder(ctx)
}

// folder sends all files of a folder, and those below it.
func (i imageImport) folder(ctx context.Context) ([]imported, error) {
	var files []fileBody
	var report []imported
	at := map[string]int{} // of a file, in the report
	err := filepath.WalkDir(i.Source, func(path string, e fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case e.IsDir() && path != i.Source && strings.HasPrefix(e.Name(), "."):
			return fs.SkipDir // the records of git
		case !e.Type().IsRegular():
			return nil
		}
		file, why, err := readFile(path)
		if err != nil {
			return err
		}
		at[path] = len(report)
		report = append(report, skipped(path, why))
		if why == "" {
			files = append(files, file)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	sent, err := i.send(ctx, files)
	for _, one := range sent {
		report[at[one.File]] = one
	}
	return report, err
}

// readFile reads a file that may define an image; why says why another can't.
func readFile(path string) (file fileBody, why string, err error) {
	f, err := os.Open(path)
	if err != nil {
		return file, "", err
	}
	defer func() { _ = f.Close() }()
	text, err := io.ReadAll(io.LimitReader(f, fileMost+1))
	switch {
	case err != nil:
		return file, "", err
	case len(text) > fileMost:
		return file, fmt.Sprintf("it is larger than %d bytes", fileMost), nil
	case bytes.IndexByte(text, 0) >= 0 && !bytes.HasPrefix(text, []byte("\xff\xfe")) && !bytes.HasPrefix(text, []byte("\xfe\xff")): // but UTF-16 is
		return file, "it is no text", nil
	}
	return newFileBody(path, text), "", nil
}

// newFileBody sends what JSON can't hold in base64.
func newFileBody(name string, text []byte) fileBody {
	if utf8.Valid(text) {
		return fileBody{Name: name, Text: string(text)}
	}
	return fileBody{Name: name, Bytes: text}
}

func skipped(path, why string) imported {
	return imported{File: path, Status: "skipped", Changes: []string{}, Ignored: []string{}, Error: why}
}

// send imports files, in as many calls as it takes.
func (i imageImport) send(ctx context.Context, files []fileBody) ([]imported, error) {
	report := []imported{}
	apart := []string{}
	for len(files) > 0 {
		size, n := 0, 0
		for n < len(files) && n < batchLen && (n == 0 || size+files[n].size() <= batchMost) {
			size += files[n].size()
			n++
		}
		body := map[string]any{"files": files[:n], "apart_from": apart}
		data, err := i.call(ctx, http.MethodPost, "/api/v1/images/import?format="+url.QueryEscape(i.Format), body)
		if err != nil {
			return report, err
		}
		var answer struct{ Files []imported }
		if err := json.Unmarshal(data, &answer); err != nil {
			return report, err
		}
		for _, f := range answer.Files {
			if f.ImageID != "" {
				apart = append(apart, f.ImageID)
			}
		}
		report, files = append(report, answer.Files...), files[n:]
	}
	return report, nil
}

// fetch gets a file by its address. Whoever may run this may as well fetch it by
// hand: addresses of the own network are as good as any.
func fetch(ctx context.Context, address string) (fileBody, error) {
	u, err := url.Parse(address)
	if err != nil {
		return fileBody{}, errors.New("that is not an address")
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), nil)
	if err != nil {
		return fileBody{}, err
	}
	res, err := (&http.Client{Timeout: time.Minute}).Do(req)
	if err != nil {
		return fileBody{}, err
	}
	defer func() { _ = res.Body.Close() }()
	if res.StatusCode != http.StatusOK {
		return fileBody{}, fmt.Errorf("the server answers %s", res.Status)
	}
	text, err := io.ReadAll(io.LimitReader(res.Body, fileMost+1))
	if err == nil && len(text) > fileMost {
		err = fmt.Errorf("it is larger than %d bytes", fileMost)
	}
	return newFileBody(u.Scheme+"://"+u.Host+u.EscapedPath(), text), err // what else it has may be a secret
}

// printReport gives the report as a list of JSON, or as lines for people.
func printReport(out *output, report []imported, asJSON bool) error {
	if asJSON {
		text, err := json.MarshalIndent(report, "", "  ")
		if err != nil {
			return err
		}
		_, err = fmt.Fprintln(out.stdout, string(text))
		return err
	}
	var b strings.Builder
	count := map[string]int{}
	for _, f := range report {
		count[f.Status]++
		fmt.Fprintf(&b, "%-9s %s", f.Status, f.File)
		if f.Name != "" {
			fmt.Fprintf(&b, ": %s (%s)", f.Name, f.Format)
		}
		b.WriteByte('\n')
		for _, line := range f.Changes {
			fmt.Fprintf(&b, "          changed %s\n", line)
		}
		if len(f.Ignored) > 0 {
			fmt.Fprintf(&b, "          means nothing here: %s\n", strings.Join(f.Ignored, ", "))
		}
		if f.Error != "" {
			fmt.Fprintf(&b, "          %s\n", f.Error)
		}
	}
	fmt.Fprintf(&b, "%d imported, %d updated, %d skipped, %d refused\n", count["imported"], count["updated"], count["skipped"], count["refused"])
	_, err := io.WriteString(out.stdout, b.String())
	return err
}

type imageUpdate struct {
	local
	ID string `arg:"" help:"The image's id."`
}

func (i imageUpdate) Run(ctx context.Context, out *output) error {
	data, err := i.call(ctx, http.MethodPost, "/api/v1/images/"+url.PathEscape(i.ID)+"/update", nil)
	if err != nil {
		return err
	}
	var one imported
	if err := json.Unmarshal(data, &one); err != nil {
		return err
	}
	return printReport(out, []imported{one}, i.JSON)
}

type imageExport struct {
	local
	ID     string `arg:"" help:"The image's id."`
	Format string `help:"PLCN_v3 or classic." enum:"PLCN_v3,classic" default:"PLCN_v3"`
	YAML   bool   `name:"yaml" help:"PLCN_v3 as YAML."`
}

func (i imageExport) Run(ctx context.Context, out *output) error {
	query := url.Values{"format": {i.Format}}
	if i.YAML {
		query.Set("as", "yaml")
	}
	text, err := i.file(ctx, "/api/v1/images/"+url.PathEscape(i.ID)+"/export?"+query.Encode())
	if err != nil {
		return err
	}
	_, err = out.stdout.Write(text)
	return err
}

type imageDelete struct {
	local
	ID string `arg:"" help:"The image's id."`
}

func (i imageDelete) Run(ctx context.Context, out *output) error {
	data, err := i.call(ctx, http.MethodDelete, "/api/v1/images/"+url.PathEscape(i.ID), nil)
	if err != nil {
		return err
	}
	return i.said(out, data, "The image is deleted.")
}

// file asks the API for a file.
func (l local) file(ctx context.Context, path string) ([]byte, error) {
	status, text, err := l.ask(ctx, http.MethodGet, path, nil)
	if err == nil && status != http.StatusOK {
		_, err = unwrap(status, text)
	}
	return text, err
}
