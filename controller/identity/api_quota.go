package identity

import (
	"math"

	"github.com/berth-panel/berth/shared/ident"
)

// QuotaView is what a user's instances may have at most, together.
type QuotaView struct {
	Instances *int64   `json:"instances" required:"false" nullable:"true" minimum:"0" maximum:"1000000" doc:"null: no limit"`
	Memory    *int64   `json:"memory" required:"false" nullable:"true" minimum:"0" maximum:"1099511627776" doc:"MiB; null: no limit"`
	CPU       *float64 `json:"cpu" required:"false" nullable:"true" minimum:"0" maximum:"1000000" doc:"Cores; null: no limit"`
	Disk      *int64   `json:"disk" required:"false" nullable:"true" minimum:"0" maximum:"1099511627776" doc:"MiB; null: no limit"`
}

// UseView is what a user's instances have, together.
type UseView struct {
	Instances int64   `json:"instances"`
	Memory    int64   `json:"memory" doc:"MiB"`
	CPU       float64 `json:"cpu" doc:"Cores"`
	Disk      int64   `json:"disk" doc:"MiB"`
}

func viewUse(u Use) UseView {
	return UseView{Instances: u.Instances, Memory: u.MemoryMiB, CPU: float64(u.NanoCPUs) / 1e9, Disk: u.DiskMiB}
}

func viewQuota(q Quota) QuotaView {
	v := QuotaView{Instances: q.Instances, Memory: q.MemoryMiB, Disk: q.DiskMiB}
	if q.NanoCPUs != nil {
		cores := float64(*q.NanoCPUs) / 1e9
		v.CPU = &cores
	}
	return v
}

// quota reads what a body says; nil says nothing.
func (v *QuotaView) quota() Quota {
	if v == nil {
		return Quota{}
	}
	q := Quota{Instances: v.Instances, MemoryMiB: v.Memory, DiskMiB: v.Disk}
	if v.CPU != nil {
		nano := int64(math.Round(*v.CPU * 1e9))
		q.NanoCPUs = &nano
	}
	return q
}

// change is the body as what is to change.
func (b UserUpdateBody) change() UserChange {
	c := UserChange{Username: b.Username, Email: b.Email, Password: b.Password, Admin: b.Admin, Verified: b.Verified, Disabled: b.Disabled}
	if b.RoleID.Set {
		role := ident.Role("")
		if p := b.RoleID.Pointer(); p != nil {
			role = *p
		}
		c.Role = &role
	}
	if b.Quota != nil {
		q := b.Quota.quota()
		c.Quota = &q
	}
	return c
}
