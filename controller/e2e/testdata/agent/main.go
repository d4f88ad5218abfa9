// Command agent is a bad release of the agent, for the tests: it says its
// version as it should, and then does what mode says. What guards an update is
// the same in it as in a good one.
package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"time"

	"github.com/berth-panel/berth/agent/update"
	"github.com/berth-panel/berth/shared/build"
)

var mode = "" // by -ldflags

func main() {
	if len(os.Args) > 1 && os.Args[1] == "version" {
		fmt.Printf("berth-agent %s, wire 2\n", build.Version)
		return
	}
	u := update.Open(update.Options{
		Dir: os.Getenv("BERTH_AGENT_RELEASES"), Log: slog.New(slog.NewTextHandler(os.Stderr, nil)), Now: time.Now, Args: os.Args, Trial: time.Second,
	})
	switch mode {
	case "crash":
		os.Exit(3)
	case "fail":
		_ = u.Run(context.Background(), func(context.Context) error { return errors.New("its journal is of another kind") })
	default: // it hangs before it serves
		select {}
	}
}
