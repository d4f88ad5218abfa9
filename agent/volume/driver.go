package volume

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"

	"github.com/google/uuid"

	"github.com/berth-panel/berth/agent/files"
	"github.com/berth-panel/berth/shared/ident"
	"github.com/berth-panel/berth/shared/problem"
	"github.com/berth-panel/berth/shared/wire"
)

// driver is a way to hold volumes. Each instance has one caller at a time.
type driver interface {
	// create makes what a new, empty volume stands on and has it ready. It may be
	// repeated with the same place, whatever an earlier one has left.
	create(ctx context.Context, p place) error
	// ready has the volume in its place and sound, as after a reboot or an error
	// of its filesystem; nothing when it is. Nobody may be using one that isn't.
	ready(ctx context.Context, p place) error
	// rest takes it out of its place; what is written is on the disk then. It
	// fails, and changes nothing, while somebody uses it.
	rest(p place) error
	// grow makes the limit bytes; live says that the volume is in use. errLater
	// means that it takes a volume that is not.
	grow(ctx context.Context, p place, bytes int64, live bool) error
	// usage is what the volume holds and may hold, at no cost.
	usage(p place) (used, limit int64, err error)
	// remove takes away what lies outside of the volume's directory, and what
	// keeps that from being removed.
	remove(p place) error
	// trim gives free room back to what the volume lies on.
	trim(p place) error
}

var (
	// errLater answers for what can't be done to a volume that is in use.
	errLater = errors.New("it takes a stopped instance")
	// errInUse answers a rest of a volume whose files are open.
	errInUse = errors.New("files of the volume are open")
)

// Names of what a volume is made of, in its directory.
const (
	data       = "data"        // what the container sees: here, or inside the mount
	mountPoint = "mount"       // of an image
	scratch    = "scratch"     // for the agent's writers, beside the data
	next       = "next"        // the mount point of a volume that is to take this one's place
	about      = "volume.json" // the record; without one it is a plain directory
	imageFront = "image-"      // of an image's name
)

// layout is the record of a volume: which of the things beside it count. That it
// is written is the moment at which a volume begins to be, or another takes its
// place.
type layout struct {
	Driver     wire.VolumeDriver `json:"driver"`
	LimitBytes int64             `json:"limit_bytes"`
	Image      string            `json:"image,omitempty"` // its name
	Pool       bool              `json:"pool,omitempty"`  // the image lies in the pool, not beside the record
}

// place is one volume on the disk.
type place struct {
	layout
	id    ident.Instance
	at    string // its directory, relative to the store's
	mount string // the name of its mount point in that
}

// images says whether the volume is an image.
func (l layout) images() bool {
	return l.Driver == wire.VolumeImage || l.Driver == wire.VolumePoolImage
}

// hard says whether the driver holds a limit.
func hard(d wire.VolumeDriver) bool { return d != wire.VolumeDirectory }

// inside is where the container's data lies, relative to the store.
func (p place) inside() string {
	if p.images() {
		return filepath.Join(p.at, p.mount, data)
	}
	return filepath.Join(p.at, data)
}

// home is the place of an instance's volume with that record.
func home(id ident.Instance, l layout) place {
	return place{layout: l, id: id, at: string(id), mount: mountPoint}
}

// fresh is the record of a volume that is about to be made with the node's driver.
func (s *Store) fresh(limit int64) layout {
	l := layout{Driver: s.chosen, LimitBytes: limit}
	if limit <= 0 { // nothing to hold
		l.Driver, l.LimitBytes = wire.VolumeDirectory, 0
	}
	if l.images() {
		l.Image, l.Pool = s.newImage(), s.pooled
	}
	return l
}

// driverOf gives the driver of a record.
func (s *Store) driverOf(l layout) (driver, error) {
	switch l.Driver {
	case wire.VolumeImage, wire.VolumePoolImage:
		return imageDriver{s}, nil
	case wire.VolumeProject:
		return projectDriver{s}, nil
	case wire.VolumeDirectory:
		return directoryDriver{s}, nil
	default:
		return nil, fmt.Errorf("volumes of the kind %q are not known to this release", l.Driver)
	}
}

// find reads what volume lies in a directory of the store. ErrNone is among the
// failures.
func (s *Store) find(id ident.Instance, at string) (place, error) {
	p := place{id: id, at: at, mount: mountPoint}
	text, err := s.root.ReadFile(filepath.Join(at, about))
	switch {
	case err == nil:
		if err := json.Unmarshal(text, &p.layout); err != nil {
			return p, fmt.Errorf("the record of volume %s can't be read: %w", id, err)
		}
		if !p.sane() {
			return p, fmt.Errorf("the record of volume %s is not one", id)
		}
		if !p.images() {
			return p, s.plain(p)
		}
		return p, nil
	case errors.Is(err, fs.ErrNotExist):
		p.layout = layout{Driver: wire.VolumeDirectory}
		return p, s.plain(p)
	default:
		return p, fmt.Errorf("look at volume %s: %w", id, err)
	}
}

// sane keeps a record from leading anywhere else.
func (l layout) sane() bool {
	switch l.Driver {
	case wire.VolumeDirectory, wire.VolumeProject:
		return l.Image == "" && !l.Pool
	case wire.VolumeImage, wire.VolumePoolImage:
		_, err := uuid.Parse(l.Image[min(len(imageFront), len(l.Image)):])
		return err == nil && filepath.Base(l.Image) == l.Image && l.LimitBytes > 0
	default:
		return true // of a later release: driverOf says so
	}
}

// plain says whether a volume that is a directory is there.
func (s *Store) plain(p place) error {
	info, err := s.root.Lstat(p.inside())
	if errors.Is(err, fs.ErrNotExist) {
		return ErrNone
	}
	if err != nil {
		return fmt.Errorf("look at volume %s: %w", p.id, err)
	}
	if !info.IsDir() {
		return fmt.Errorf("volume %s is not a directory", p.id)
	}
	return nil
}

// commit makes a place's record count.
func (s *Store) commit(p place) error {
	text, err := json.Marshal(p.layout)
	if err != nil {
		return err
	}
	if err := s.keep(filepath.Join(p.at, about), text); err != nil {
		return fmt.Errorf("write the record of volume %s: %w", p.id, err)
	}
	return s.settle(p.at)
}

// full is what an agent's writer is told when a volume has no room; cause may be nil.
func full(limit int64, cause error) *problem.Problem {
	return problem.New(problem.InsufficientResources,
		"the instance's disk of %d MiB %s: delete files, or have its disk limit raised", limit>>20, files.Fullness(cause)).Because(cause)
}

func (s *Store) newImage() string { return imageFront + uuid.NewString() }
