package patch_test

import (
	"bytes"
	"encoding/json"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"

	"github.com/berth-panel/berth/agent/patch"
	"github.com/berth-panel/berth/shared/wire"
)

// corpus is a folder of real eggs beside the repository; the test is skipped
// where there is none.
func corpus(t *testing.T) []string {
	t.Helper()
	at, err := os.Getwd()
	must(t, err)
	for at != filepath.Dir(at) {
		at = filepath.Dir(at)
		var list []string
		err := filepath.WalkDir(filepath.Join(at, "shared", "corpus", "eggs"), func(path string, entry fs.DirEntry, err error) error {
			if err == nil && slices.Contains([]string{".json", ".yaml", ".yml"}, filepath.Ext(path)) && entry.Type().IsRegular() {
				list = append(list, path)
			}
			return err
		})
		if err == nil && len(list) > 0 {
			return list
		}
	}
	t.Skip("there is no corpus here")
	return nil
}

var placeholder = regexp.MustCompile(`\{\{[^{}]*\}\}`)

// filled puts a value in the place of each name, as the controller does.
func filled(text string) string {
	return placeholder.ReplaceAllStringFunc(text, func(name string) string {
		if strings.Contains(name, "port") || strings.Contains(name, "PORT") || strings.Contains(name, "MAX") {
			return "25565"
		}
		return "value"
	})
}

// configs are the config files of an egg, as patches.
func configs(t *testing.T, file string) []wire.Patch {
	t.Helper()
	raw, err := os.ReadFile(file)
	must(t, err)
	var egg struct {
		Config struct{ Files any }
	}
	if yaml.Unmarshal(raw, &egg) != nil { // JSON is YAML, too
		return nil
	}
	files := egg.Config.Files
	if text, ok := files.(string); ok {
		if json.Unmarshal([]byte(text), &files) != nil {
			return nil
		}
	}
	var list []wire.Patch
	named, _ := files.(map[string]any)
	for name, one := range named {
		config, _ := one.(map[string]any)
		parser, _ := config["parser"].(string)
		if parser == "yml" {
			parser = "yaml"
		}
		p := wire.Patch{Path: filled(name), Parser: wire.PatchParser(parser)}
		find, _ := config["find"].(map[string]any)
		for match, value := range find {
			if conditions, ok := value.(map[string]any); ok {
				for old, value := range conditions {
					p.Set = append(p.Set, when(valueOf(match, value), old))
				}
				continue
			}
			p.Set = append(p.Set, valueOf(match, value))
		}
		slices.SortFunc(p.Set, func(a, b wire.PatchSet) int { return strings.Compare(a.Match+a.If, b.Match+b.If) })
		list = append(list, p)
	}
	return list
}

func valueOf(match string, value any) wire.PatchSet {
	if text, ok := value.(string); ok {
		value = filled(text)
		if value == "25565" {
			value = 25565
		}
	}
	return one(filled(match), value)
}

// TestTheCorpusIsPatched carries out what real eggs ask for: on nothing, on files
// as their programs write them, and twice.
func TestTheCorpusIsPatched(t *testing.T) {
	t.Parallel()
	patches := 0
	for _, file := range corpus(t) {
		for _, p := range configs(t, file) {
			patches++
			if !patch.Knows(p.Parser) {
				t.Errorf("%s: parser %q", filepath.Base(file), p.Parser)
				continue
			}
			made, placed := apply(t, p.Parser, nil, p.Set...)
			if !placed || len(made) == 0 && p.Parser != wire.PatchFile && slices.ContainsFunc(p.Set, func(s wire.PatchSet) bool { return s.If == "" && !strings.Contains(s.Match, "*") }) {
				t.Errorf("%s, %s: made %q", filepath.Base(file), p.Path, made)
			}
			for _, sample := range programs[p.Parser] {
				if out, placed := apply(t, p.Parser, []byte(sample), p.Set...); !placed {
					t.Errorf("%s, %s: %s", filepath.Base(file), p.Path, out)
				}
			}
		}
	}
	t.Logf("%d config files", patches)
	if patches == 0 {
		t.Error("no egg has a config file")
	}
}

