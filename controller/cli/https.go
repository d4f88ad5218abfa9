package cli

import (
	"net"

	"github.com/berth-panel/berth/controller/certificate"
)

// httpsFlags say how HTTPS is spoken, if it is.
type httpsFlags struct {
	Cert       string   `name:"tls-cert" help:"PEM file of the certificate and its chain: HTTPS is spoken. It is read again when it changes." env:"BERTH_TLS_CERT" type:"path"`
	Key        string   `name:"tls-key" help:"PEM file of the certificate's key." env:"BERTH_TLS_KEY" type:"path"`
	Domains    []string `name:"acme-domain" help:"Name that a certificate is fetched for, such as panel.example.com: HTTPS is spoken. It must lead here, with port 443 to --listen or port 80 to --http-listen. Repeatable." sep:"," env:"BERTH_ACME_DOMAIN"`
	Email      string   `name:"acme-email" help:"Whom the authority may write to." env:"BERTH_ACME_EMAIL"`
	Directory  string   `name:"acme-directory" help:"URL of the authority's ACME directory; default: Let's Encrypt." env:"BERTH_ACME_DIRECTORY"`
	Roots      string   `name:"acme-roots" help:"PEM file of the certificates that an authority of one's own is recognised by." env:"BERTH_ACME_ROOTS" type:"path"`
	HTTPListen string   `name:"http-listen" help:"HOST:PORT that sends browsers to HTTPS and answers the authority, such as :80. Default: none." env:"BERTH_HTTP_LISTEN"`
}

func (f httpsFlags) options() certificate.Options {
	return certificate.Options{CertFile: f.Cert, KeyFile: f.Key, Domains: f.Domains, Email: f.Email, Directory: f.Directory, Roots: f.Roots}
}

// guessURL is where this machine can be reached, as far as it can know.
func (f httpsFlags) guessURL(addr net.Addr) string {
	if !f.options().On() {
		return guessURL("http", "", addr)
	}
	host := ""
	if len(f.Domains) > 0 {
		host = f.Domains[0]
	}
	return guessURL("https", host, addr)
}
