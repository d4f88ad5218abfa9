// Command berth-controller is the brain of Berth: the API, the database, the
// desired state of every instance.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"github.com/berth-panel/berth/controller/cli"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := cli.Run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}
