package docker

import (
	"context"

	"github.com/berth-panel/berth/agent/runtime"
)

// Info asks the engine for its version and its machine's size. StorageBytes
// and StorageFree are 0 for an engine on another machine.
func (e *Engine) Info(ctx context.Context) (runtime.Info, error) {
	info, err := e.api.Info(ctx)
	if err != nil {
		return runtime.Info{}, failure(ctx, err, runtime.Unknown, "the container engine does not say what it is")
	}
	out := runtime.Info{
		Engine:      "docker",
		Version:     info.ServerVersion,
		OS:          info.OperatingSystem,
		Kernel:      info.KernelVersion,
		Arch:        goArch(info.Architecture),
		Cores:       info.NCPU,
		MemoryBytes: info.MemTotal,
	}
	if e.local {
		out.StorageBytes, out.StorageFree = filesystem(info.DockerRootDir)
	}
	return out, nil
}

// goArch turns the kernel's name of an architecture into Go's.
func goArch(machine string) string {
	names := map[string]string{
		"x86_64": "amd64", "aarch64": "arm64", "armv7l": "arm", "armv6l": "arm", "i386": "386", "i686": "386",
		"loongarch64": "loong64",
	}
	if name, ok := names[machine]; ok {
		return name
	}
	return machine // riscv64, ppc64le, s390x are the same in both
}
