package journal

import (
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"go.etcd.io/bbolt"
)

// maxImages is how many images are remembered.
const maxImages = 1000

// Image is an image on the engine that this agent pulled.
type Image struct {
	ID    string    `json:"-"`     // the engine's: "sha256:…"
	Names []string  `json:"names"` // that it was pulled by, in full
	Used  time.Time `json:"used"`  // when it was last seen in use
}

// Images gives all images that are remembered, by their ids.
func (j *Journal) Images() ([]Image, error) {
	var list []Image
	err := j.db.View(func(tx *bbolt.Tx) error {
		var err error
		list, err = images(tx)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("read the journal: %w", err)
	}
	return list, nil
}

func images(tx *bbolt.Tx) ([]Image, error) {
	var list []Image
	err := tx.Bucket(imageBucket).ForEach(func(k, v []byte) error {
		i := Image{ID: string(k)}
		if err := json.Unmarshal(v, &i); err != nil {
			return fmt.Errorf("image %s: %w", k, err)
		}
		list = append(list, i)
		return nil
	})
	return list, err
}

// Pulled remembers that an image was pulled by a name, beside those by which it
// was pulled before. Of too many, those that were not used for longest are
// forgotten.
func (j *Journal) Pulled(id, name string, at time.Time) error {
	return j.run(func(tx *bbolt.Tx) error {
		bucket := tx.Bucket(imageBucket)
		i := Image{Names: []string{name}, Used: at}
		var before Image
		if v := bucket.Get([]byte(id)); v != nil {
			if err := json.Unmarshal(v, &before); err != nil {
				return err
			}
			i.Names = append(slices.DeleteFunc(before.Names, func(n string) bool { return n == name }), name)
		}
		if err := putJSON(bucket, []byte(id), i); err != nil {
			return err
		}
		return forgetImages(tx)
	})
}

func forgetImages(tx *bbolt.Tx) error {
	all, err := images(tx)
	if err != nil || len(all) <= maxImages {
		return err
	}
	slices.SortFunc(all, func(a, b Image) int { return a.Used.Compare(b.Used) })
	for _, i := range all[:len(all)-maxImages] {
		if err := tx.Bucket(imageBucket).Delete([]byte(i.ID)); err != nil {
			return err
		}
	}
	return nil
}

// ImagesUsed notes when images were seen in use, and forgets others. Ids that
// are not remembered are passed over.
func (j *Journal) ImagesUsed(at time.Time, used, gone []string) error {
	if len(used)+len(gone) == 0 {
		return nil
	}
	return j.run(func(tx *bbolt.Tx) error {
		bucket := tx.Bucket(imageBucket)
		for _, id := range used {
			v := bucket.Get([]byte(id))
			if v == nil {
				continue
			}
			var i Image
			if err := json.Unmarshal(v, &i); err != nil {
				return err
			}
			i.Used = at
			if err := putJSON(bucket, []byte(id), i); err != nil {
				return err
			}
		}
		for _, id := range gone {
			if err := bucket.Delete([]byte(id)); err != nil {
				return err
			}
		}
		return nil
	})
}
