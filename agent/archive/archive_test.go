package archive

import (
	"archive/tar"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/klauspost/compress/zip"
	"github.com/klauspost/compress/zstd"
	lesser "github.com/mikelolasagasti/xz"
	"github.com/ulikunitz/xz"

	"github.com/berth-panel/berth/shared/problem"
	"github.com/berth-panel/berth/shared/wire"
)

var formats = []wire.ArchiveFormat{wire.ArchiveZip, wire.ArchiveTar, wire.ArchiveTarGz, wire.ArchiveTarXz, wire.ArchiveTarZs}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// unpack reads all of an archive.
func unpack(data []byte, limits Limits) (map[wire.Path]string, error) {
	r, err := Open(bytes.NewReader(data), int64(len(data)), "x.gz", limits)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	all := map[wire.Path]string{}
	for {
		e, err := r.Next()
		if errors.Is(err, io.EOF) {
			return all, nil
		}
		if err != nil {
			return all, err
		}
		if !e.Path.Valid() || e.Path == wire.Root || e.Mode > 0o777 || e.Kind < File || e.Kind > Hard {
			return all, fmt.Errorf("a bad entry was let through: %+v", e)
		}
		text := fmt.Sprint(e.Kind, " ", e.Target)
		if e.Kind == File {
			content, err := io.ReadAll(r)
			if err != nil {
				return all, err
			}
			text = string(content)
		}
		all[e.Path] = text
	}
}

func pack(t testing.TB, format wire.ArchiveFormat, files map[string]string) []byte {
	t.Helper()
	var out bytes.Buffer
	w, err := NewWriter(format, &out)
	must(t, err)
	for name, text := range files {
		must(t, w.Add(Entry{Path: wire.Path(name), Kind: File, Mode: 0o644, MTime: time.Unix(1, 0), Size: int64(len(text))}, strings.NewReader(text)))
	}
	must(t, w.Close())
	return out.Bytes()
}

func TestThereAndBack(t *testing.T) {
	t.Parallel()
	for _, format := range formats {
		got, err := unpack(pack(t, format, map[string]string{"d/\xff": "odd", "é": strings.Repeat("x", 100_000)}), Limits{})
		if err != nil || len(got) != 2 || got["d/\xff"] != "odd" || len(got["é"]) != 100_000 {
			t.Errorf("%s: %d, %v", format, len(got), err)
		}
		got, err = unpack(pack(t, format, nil), Limits{})
		if err != nil || len(got) != 0 {
			t.Errorf("%s, empty: %v, %v", format, got, err)
		}
	}
	if _, err := NewWriter("rar", io.Discard); !problem.Is(err, problem.Validation) {
		t.Errorf("rar: %v", err)
	}
}

func TestAFileThatShrinksIsFilledUp(t *testing.T) {
	t.Parallel()
	for _, format := range formats {
		var out bytes.Buffer
		w, err := NewWriter(format, &out)
		must(t, err)
		must(t, w.Add(Entry{Path: "f", Kind: File, Size: 10}, strings.NewReader("abc")))
		must(t, w.Add(Entry{Path: "g", Kind: File, Size: 2}, strings.NewReader("grew")))
		must(t, w.Close())
		got, err := unpack(out.Bytes(), Limits{})
		if err != nil || strings.TrimRight(got["f"], "\x00") != "abc" || got["g"] != "gr" {
			t.Errorf("%s: %q, %v", format, got, err)
		}
	}
}

func TestLimits(t *testing.T) {
	t.Parallel()
	for _, format := range formats {
		data := pack(t, format, map[string]string{"a": strings.Repeat("a", 6000), "b": strings.Repeat("b", 6000)})
		if _, err := unpack(data, Limits{Bytes: 11_999}); !problem.Is(err, problem.InsufficientResources) {
			t.Errorf("%s, bytes: %v", format, err)
		}
		if _, err := unpack(data, Limits{Bytes: 12_000, Entries: 2}); err != nil {
			t.Errorf("%s: %v", format, err)
		}
		if _, err := unpack(data, Limits{Entries: 1}); !problem.Is(err, problem.Validation) {
			t.Errorf("%s, entries: %v", format, err)
		}
		if _, err := unpack(data[:len(data)*2/3], Limits{}); !problem.Is(err, problem.Validation) {
			t.Errorf("%s, cut: %v", format, err)
		}
	}
}

func TestABombGoesOffNowhere(t *testing.T) {
	t.Parallel()
	for _, format := range formats {
		if format == wire.ArchiveTar {
			continue // is as large as what is in it
		}
		data := pack(t, format, map[string]string{"a": strings.Repeat("\x00", 300<<10)})
		_, err := unpack(data, Limits{Free: 1 << 10})
		if ratio := int64(300<<10) / int64(len(data)); (err != nil) != (ratio > mostRatio) || err != nil && !problem.Is(err, problem.Validation) {
			t.Errorf("%s, %d times as large: %v", format, ratio, err)
		}
		if _, err := unpack(data, Limits{}); err != nil {
			t.Errorf("%s, small: %v", format, err)
		}
	}
}

