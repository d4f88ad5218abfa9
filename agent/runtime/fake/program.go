package fake

import (
	"strconv"
	"strings"
	"time"
)

// Program is what a container does once it is started, as far as an engine can
// see it. The zero Program runs until any signal (code 128 and its number) or
// the line "stop" (code 0) ends it.
type Program struct {
	Missing bool // it can't be started: the command is not in the image

	Ends     bool          // it ends by itself
	Runs     time.Duration // with Ends: so long after its start
	ExitCode int           // with Ends
	OOM      bool          // with Ends: because it ran out of memory (code 137)

	Stubborn  bool                                    // only SIGKILL ends it
	StopTakes time.Duration                           // how long it needs to end when it is asked to
	OnSignal  func(number int) (code int, ends bool)  // nil: every signal ends it with 128 and its number
	OnLine    func(line string) (code int, ends bool) // nil: "stop" ends it with 0
	Says      string                                  // that it prints at its start
	Cries     string                                  // and on stderr
	Answers   func(line string) string                // what it prints when it reads a line
	Files     map[string]string                       // that it writes at its start, by absolute path
	Links     map[string]string                       // that it makes at its start: path to target

	Checked bool // its image has a health check, which says what SetHealth says
}

func (p Program) signalled(number int) (code int, ends bool) {
	switch {
	case p.Stubborn:
		return 0, false
	case p.OnSignal != nil:
		return p.OnSignal(number)
	}
	return 128 + number, true
}

// hit is signalled, by any signal: SIGKILL asks nobody.
func (p Program) hit(number int) (code int, ends bool) {
	if number == sigkill {
		return 128 + sigkill, true
	}
	return p.signalled(number)
}

func (p Program) heard(line string) (code int, ends bool) {
	switch {
	case p.Stubborn:
		return 0, false
	case p.OnLine != nil:
		return p.OnLine(line)
	}
	return 0, line == "stop"
}

const sigkill = 9

// signalNumber reads a signal's name ("SIGINT", "INT") or number.
func signalNumber(name string) (int, bool) {
	if n, err := strconv.Atoi(name); err == nil {
		return n, n > 0 && n < 65
	}
	numbers := map[string]int{
		"HUP": 1, "INT": 2, "QUIT": 3, "ILL": 4, "TRAP": 5, "ABRT": 6, "BUS": 7, "FPE": 8, "KILL": sigkill, "USR1": 10,
		"SEGV": 11, "USR2": 12, "PIPE": 13, "ALRM": 14, "TERM": 15, "CHLD": 17, "CONT": 18, "STOP": 19, "TSTP": 20, "WINCH": 28,
		"PWR": 30, "SYS": 31, "RTMIN": 34,
	}
	n, ok := numbers[strings.TrimPrefix(strings.ToUpper(name), "SIG")]
	if base, plus, found := strings.Cut(strings.ToUpper(name), "+"); found && strings.TrimPrefix(base, "SIG") == "RTMIN" {
		more, err := strconv.Atoi(plus)
		return numbers["RTMIN"] + more, err == nil && more >= 0 && more <= 30
	}
	return n, ok
}
