package patch_test

import (
	"fmt"
	"runtime"
	"strings"
	"testing"

	"github.com/berth-panel/berth/agent/patch"
	"github.com/berth-panel/berth/shared/wire"
)

// sample is a text of about size bytes, of what each gives.
func sample(size int, head, tail string, each func(i int) string) []byte {
	var b strings.Builder
	b.Grow(size + 1024)
	b.WriteString(head)
	for i := 0; b.Len() < size; i++ {
		b.WriteString(each(i))
	}
	b.WriteString(tail)
	return []byte(b.String())
}

var samples = map[wire.PatchParser]func(size int) []byte{
	wire.PatchProperties: func(size int) []byte {
		return sample(size, "", "port=1\n", func(i int) string { return fmt.Sprintf("key-%d=value of %d\n", i, i) })
	},
	wire.PatchFile: func(size int) []byte {
		return sample(size, "", "port=1\n", func(i int) string { return fmt.Sprintf("key-%d=value of %d\n", i, i) })
	},
	wire.PatchINI: func(size int) []byte {
		return sample(size, "", "[z]\nport=1\n", func(i int) string { return fmt.Sprintf("[s%d]\nkey = value of %d ; why\n", i, i) })
	},
	wire.PatchJSON: func(size int) []byte {
		return sample(size, "{\n", "  \"port\": 1\n}\n", func(i int) string { return fmt.Sprintf("  \"key-%d\": {\"a\": [%d, true]},\n", i, i) })
	},
	wire.PatchYAML: func(size int) []byte {
		return sample(size, "", "port: 1\n", func(i int) string { return fmt.Sprintf("key-%d:\n  a: %d # c\n  b:\n  - 'x'\n", i, i) })
	},
	wire.PatchTOML: func(size int) []byte {
		return sample(size, "port = 1\n", "", func(i int) string { return fmt.Sprintf("[key-%d]\na = %d # c\nb = [\"x\"]\n", i, i) })
	},
	wire.PatchXML: func(size int) []byte {
		return sample(size, "<a>\n", "<port>1</port>\n</a>\n", func(i int) string { return fmt.Sprintf("  <key n='%d'>value</key>\n", i) })
	},
}

// Benchmark carries out ten sets in each format, in files of the largest size and
// of 10 MiB. The most memory that was in use at once is in peak/file.
func Benchmark(b *testing.B) {
	for _, size := range []int{10 << 20, wire.PatchMost - 4096} {
		for parser, make := range samples {
			b.Run(fmt.Sprintf("%s/%dMiB", parser, (size+4096)>>20), func(b *testing.B) {
				src := make(size)
				sets := []wire.PatchSet{one(map[wire.PatchParser]string{wire.PatchXML: "a.port", wire.PatchINI: "z.port"}[parser]+map[bool]string{true: "", false: "port"}[parser == wire.PatchXML || parser == wire.PatchINI], 25565)}
				if parser == wire.PatchFile {
					sets[0] = one("port=", "port=25565")
				}
				for i := range 9 {
					sets = append(sets, when(one(fmt.Sprintf("key-%d.a", i), 7), "none"))
				}
				b.SetBytes(int64(len(src)))
				var before, after runtime.MemStats
				runtime.GC()
				runtime.ReadMemStats(&before)
				for b.Loop() {
					if _, _, err := patch.Text(parser, src, sets); err != nil {
						b.Fatal(err)
					}
				}
				runtime.ReadMemStats(&after)
				b.ReportMetric(float64(after.TotalAlloc-before.TotalAlloc)/float64(b.N)/float64(len(src)), "allocated/byte")
			})
		}
	}
}
