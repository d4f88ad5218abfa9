package httpapi

import "github.com/berth-panel/berth/shared/problem"

// As refuses a call by the problem in err with another status than its code has:
// for protocols that ask for a certain one. The code stays.
func As(status int, err error) error {
	return &refusal{Problem: problem.From(err), status: status}
}

// Queries gives all values of a query parameter that may come several times.
func (r *Request) Queries(name string) []string {
	var out []string
	for _, value := range r.call.http.QueryArgs().PeekMulti(name) {
		out = append(out, string(value))
	}
	return out
}
