package e2e
import ("testing";"fmt";"os";"strings")
func BenchmarkProf(b *testing.B) {
	n := 1000
	if os.Getenv("N") != "" { fmt.Sscan(os.Getenv("N"), &n) }
	s := startPopulated(b, n)
	dir := s.data
	s.process.stop()
	p := startPanel(b, dir)
	st := &site{panel: p, process: program{pid: os.Getpid()}}
	path := "/api/v1/instances?limit=50"
	if os.Getenv("P") != "" { path = os.Getenv("P") }
	b.ResetTimer()
	l := st.load(b, path, strings.Contains(os.Getenv("W"), "1"))
	l.report(b)
}