func TestNoDecoderTakesWhatAnArchiveAsksFor(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	x, err := xz.NewWriter(&out)
	must(t, err)
	_, err = x.Write([]byte("x"))
	must(t, err)
	must(t, x.Close())
	if got, err := unpack(out.Bytes(), Limits{}); err != nil || got["x"] != "x" {
		t.Errorf("%v, %v", got, err)
	}
	// Its first block's header, behind the 12 bytes of the stream's: a size in words,
	// flags, the filter with its dictionary, filling, a sum. 40 is 4 GiB.
	header := out.Bytes()[12:]
	header = header[:(int(header[0])+1)*4]
	at := bytes.IndexByte(header, 0x21) + 2
	header[at] = 40
	binary.LittleEndian.PutUint32(header[len(header)-4:], crc32.ChecksumIEEE(header[:len(header)-4]))
	if _, err := unpack(out.Bytes(), Limits{}); !problem.Is(err, problem.Validation) || !errors.Is(err, lesser.ErrMemlimit) {
		t.Errorf("a dictionary of 4 GiB: %v", err)
	}
	// A zstd frame whose header asks for a window of 2 GiB.
	frame := []byte{0x28, 0xb5, 0x2f, 0xfd, 0x00, (31 - 10) << 3, 0x09, 0, 0, 'x'}
	if _, err := unpack(frame, Limits{}); !problem.Is(err, problem.Validation) {
		t.Errorf("a window of 2 GiB: %v", err)
	}
	z, err := zstd.NewWriter(nil)
	must(t, err)
	if got, err := unpack(z.EncodeAll([]byte("content"), nil), Limits{}); err != nil || got["x"] != "content" {
		t.Errorf("%v, %v", got, err)
	}
	var large bytes.Buffer
	w := zip.NewWriter(&large)
	for n := range 400 {
		_, err := w.CreateHeader(&zip.FileHeader{Name: fmt.Sprint(n), Comment: strings.Repeat("x", 60_000)})
		must(t, err)
	}
	must(t, w.Close())
	if _, err := unpack(large.Bytes(), Limits{}); !problem.Is(err, problem.Validation) || !strings.Contains(err.Error(), "directory") {
		t.Errorf("a directory of 23 MiB: %v", err)
	}
}

func TestNamesAreBeneath(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]wire.Path{
		"a": "a", "./a": "a", "a//b/": "a/b", "./": ".", "a/./b": "a/b", "...": "...", "a\\b": "a\\b", "\xff": "\xff",
		"/a": "", "..": "", "../a": "", "a/..": "", "a/../../b": "", "a\x00": "", strings.Repeat("x", 256): "", strings.Repeat("a/", 129): "",
	} {
		got, err := clean(name)
		if got != want || (err == nil) != (want != "") || err != nil && !problem.Is(err, problem.Validation) {
			t.Errorf("%.50q gives %q, %v", name, got, err)
		}
	}
}

func TestEncryptedIsSaid(t *testing.T) {
	t.Parallel()
	data := pack(t, wire.ArchiveZip, map[string]string{"a": "a"})
	at := bytes.Index(data, []byte("PK\x01\x02"))
	data[at+8] |= 1
	if _, err := unpack(data, Limits{}); !problem.Is(err, problem.Validation) || !strings.Contains(err.Error(), "encrypted") {
		t.Errorf("%v", err)
	}
}

// FuzzOpen: no archive panics, hangs, gives a path that leads out, or more than
// it may.
func FuzzOpen(f *testing.F) {
	for _, format := range formats {
		f.Add(pack(f, format, map[string]string{"a/b": "content", "c": ""}))
	}
	var links bytes.Buffer
	w := tar.NewWriter(&links)
	must(f, w.WriteHeader(&tar.Header{Name: "l", Typeflag: tar.TypeSymlink, Linkname: "/etc"}))
	must(f, w.WriteHeader(&tar.Header{Name: "h", Typeflag: tar.TypeLink, Linkname: "../x"}))
	must(f, w.Close())
	f.Add(links.Bytes())
	f.Add([]byte("BZh9"))
	f.Fuzz(func(t *testing.T, data []byte) {
		all, err := unpack(data, Limits{Bytes: 1 << 20, Entries: 100})
		total := 0
		for _, text := range all {
			total += len(text)
		}
		if total > 1<<20+100*wire.MaxPath || len(all) > 100 {
			t.Fatalf("%d entries of %d bytes", len(all), total)
		}
		var p *problem.Problem
		if err != nil && !errors.As(err, &p) {
			t.Fatalf("%v", err)
		}
	})
}
