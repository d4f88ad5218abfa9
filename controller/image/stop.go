package image

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// keystrokes are signals that a terminal sends for a key.
var keystrokes = map[string]string{"C": "SIGINT", `\`: "SIGQUIT"}

// signals are the names that may stand without SIG.
var signals = []string{"HUP", "INT", "QUIT", "ABRT", "KILL", "USR1", "USR2", "TERM", "STOP", "WINCH", "PWR"}

// stopSignal reads a stop command that means a signal: ^C, ^^C, ^c, ^SIGTERM,
// ^kill. A key for which no terminal sends a signal, such as ^X, is SIGTERM: it
// asks whoever reads no keys as well. "" for a line of the console.
func stopSignal(command string) string {
	name := strings.ToUpper(strings.TrimSpace(strings.TrimLeft(command, "^")))
	switch {
	case !strings.HasPrefix(command, "^") || name == "":
		return ""
	case keystrokes[name] != "":
		return keystrokes[name]
	case slices.Contains(signals, name):
		return "SIG" + name
	case signalName.MatchString(name) && isSignal(name):
		return name
	case len(name) == 1 && name != " ":
		return "SIGTERM"
	}
	return ""
}

// isSignal says whether the engine knows a signal of this name.
func isSignal(name string) bool {
	return unix.SignalNum(name) != 0 || realTime.MatchString(name)
}

// realTime are the signals without names of their own.
var realTime = regexp.MustCompile(`^SIGRTM(IN(\+([1-9]|1[0-5]))?|AX(-([1-9]|1[0-4]))?)$`)

// repairStop writes a stop command as we do, and says what was repaired.
func repairStop(command string) (stop, repaired string) {
	signal := stopSignal(command)
	switch {
	case strings.ContainsAny(command, "\r\n"):
		stop = strings.Join(strings.FieldsFunc(command, func(r rune) bool { return r == '\r' || r == '\n' }), " ")
		return stop, "it is made one line"
	case signal == "" && strings.HasPrefix(command, "^"):
		return "^SIGTERM", fmt.Sprintf("%.40q is no signal; SIGTERM is sent", command)
	case signal == "":
		return command, ""
	case signal == "SIGINT":
		stop = "^C"
	default:
		stop = "^" + signal
	}
	if stop != command {
		repaired = fmt.Sprintf("%q means the signal %s, and is written %s", command, signal, stop)
	}
	return stop, repaired
}
