package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/alecthomas/kong"

	"github.com/berth-panel/berth/controller/app"
	"github.com/berth-panel/berth/shared/build"
)

// Root is the command line as kong reads it.
type Root struct {
	Serve    serveCommand     `cmd:"" help:"Run the controller."`
	User     userCommands     `cmd:"" help:"Users, by hand."`
	Key      keyCommands      `cmd:"" help:"API keys, by hand."`
	Node     nodeCommands     `cmd:"" help:"Nodes, by hand."`
	Image    imageCommands    `cmd:"" help:"The catalogue, by hand."`
	Registry registryCommands `cmd:"" help:"Logins of image registries, by hand."`
	Backup   backupCommand    `cmd:"" help:"Write all of a controller's data into one file, also while it runs."`
	Restore  restoreCommand   `cmd:"" help:"Put a backup in place of a stopped controller's data."`
	Version  versionCommand   `cmd:"" help:"Print the version."`
}

// Run reads the arguments, does what they say and gives the exit code.
func Run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	var root Root
	code := -1
	parser, err := kong.New(&root, kong.Name("berth-controller"), kong.Writers(stdout, stderr), kong.UsageOnError(),
		kong.Description("The controller of Berth, a panel for hosting containers on many machines."), kong.Exit(func(c int) { code = c }))
	if err != nil {
		_, _ = fmt.Fprintln(stderr, err)
		return 2
	}
	k, err := parser.Parse(args)
	if code >= 0 { // --help has been answered
		return code
	}
	if err != nil {
		_, _ = fmt.Fprintf(stderr, "berth-controller: %s\n", err)
		return 2
	}
	k.BindTo(ctx, (*context.Context)(nil))
	if err := k.Run(&output{stdout: stdout, stderr: stderr}); err != nil && !errors.Is(err, context.Canceled) {
		_, _ = fmt.Fprintf(stderr, "berth-controller: %s\n", err)
		return 1
	}
	return 0
}

type output struct{ stdout, stderr io.Writer }

type versionCommand struct{}

func (versionCommand) Run(out *output) error {
	_, err := fmt.Fprintln(out.stdout, build.Version)
	return err
}

// local is what every admin command takes.
type local struct {
	Data string `help:"The controller's data directory." default:"./data" env:"BERTH_DATA" type:"path"`
	JSON bool   `help:"Print the API's answer as JSON." name:"json"`
}

// call asks the API and gives the data of its answer; a refusal is an error
// with the API's sentence.
func (l local) call(ctx context.Context, method, path string, body any) (json.RawMessage, error) {
	status, text, err := l.ask(ctx, method, path, body)
	if err != nil {
		return nil, err
	}
	return unwrap(status, text)
}

// ask gives the API's answer as it is.
func (l local) ask(ctx context.Context, method, path string, body any) (status int, text []byte, err error) {
	client, done, err := app.LocalClient(ctx, l.Data)
	if err != nil {
		return 0, nil, err
	}
	defer done()
	payload, isText := body.(json.RawMessage)
	if !isText && body != nil {
		if payload, err = json.Marshal(body); err != nil {
			return 0, nil, err
		}
	}
	req, err := http.NewRequestWithContext(ctx, method, "http://local"+path, bytes.NewReader(payload))
	if err != nil {
		return 0, nil, err
	}
	req.Header.Set("Content-Type", "application/json")
	res, err := client.Do(req)
	if err != nil {
		return 0, nil, fmt.Errorf("ask the controller: %w", err)
	}
	defer func() { _ = res.Body.Close() }()
	text, err = io.ReadAll(res.Body)
	return res.StatusCode, text, err
}

func unwrap(status int, text []byte) (json.RawMessage, error) {
	var answer struct {
		Data  json.RawMessage `json:"data"`
		Error *struct {
			Message string `json:"message"`
			Details []struct {
				Field   string `json:"field"`
				Message string `json:"message"`
			} `json:"details"`
		} `json:"error"`
	}
	if err := json.Unmarshal(text, &answer); err != nil {
		return nil, fmt.Errorf("the controller answered %d with something that isn't JSON", status)
	}
	if answer.Error == nil {
		return answer.Data, nil
	}
	message := answer.Error.Message
	for _, d := range answer.Error.Details {
		if !strings.Contains(message, d.Message) {
			message += "; " + d.Field + ": " + d.Message
		}
	}
	return nil, errors.New(message)
}

// list reads all pages of a list.
func (l local) list(ctx context.Context, path string) (json.RawMessage, error) {
	all := []json.RawMessage{}
	for page := 1; ; page++ {
		data, err := l.call(ctx, http.MethodGet, fmt.Sprintf("%s?page=%d&limit=500", path, page), nil)
		if err != nil {
			return nil, err
		}
		var items []json.RawMessage
		if err := json.Unmarshal(data, &items); err != nil {
			return nil, err
		}
		all = append(all, items...)
		if len(items) < 500 {
			return json.Marshal(all)
		}
	}
}

// show prints an answer: as JSON when asked, else the named columns as a table.
func (l local) show(out *output, data json.RawMessage, columns ...string) error {
	if l.JSON {
		var b bytes.Buffer
		if err := json.Indent(&b, data, "", "  "); err != nil {
			return err
		}
		_, err := fmt.Fprintln(out.stdout, b.String())
		return err
	}
	var rows []map[string]any
	if bytes.HasPrefix(bytes.TrimSpace(data), []byte("[")) {
		if err := json.Unmarshal(data, &rows); err != nil {
			return err
		}
	} else {
		var row map[string]any
		if err := json.Unmarshal(data, &row); err != nil {
			return err
		}
		rows = append(rows, row)
	}
	w := tabwriter.NewWriter(out.stdout, 0, 0, 2, ' ', 0)
	_, _ = fmt.Fprintln(w, strings.ToUpper(strings.Join(columns, "\t")))
	for _, row := range rows {
		cells := make([]string, len(columns))
		for i, c := range columns {
			cells[i] = cell(row, c)
		}
		_, _ = fmt.Fprintln(w, strings.Join(cells, "\t"))
	}
	return w.Flush()
}

func cell(row map[string]any, column string) string {
	switch v := row[column].(type) {
	case nil:
		return "-"
	case []any:
		parts := make([]string, len(v))
		for i, p := range v {
			parts[i] = fmt.Sprint(p)
		}
		return strings.Join(parts, ",")
	case string:
		if at, err := time.Parse(time.RFC3339Nano, v); err == nil {
			return at.UTC().Format(time.RFC3339) // a table is for people: no fractions
		}
		return v
	default:
		return fmt.Sprint(v)
	}
}

// said prints a sentence, or the answer's JSON when asked.
func (l local) said(out *output, data json.RawMessage, format string, args ...any) error {
	if l.JSON {
		return l.show(out, data)
	}
	_, err := fmt.Fprintf(out.stdout, format+"\n", args...)
	return err
}
