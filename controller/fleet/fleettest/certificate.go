package fleettest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"net/http"

	"github.com/berth-panel/berth/shared/problem"
	"github.com/berth-panel/berth/shared/wire"
)

// OnRenew has f decide how the next calls about certificates are answered, by
// their method: POST asks for a request, PUT brings the certificate. nil does
// what the agent does.
func (a *Agent) OnRenew(f func(method string) *Answer) {
	a.change(func() { a.renew = f })
}

// Renewals is how many certificates were put into place.
func (a *Agent) Renewals() int { return look(a, func() int { return a.renewals }) }

func (a *Agent) certificate(w http.ResponseWriter, r *http.Request) {
	how := &Answer{}
	if script := look(a, func() func(string) *Answer { return a.renew }); script != nil {
		if said := script(r.Method); said != nil {
			how = said
		}
	}
	switch {
	case how.Problem != nil:
		refuse(w, how.Problem)
		return
	case how.Status != 0:
		w.WriteHeader(how.Status)
		_, _ = w.Write([]byte(how.Body))
		return
	}
	var request any
	var err error
	if r.Method == http.MethodPost {
		request, err = a.newKey()
	} else {
		err = a.replace(r)
	}
	switch {
	case how.Break:
		panic(http.ErrAbortHandler) // the documented way to break an answer off
	case err != nil:
		refuse(w, problem.From(err))
	case request != nil:
		answer(w, http.StatusOK, request)
	default:
		w.WriteHeader(http.StatusNoContent)
	}
}

func (a *Agent) newKey() (wire.CertificateRequest, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return wire.CertificateRequest{}, err
	}
	der, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{}, key)
	if err != nil {
		return wire.CertificateRequest{}, err
	}
	a.change(func() { a.next = key })
	return wire.CertificateRequest{CSR: string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: der}))}, nil
}

func (a *Agent) replace(r *http.Request) (err error) {
	var in wire.Certificate
	if err := json.NewDecoder(r.Body).Decode(&in); err != nil {
		return problem.New(problem.BadRequest, "not a certificate")
	}
	block, _ := pem.Decode([]byte(in.Certificate))
	if block == nil {
		return problem.New(problem.BadRequest, "not a certificate")
	}
	leaf, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		return err
	}
	a.change(func() {
		if a.next == nil || !a.next.PublicKey.Equal(leaf.PublicKey) {
			err = problem.New(problem.Conflict, "the certificate is not for the key that was asked for last")
			return
		}
		a.cert = tls.Certificate{Certificate: [][]byte{block.Bytes}, PrivateKey: a.next, Leaf: leaf}
		a.key, a.next, a.serial = a.next, nil, leaf.SerialNumber.Text(16)
		a.renewals++
	})
	return err
}
