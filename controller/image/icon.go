package image

import (
	"bytes"
	"context"
	"encoding/base64"
	"hash/fnv"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/berth-panel/berth/controller/access"
	"github.com/berth-panel/berth/controller/store"
	"github.com/berth-panel/berth/shared/ident"
	"github.com/berth-panel/berth/shared/problem"
)

// iconMost is how large an icon may be, in bytes.
const iconMost = 512 << 10

const iconSVG = "image/svg+xml"

var iconTypes = []string{"image/png", "image/jpeg", "image/webp", "image/gif", iconSVG}

// NewIcon checks a picture: what it is called must be what it is.
func NewIcon(kind string, data []byte) (*Icon, error) {
	kind, _, _ = mime.ParseMediaType(kind) // what is none is no known type either
	if kind == "image/jpg" {
		kind = "image/jpeg"
	}
	switch {
	case !slices.Contains(iconTypes, kind):
		return nil, problem.Invalid("icon", "a picture must be %s", strings.Join(iconTypes, ", "))
	case len(data) == 0:
		return nil, problem.Invalid("icon", "the picture is empty")
	case len(data) > iconMost:
		return nil, problem.Invalid("icon", "a picture may have %d bytes at most", iconMost)
	case kind == iconSVG && !bytes.Contains(data, []byte("<svg")), kind != iconSVG && http.DetectContentType(data) != kind:
		return nil, problem.Invalid("icon", "this is no %s", kind)
	}
	return &Icon{Type: kind, Data: data}, nil
}

// iconOf reads a data: address.
func iconOf(address string) (*Icon, error) {
	head, data, ok := strings.Cut(strings.TrimPrefix(address, "data:"), ",")
	if !ok {
		return nil, problem.Invalid("icon", "it must be a data: address")
	}
	kind, encoded := strings.CutSuffix(head, ";base64")
	if !encoded { // as it stands, or with %3C and the like
		picture, err := url.PathUnescape(data)
		if err != nil {
			picture = data
		}
		kind, _, _ = strings.Cut(kind, ";") // ";utf8" is no parameter
		return NewIcon(kind, []byte(picture))
	}
	picture, err := base64.StdEncoding.DecodeString(strings.Map(noSpace, data))
	if err != nil {
		return nil, problem.Invalid("icon", "it is not base64")
	}
	return NewIcon(kind, picture)
}

func noSpace(r rune) rune {
	if strings.ContainsRune(" \t\r\n", r) {
		return -1
	}
	return r
}

// address is the icon as a data: address.
func (i Icon) address() string {
	return "data:" + i.Type + ";base64," + base64.StdEncoding.EncodeToString(i.Data)
}

func sum(kind string, data []byte) uint64 {
	h := fnv.New64a()
	_, _ = h.Write([]byte(kind))
	_, _ = h.Write(data)
	return h.Sum64()
}

// Icon gives an image's picture; NotFound when it has none.
func (s *Service) Icon(ctx context.Context, id ident.Image) (Icon, error) {
	icon, err := iconByID(ctx, s.db.Snapshot(), id)
	if err == nil && icon == nil {
		return Icon{}, problem.New(problem.NotFound, "the image has no picture")
	}
	if err != nil {
		return Icon{}, err
	}
	return *icon, nil
}

// SetIcon gives an image another picture; nil takes it away.
func (s *Service) SetIcon(ctx context.Context, c access.Caller, id ident.Image, icon *Icon) error {
	return s.db.Write(ctx, func(tx *store.Tx) error {
		i, err := ByID(ctx, tx, id)
		if err != nil {
			return err
		}
		if err := putIcon(ctx, tx, id, icon); err != nil {
			return err
		}
		return s.tell(ctx, tx, c, "image.updated", i)
	})
}
