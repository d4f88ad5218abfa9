package docker_test

import (
	"testing"

	"github.com/docker/docker/client"
)

// rawClient is Docker's own client, for what the Engine does not show.
func rawClient(t testing.TB, host string) *client.Client {
	t.Helper()
	c, err := client.NewClientWithOpts(client.WithHost(host), client.WithAPIVersionNegotiation())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}
