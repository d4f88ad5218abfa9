//go:build !linux

package stats

import "os"

func readInto(name string, buffer []byte) (int, error) {
	content, err := os.ReadFile(name)
	return copy(buffer, content), err
}

func isNoDevice(error) bool { return false }

func room(string) (used, total int64) { return 0, 0 }
