package e2e

import (
	"encoding/json"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/berth-panel/berth/agent/runtime"
	"github.com/berth-panel/berth/agent/runtime/fake"
	"github.com/berth-panel/berth/shared/ident"
)

// importFile is one file of an import.
type importFile struct {
	Name string `json:"name"`
	Text string `json:"text"`
}

// publicEggs gives the eggs that are kept beside the repository; without them the
// test is skipped.
func publicEggs(t *testing.T) []importFile {
	t.Helper()
	root, err := filepath.Abs("../../../shared/corpus/eggs")
	if err != nil {
		t.Fatal(err)
	}
	var files []importFile
	err = filepath.WalkDir(root, func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() || !slices.Contains([]string{".json", ".yaml", ".yml"}, filepath.Ext(path)) {
			return err
		}
		text, err := os.ReadFile(path)
		files = append(files, importFile{strings.TrimPrefix(path, root), string(text)})
		return err
	})
	if err != nil || len(files) == 0 {
		t.Skip("the public eggs are not there: ", err)
	}
	return files
}

// importAll brings files into the catalogue and gives the images' ids by file.
func (p *panel) importAll(files []importFile) map[string]string {
	p.t.Helper()
	images := map[string]string{}
	var report data[struct {
		Files []struct {
			File, Status, Error string
			ImageID             string `json:"image_id"`
		}
	}]
	p.must(http.StatusCreated, "POST", "/api/v1/images/import", map[string]any{"files": files}, &report)
	for _, f := range report.Data.Files {
		if f.ImageID == "" {
			p.t.Errorf("%s is %s: %s", f.File, f.Status, f.Error)
			continue
		}
		images[f.File] = f.ImageID
	}
	return images
}

// tries are values that keep one or another of the rules that eggs have.
var tries = []string{"1", "25565", "value", "server.jar", "https://example.test/file.zip", "0", "abcdefgh", "1.20.1", "ABCDEFGHIJKLMNOPQRSTUVWXYZ012345", "12345678901234567", "user@example.test",
	"/home/container/x", "192.0.2.1", "a/b", "en", "world", "latest", "0123456789abcdef0123456789abcdef", "a:b", "mc.txt", "76561198000000000", "true"}

// deployEgg makes an instance; where the form is refused it tries other values in
// the fields that are named.
func (p *panel) deployEgg(image, owner string, node ident.Node, port int) (instance, job string) {
	p.t.Helper()
	values := map[string]string{}
	for try := range len(tries) + 1 {
		body := map[string]any{"name": "egg", "owner_id": owner, "node_id": node, "image_id": image, "memory": 16, "cpu": 0.1, "disk": 64, "variables": values,
			"ports": []map[string]any{{"container": port, "host": port}}}
		status, text := p.raw(adminKey, "POST", "/api/v1/instances", body)
		var made data[struct{ Instance, Job struct{ ID string } }]
		if status == http.StatusAccepted {
			if err := json.Unmarshal(text, &made); err != nil {
				p.t.Fatal(err)
			}
			return made.Data.Instance.ID, made.Data.Job.ID
		}
		var refused struct {
			Error struct {
				Details []struct {
					Field, Rule string
					Params      map[string]string
				}
			}
		}
		if err := json.Unmarshal(text, &refused); err != nil || status != 422 || len(refused.Error.Details) == 0 || try == len(tries) {
			p.t.Errorf("image %s: %d %s", image, status, text)
			return "", ""
		}
		for _, d := range refused.Error.Details {
			name, isVariable := strings.CutPrefix(d.Field, "variables.")
			if !isVariable {
				p.t.Fatalf("image %s: %s", image, text)
			}
			if values[name] = tries[try]; d.Rule == "in" {
				values[name], _, _ = strings.Cut(d.Params["values"], ", ")
			}
		}
	}
	return "", ""
}

// TestHalfOfThePublicEggsRun deploys a random half of them on a real agent whose
// engine is scripted: each is installed by its script, patched and started, and is
// told nothing with a placeholder in it.
func TestHalfOfThePublicEggsRun(t *testing.T) {
	t.Parallel()
	files := publicEggs(t)
	p := startPanel(t, "")
	owner := p.user("anna")
	images := p.importAll(files)
	h, engine := p.addPlayed("a")
	engine.SetProgram(func(s runtime.ContainerSpec) fake.Program {
		return fake.Program{Ends: s.Role == runtime.RoleInstall, Runs: time.Millisecond}
	})
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	shuffled := rand.New(rand.NewPCG(seed, 0)).Perm(len(files)) //nolint:gosec // which eggs are tried is no secret
	jobs, names := map[string]string{}, map[string]string{}
	for n, k := range shuffled[:len(files)/2] {
		file := files[k]
		if images[file.Name] == "" {
			continue
		}
		p.haveImages(engine, images[file.Name])
		instance, job := p.deployEgg(images[file.Name], owner, h.id, 20000+n)
		jobs[instance], names[instance] = job, file.Name
	}
	for instance, job := range jobs {
		if instance == "" {
			continue
		}
		var ended jobView
		eventually(t, names[instance]+" is deployed", func() bool {
			ended = p.job(job)
			return slices.Contains([]string{"succeeded", "failed", "cancelled"}, ended.State)
		})
		if ended.State != "succeeded" {
			t.Errorf("%s: %+v: %+v", names[instance], ended, ended.Failure)
			continue
		}
		boxes := engine.Find(ident.Instance(instance))
		if len(boxes) != 1 || boxes[0].Status != runtime.Running {
			t.Errorf("%s: its containers are %+v", names[instance], boxes)
			continue
		}
		spec := engine.Spec(boxes[0].ID)
		if text := fmt.Sprint(spec.Env, spec.Command, spec.Entrypoint); strings.Contains(text, "{{server.") || strings.Contains(text, "{{env.") || !slices.ContainsFunc(spec.Env, func(e string) bool {
			return strings.HasPrefix(e, "STARTUP=") && e != "STARTUP=" && !strings.Contains(e, "{{")
		}) {
			t.Errorf("%s: its container is told %s", names[instance], text)
		}
	}
}

// haveImages gives the engine what an image of the catalogue names.
func (p *panel) haveImages(engine *fake.Engine, id string) {
	p.t.Helper()
	var img data[struct {
		References []string
		Script     *struct{ Image string }
	}]
	p.must(http.StatusOK, "GET", "/api/v1/images/"+id, nil, &img)
	wanted := img.Data.References
	if img.Data.Script != nil {
		wanted = append(wanted, img.Data.Script.Image)
	}
	for _, reference := range wanted {
		engine.AddImage(reference, runtime.Image{Entrypoint: []string{"/entrypoint.sh"}}, nil)
	}
}
