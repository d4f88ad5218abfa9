package image

import (
	"fmt"
	"regexp"
	"strings"

	"github.com/berth-panel/berth/shared/problem"
	"github.com/berth-panel/berth/shared/wire"
)

const (
	maxReadyLines = 16
	maxReadyText  = 512   // bytes of one
	maxSeconds    = 86400 // of what may last longest
	regexPrefix   = "regex:"
)

// CrashPolicy is what is done about a container that ended by itself. What is
// left out has its default.
type CrashPolicy struct {
	Restart       wire.Restart `json:"restart,omitempty" enum:"on-failure,always,never" doc:"After which ends it is started again; on-failure when absent"`
	CleanCodes    []int        `json:"clean_codes,omitempty" maxItems:"256" doc:"Exit codes that count as no error, beside 0"`
	Limit         int          `json:"limit,omitempty" minimum:"-1" maximum:"1000" doc:"So many crashes within the window are too many, and it is left alone; 0 is 5, -1 is never"`
	WindowSeconds int          `json:"window_seconds,omitempty" minimum:"0" maximum:"86400" doc:"0 is 600"`
	QuietSeconds  int          `json:"quiet_seconds,omitempty" minimum:"0" maximum:"86400" doc:"A run of that length clears the record; 0 is 600"`
}

// Check says what is wrong with a policy that came in as field.
func (c CrashPolicy) Check(field string) error {
	switch c.Restart {
	case "", wire.RestartOnFailure, wire.RestartAlways, wire.RestartNever:
	default:
		return problem.Invalid(field+".restart", "must be on-failure, always or never")
	}
	if len(c.CleanCodes) > 256 {
		return problem.Invalid(field+".clean_codes", "at most 256")
	}
	for _, code := range c.CleanCodes {
		if code < 0 || code > 255 {
			return problem.Invalid(field+".clean_codes", "an exit code is 0 to 255")
		}
	}
	switch {
	case c.Limit < -1 || c.Limit > 1000:
		return problem.Invalid(field+".limit", "-1 to 1000")
	case c.WindowSeconds < 0 || c.WindowSeconds > maxSeconds:
		return problem.Invalid(field+".window_seconds", "0 to %d", maxSeconds)
	case c.QuietSeconds < 0 || c.QuietSeconds > maxSeconds:
		return problem.Invalid(field+".quiet_seconds", "0 to %d", maxSeconds)
	}
	return nil
}

// Over is the policy with what it leaves out taken from another one.
func (c CrashPolicy) Over(other CrashPolicy) CrashPolicy {
	if c.Restart == "" {
		c.Restart = other.Restart
	}
	if c.CleanCodes == nil {
		c.CleanCodes = other.CleanCodes
	}
	if c.Limit == 0 {
		c.Limit = other.Limit
	}
	if c.WindowSeconds == 0 {
		c.WindowSeconds = other.WindowSeconds
	}
	if c.QuietSeconds == 0 {
		c.QuietSeconds = other.QuietSeconds
	}
	return c
}

// checkReady says what is wrong with what tells of a start's success.
func (d Definition) checkReady() error {
	if len(d.ReadyLines) > maxReadyLines {
		return problem.Invalid("ready_lines", "at most %d", maxReadyLines)
	}
	if d.StartTimeoutSeconds < 0 || d.StartTimeoutSeconds > maxSeconds {
		return problem.Invalid("start_timeout_seconds", "0 to %d", maxSeconds)
	}
	if d.ReadyLine != "" {
		if err := checkReadyLine("ready_line", d.ReadyLine); err != nil {
			return err
		}
	}
	for n, line := range d.ReadyLines {
		if err := checkReadyLine(fmt.Sprintf("ready_lines[%d]", n), line); err != nil {
			return err
		}
	}
	if d.Crash == nil {
		return nil
	}
	return d.Crash.Check("crash_policy")
}

func checkReadyLine(field, line string) error {
	if line == "" || len(line) > maxReadyText || strings.ContainsAny(line, "\x00\r\n") {
		return problem.Invalid(field, "1 to %d bytes of one line", maxReadyText)
	}
	text, isPattern := strings.CutPrefix(line, regexPrefix)
	if !isPattern {
		return nil
	}
	if _, err := regexp.Compile(text); err != nil {
		return problem.Invalid(field, "not an expression of RE2: %.200s", err)
	}
	return nil
}

// Ready is what tells that a start has succeeded. What no node would take, in an
// image that was kept before this was checked, is left out.
func (d Definition) Ready() wire.Ready {
	r := wire.Ready{WithinSeconds: d.StartTimeoutSeconds}
	for _, line := range append([]string{d.ReadyLine}, d.ReadyLines...) {
		if len(r.Lines) < maxReadyLines && line != "" && checkReadyLine("", line) == nil {
			r.Lines = append(r.Lines, line)
		}
	}
	return r
}

// CrashDefaults is the image's policy; the zero one when it has none.
func (d Definition) CrashDefaults() CrashPolicy {
	if d.Crash == nil {
		return CrashPolicy{}
	}
	return *d.Crash
}
