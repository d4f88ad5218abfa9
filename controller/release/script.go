package release

import (
	"crypto/sha256"
	_ "embed" // the script
	"encoding/hex"
	"strings"

	"github.com/berth-panel/berth/controller/node"
)

//go:embed agent.sh
var script string

// The paths of what is fetched by machines.
const (
	scriptPath  = "/install/agent.sh"
	programPath = "/install/berth-agent-linux-"
)

// Script gives the installer of agents for the controller at this URL.
func (p *Programs) Script(url string) ([]byte, error) {
	s, err := p.load()
	if err != nil {
		return nil, err
	}
	values := []string{"@URL@", node.ShellWord(url), "@RELEASE@", node.ShellWord(s.release)}
	for _, arch := range Architectures() {
		values = append(values, "@"+strings.ToUpper(arch)+"@", s.byArch[arch].SHA256)
	}
	return []byte(strings.NewReplacer(values...).Replace(script)), nil
}

// Line gives the one line that makes a machine a node of the controller at this
// URL. options are for the script, each a word.
func (p *Programs) Line(url string, options ...string) (string, error) {
	text, err := p.Script(url)
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256(text)
	from := node.ShellWord(url + scriptPath)
	words := make([]string, 0, len(options))
	for _, o := range options {
		words = append(words, node.ShellWord(o))
	}
	// In this order: fetched by what there is, checked, run by root. Where there
	// is no sudo its place stays empty. The sum says whether it is ours, so that a
	// controller may have a certificate that machines don't know.
	return `f=$(mktemp) && { curl -fsSko "$f" ` + from + ` || wget --no-check-certificate -qO "$f" ` + from + `; } && echo "` + hex.EncodeToString(sum[:]) +
		`  $f" | sha256sum -c --quiet && $(command -v sudo) sh "$f" ` + strings.Join(words, " "), nil
}