// programs are config files as usual programs write them.
var programs = map[wire.PatchParser][]string{
	wire.PatchProperties: {"#Server properties\n#Sun Nov 22 10:00:00 UTC 2026\nenable-query=false\nmotd=A \\u00A7aserver\nquery.port=25565\nserver-ip=\nserver-port=25565\nlevel-name=world\nlevel-seed=\nmax-players=20\n"},
	wire.PatchYAML: {
		"server_connector: x\nlisteners:\n- query_port: 25577\n  motd: '&1Hello'\n  priorities:\n  - lobby\n  bind_local_address: true\n  host: 0.0.0.0:25577\nservers:\n  lobby:\n    motd: '&1Lobby'\n    address: localhost:25566\n    restricted: false\nip_forward: false\n",
		"# bukkit.yml\nsettings:\n    allow-end: true\nserver:\n  port: 1 # here\n  address: 127.0.0.1\n  http_listen_port: 3100\ncommon:\n  ring:\n    instance_addr: 127.0.0.1\n    kvstore:\n      store: inmemory\n  path_prefix: /loki\nbind:\n  ip: 'localhost'\n  port: 65535\nconsole: {prompt: '> '}\nport: 1\nbind-address: 127.0.0.1\n",
	},
	wire.PatchJSON: {"{\n  \"port\": 7777,\n  \"apps\": {\n    \"http\": {\n      \"servers\": {\n        \"srv0\": {\n          \"listen\": [\n            \":80\"\n          ]\n        }\n      }\n    }\n  }\n}\n"},
	wire.PatchINI:  {"; murmur\ndatabase=\n\nport=64738\nhost=\nusers=100\n[Ice]\n", "[Server]\nDescription=Cuberite\nPorts=25565\n\n[User:admin]\nPassword=admin\n[WebAdmin]\nPorts=8080\n[server]\nhttp_port = 3000\n"},
	wire.PatchFile: {"# port = 1\nport = 5432\n#port = 5432\t# (change)\nlisteners.tcp.default = 5672\n#security:\nbind = \"0.0.0.0:25577\"\n  port = 1\n  ip = \"x\"\npassword: x\nbind-addr: y\n"},
}

// TestTheCorpusItselfIsPatched changes the eggs' own files, which are JSON and YAML
// of many hands: other readers find in them what was there, and what was set.
func TestTheCorpusItselfIsPatched(t *testing.T) {
	t.Parallel()
	for i, file := range corpus(t) {
		if i%5 != 0 { // the other reader takes its time
			continue
		}
		src, err := os.ReadFile(file)
		must(t, err)
		parsers := []wire.PatchParser{wire.PatchYAML}
		if filepath.Ext(file) == ".json" {
			parsers = append(parsers, wire.PatchJSON) // which is YAML, too
		}
		var before map[string]any
		if yaml.Unmarshal(src, &before) != nil {
			continue
		}
		for _, parser := range parsers {
			out, placed := apply(t, parser, src, one("name", "it's: \"new\" #1"), one("added.deep", 7), one("meta.version", "x y"))
			var after map[string]any
			if err := yaml.Unmarshal(out, &after); err != nil || !placed {
				t.Errorf("%s as %s: %v", filepath.Base(file), parser, err)
				continue
			}
			want := maps.Clone(before)
			meta, _ := before["meta"].(map[string]any)
			meta = maps.Clone(meta)
			if meta == nil {
				meta = map[string]any{}
			}
			meta["version"] = "x y"
			want["name"], want["added"], want["meta"] = "it's: \"new\" #1", map[string]any{"deep": uint64(7)}, meta
			if !reflect.DeepEqual(after, want) {
				t.Errorf("%s as %s says something else", filepath.Base(file), parser)
			}
			if lines := bytes.Count(out, []byte("\n")) - bytes.Count(src, []byte("\n")); lines < 0 || lines > 6 {
				t.Errorf("%s as %s: %d lines more", filepath.Base(file), parser, lines)
			}
		}
	}
}
