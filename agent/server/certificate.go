package server

import (
	"net/http"

	"github.com/berth-panel/berth/shared/problem"
	"github.com/berth-panel/berth/shared/wire"
)

// Certificates are the node's own (agent/enrol).
type Certificates interface {
	Request() (csr string, err error)
	Install(certificate string) error
}

// requestCertificate is POST /v1/certificate: the agent makes a new key and asks
// for a certificate.
func (d *Door) requestCertificate(w http.ResponseWriter, r *http.Request) {
	if d.Certificates == nil {
		refuse(w, problem.New(problem.NotFound, "no such call"))
		return
	}
	csr, err := d.Certificates.Request()
	if err != nil {
		d.refuseCertificate(w, r, err)
		return
	}
	answer(w, http.StatusOK, wire.CertificateRequest{CSR: csr})
}

// installCertificate is PUT /v1/certificate: the certificate for that key.
func (d *Door) installCertificate(w http.ResponseWriter, r *http.Request) {
	if d.Certificates == nil {
		refuse(w, problem.New(problem.NotFound, "no such call"))
		return
	}
	var in wire.Certificate
	err := decode(w, r, &in)
	if err == nil {
		err = d.Certificates.Install(in.Certificate)
	}
	if err != nil {
		d.refuseCertificate(w, r, err)
		return
	}
	d.Log.Info("the node's certificate was renewed")
	w.WriteHeader(http.StatusNoContent)
}

func (d *Door) refuseCertificate(w http.ResponseWriter, r *http.Request, err error) {
	d.Log.Warn("the node's certificate was not renewed", "method", r.Method, "error", err)
	refuse(w, err)
}
