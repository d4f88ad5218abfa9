package mail

import (
	"bytes"
	"embed"
	"errors"
	"fmt"
	htmltemplate "html/template"
	"io/fs"
	"path"
	"strings"
	"text/template"

	"github.com/berth-panel/berth/controller/setting"
)

//go:embed texts
var textFS embed.FS

// texts are the mails in all languages: texts/LOCALE/NAME.txt, whose first line is
// the subject, and whose paragraphs come after it. A paragraph that is nothing but
// the link is a button in HTML. A language more is a folder more.
type texts struct {
	of     map[string]*template.Template // by "locale/name"
	layout *htmltemplate.Template
}

// written is a mail's text in both forms.
type written struct{ subject, plain, html string }

func readTexts() (texts, error) {
	t := texts{of: map[string]*template.Template{}}
	files, err := fs.Glob(textFS, "texts/*/*.txt")
	if err != nil {
		return t, err
	}
	for _, file := range files {
		body, err := textFS.ReadFile(file)
		if err != nil {
			return t, fmt.Errorf("read the text of a mail: %w", err)
		}
		name := strings.TrimSuffix(strings.TrimPrefix(file, "texts/"), path.Ext(file))
		if t.of[name], err = template.New(name).Option("missingkey=error").Parse(string(body)); err != nil {
			return t, fmt.Errorf("read the text of a mail: %w", err)
		}
	}
	layout, err := textFS.ReadFile("texts/layout.html")
	if err != nil {
		return t, fmt.Errorf("read the layout of mails: %w", err)
	}
	t.layout, err = htmltemplate.New("layout").Parse(string(layout))
	return t, err
}

// render writes a letter in its language, or in the panel's, or in English.
func (t texts) render(l Letter, panel setting.Panel) (written, error) {
	var text *template.Template
	locale := l.Locale
	language, _, _ := strings.Cut(l.Locale, "-") // de of de-AT
	for _, locale = range []string{l.Locale, language, panel.Locale, "en"} {
		if text = t.of[locale+"/"+l.Text]; text != nil {
			break
		}
	}
	if text == nil {
		return written{}, fmt.Errorf("there is no text %q", l.Text)
	}
	data := map[string]string{"Panel": plainText(panel.Name), "Link": l.Link}
	for name, value := range l.Fields {
		data[name] = plainText(value)
	}
	var b bytes.Buffer
	if err := text.Execute(&b, data); err != nil {
		return written{}, fmt.Errorf("write a mail: %w", err)
	}
	subject, body, ok := strings.Cut(strings.TrimSpace(b.String()), "\n\n")
	if !ok {
		return written{}, errors.New("the text of a mail has no body")
	}
	return t.page(locale, plainText(subject), body, data)
}

type paragraph struct {
	Text   string
	Button bool
}

// page makes both forms of one text.
func (t texts) page(locale, subject, body string, data map[string]string) (written, error) {
	var plain, parts = []string{}, []paragraph{}
	for p := range strings.SplitSeq(body, "\n\n") {
		if p = strings.TrimSpace(p); p == "" {
			continue
		}
		plain = append(plain, p)
		parts = append(parts, paragraph{Text: strings.ReplaceAll(p, "\n", " "), Button: data["Link"] != "" && p == data["Link"]})
	}
	var html bytes.Buffer
	err := t.layout.Execute(&html, map[string]any{"Locale": locale, "Subject": subject, "Panel": data["Panel"], "Link": data["Link"], "Parts": parts})
	if err != nil {
		return written{}, fmt.Errorf("write a mail: %w", err)
	}
	return written{subject: subject, plain: strings.Join(plain, "\n\n") + "\n\n-- \n" + data["Panel"] + "\n", html: html.String()}, nil
}
