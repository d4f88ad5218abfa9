package journal

import (
	"encoding/json"
	"fmt"

	"go.etcd.io/bbolt"

	"github.com/berth-panel/berth/shared/wire"
)

var registryKey = []byte("logins")

// Registries gives the logins that were kept last; none is the zero value. They
// are in the journal because it is the agent's one file that nobody but its own
// user may read.
func (j *Journal) Registries() (wire.Registries, error) {
	var kept wire.Registries
	err := j.db.View(func(tx *bbolt.Tx) error {
		v := tx.Bucket(registryBucket).Get(registryKey)
		if v == nil {
			return nil
		}
		return json.Unmarshal(v, &kept)
	})
	if err != nil {
		return wire.Registries{}, fmt.Errorf("read the journal: %w", err)
	}
	return kept, nil
}

// KeepRegistries replaces the logins.
func (j *Journal) KeepRegistries(r wire.Registries) error {
	return j.run(func(tx *bbolt.Tx) error { return putJSON(tx.Bucket(registryBucket), registryKey, r) })
}
