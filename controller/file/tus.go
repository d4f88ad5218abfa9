package file

import (
	"encoding/base64"
	"encoding/hex"
	"slices"
	"strconv"
	"strings"

	"github.com/berth-panel/berth/shared/problem"
	"github.com/berth-panel/berth/shared/wire"
)

// The tus protocol, as far as its headers go: https://tus.io/protocols/resumable-upload
const (
	tusVersion    = "1.0.0"
	tusExtensions = "creation,creation-with-upload,expiration,termination,checksum"
	tusChecksums  = "sha256"
	tusMedia      = "application/offset+octet-stream"
	tusMetadata   = 8 << 10 // bytes of the header that are looked at
)

// metadata reads Upload-Metadata: pairs of a key and a base64 value, or none.
func metadata(header string) (map[string]string, error) {
	out := map[string]string{}
	if len(header) > tusMetadata {
		return nil, problem.Invalid("Upload-Metadata", "at most %d bytes", tusMetadata)
	}
	if strings.TrimSpace(header) == "" {
		return out, nil
	}
	for pair := range strings.SplitSeq(header, ",") {
		key, coded, _ := strings.Cut(strings.TrimSpace(pair), " ")
		value, err := base64.StdEncoding.DecodeString(strings.TrimSpace(coded))
		if _, twice := out[key]; err != nil || key == "" || twice {
			return nil, problem.Invalid("Upload-Metadata", "pairs of a key and a base64 value with a space between, and commas between the pairs, each key once")
		}
		out[key] = string(value)
	}
	return out, nil
}

// destination says from an upload's metadata where it goes: path is the file's
// path in the text form, or a folder's with a / at its end, in which the file is
// called filename; without a path that is in the volume itself.
func destination(meta map[string]string, size int64) (w wire.FileUpload, err error) {
	w.Size = size
	switch meta["overwrite"] {
	case "", "false":
	case "true":
		w.Overwrite = true
	default:
		return w, problem.Invalid("Upload-Metadata.overwrite", "true or false")
	}
	folder, deep := strings.CutSuffix(meta["path"], "/")
	if meta["path"] != "" && !deep {
		w.Path, err = entryOf("Upload-Metadata.path", meta["path"])
		return w, err
	}
	name := meta["filename"]
	if name == "" {
		return w, problem.Invalid("Upload-Metadata", "a path or a filename is needed")
	}
	if strings.Contains(name, "/") || !wire.Path(name).Valid() || name == "." {
		return w, problem.Invalid("Upload-Metadata.filename", "the name alone, of 1 to %d bytes, without a /; the folder is path, with a / at its end", wire.MaxName)
	}
	w.Path = wire.Path(name)
	if !deep || folder == string(wire.Root) {
		return w, nil
	}
	above, err := entryOf("Upload-Metadata.path", folder)
	if w.Path = above + "/" + w.Path; err == nil && !w.Path.Valid() {
		err = problem.Invalid("Upload-Metadata.path", "folder and name together have more than %d bytes", wire.MaxPath)
	}
	return w, err
}

// checksum reads Upload-Checksum and gives it as the agent wants it.
func checksum(header string) (string, error) {
	if header == "" {
		return "", nil
	}
	algorithm, coded, _ := strings.Cut(strings.TrimSpace(header), " ")
	sum, err := base64.StdEncoding.DecodeString(strings.TrimSpace(coded))
	if algorithm != tusChecksums {
		return "", problem.New(problem.BadRequest, "Upload-Checksum: only %s is reckoned here", tusChecksums)
	}
	if err != nil || len(sum) != 32 {
		return "", problem.New(problem.BadRequest, "Upload-Checksum: not a %s in base64", tusChecksums)
	}
	return tusChecksums + " " + hex.EncodeToString(sum), nil
}

// count reads a number of bytes out of a header.
func count(name, header string) (int64, error) {
	n, err := strconv.ParseInt(header, 10, 64)
	if err != nil || n < 0 || header[0] == '+' {
		return 0, problem.New(problem.BadRequest, "%s: a number of bytes is needed", name)
	}
	return n, nil
}

// described is the metadata of an upload, as it was understood.
func described(u Upload) string {
	code := func(value string) string { return base64.StdEncoding.EncodeToString([]byte(value)) }
	return "filename " + code(base(u.Path)) + ",path " + code(text(u.Path)) + ",overwrite " + code(strconv.FormatBool(u.Overwrite))
}

// isAbout says whether a problem is one with that code of that field.
func isAbout(err error, code problem.Code, field string) bool {
	return problem.Is(err, code) && slices.ContainsFunc(problem.From(err).Fields, func(f problem.Field) bool { return f.Field == field })
}
