package docker_test

import (
	"bytes"
	"net/http"
	"strings"
	"testing"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/pkg/stdcopy"

	"github.com/berth-panel/berth/agent/runtime"
)

// containerOutput is what a container without a terminal has printed.
func containerOutput(t *testing.T, b bench, id runtime.ContainerID) string {
	t.Helper()
	logs, err := b.raw.ContainerLogs(t.Context(), string(id), container.LogsOptions{ShowStdout: true, ShowStderr: true})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = logs.Close() }()
	var out bytes.Buffer
	if _, err := stdcopy.StdCopy(&out, &out, logs); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

// cutAtBlob cuts a relay when an engine asks a registry for a layer.
func cutAtBlob(r *relay) func(http.ResponseWriter, *http.Request) bool {
	return func(_ http.ResponseWriter, request *http.Request) bool {
		if strings.Contains(request.URL.Path, "/blobs/") {
			r.setCut(true)
		}
		return false
	}
}
