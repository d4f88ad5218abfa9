// Command probe is what the tests of container engines run inside containers:
// a static program in an otherwise empty image. Its arguments are steps, each a
// verb with its arguments, parted by the word "then":
//
//	probe write /tmp/a hello then serve 8080
//
// The first step that fails ends it with code 70 and a line on stderr.
//
//	exit CODE         ends with that code
//	idle              until SIGTERM or the line "stop" on stdin (code 0), or SIGINT, SIGHUP, SIGQUIT, SIGUSR1 (code 40 + its number)
//	stubborn          until it is killed: ignores each of those signals and stdin
//	serve PORT        as idle; meanwhile echoes tcp and udp on PORT, and answers an HTTP GET with a page
//	echo              copies stdin to stdout until its end
//	lines N           prints N numbered lines
//	say TEXT          prints TEXT, whose escapes are Go's; cry TEXT does so on stderr
//	answer            prints "you said LINE" for each line of stdin, until "stop"
//	size              prints the terminal's size for each line of stdin, until "stop"
//	pace N RATE       prints N numbered lines of 80 bytes, RATE of them a second
//	burst N           prints N more such lines at once for each line of stdin, until "stop"
//	write PATH TEXT   makes a file
//	read PATH         prints a file
//	link TARGET PATH  makes a symbolic link
//	who PATH          writes what the kernel says of this process as JSON (type Who)
//	env PATH          writes the environment, a line each
//	dial ADDR PATH    writes "reached", or why not, into PATH
//	wait MS           does nothing for so many milliseconds
//	hog MIB           fill, then idles
//	fill MIB          takes memory and touches it, and keeps it
//	burn N MS PATH    computes on N threads for MS milliseconds, then writes how many cores it got
//	fork N PATH       starts up to N processes and writes how many it got so far, with a dot at the end; then idles
package main

import (
	"fmt"
	"os"
)

func main() {
	steps := split(os.Args[1:])
	if len(steps) == 0 {
		steps = [][]string{{"idle"}}
	}
	for _, step := range steps {
		if err := run(step[0], step[1:]); err != nil {
			fmt.Fprintf(os.Stderr, "probe %v: %v\n", step, err)
			os.Exit(70)
		}
	}
}

// split cuts the arguments into steps at the word "then".
func split(args []string) [][]string {
	var steps [][]string
	var step []string
	for _, a := range append(args, "then") {
		if a != "then" {
			step = append(step, a)
			continue
		}
		if len(step) > 0 {
			steps = append(steps, step)
			step = nil
		}
	}
	return steps
}

// verb is a step and the number of its arguments.
type verb struct {
	args int
	do   func(args []string) error
}

func run(name string, args []string) error {
	verbs := map[string]verb{
		"exit": {1, exit}, "idle": {0, idle}, "stubborn": {0, stubborn}, "serve": {1, serve},
		"echo": {0, echo}, "lines": {1, lines}, "write": {2, write}, "read": {1, read},
		"say": {1, say}, "cry": {1, cry}, "answer": {0, answerLines}, "size": {0, size}, "pace": {2, pace}, "burst": {1, burst},
		"link": {2, link}, "who": {1, who}, "env": {1, env}, "dial": {2, dial},
		"wait": {1, wait}, "stuff": {1, stuff}, "hog": {1, hog}, "fill": {1, fill}, "burn": {3, burn}, "fork": {2, fork},
	}
	v, ok := verbs[name]
	if !ok {
		return fmt.Errorf("no such verb")
	}
	if len(args) != v.args {
		return fmt.Errorf("takes %d arguments", v.args)
	}
	return v.do(args)
}
