package egg_test

import "fmt"

func sprint(v any) string {
	s := fmt.Sprintf("%q", v)
	if len(s) > 1500 {
		s = s[:1500] + "…"
	}
	return s
}
