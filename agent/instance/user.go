package instance

import (
	"context"
	"strconv"
	"strings"

	"github.com/berth-panel/berth/agent/journal"
	"github.com/berth-panel/berth/agent/runtime"
	"github.com/berth-panel/berth/shared/problem"
)

// accountsLimit bounds an image's passwd and group files.
const accountsLimit = 1 << 20

// imageUser is the user that the image's processes run as, by number. Names are
// looked up in the container, which exists and was never started.
func (o *owner) imageUser(ctx context.Context, j job) (journal.Owner, error) {
	image, err := o.m.deps.Engine.Image(ctx, wanted(j.desired.Spec.Image))
	if id := o.boxes[0].ImageID; runtime.ReasonOf(err) == runtime.ImageMissing && id != "" {
		image, err = o.m.deps.Engine.Image(ctx, id) // its name was taken away by hand
	}
	if err != nil {
		return journal.Owner{}, err
	}
	return resolveUser(image.User, func(path string) (string, error) {
		text, err := o.m.deps.Engine.ReadFile(ctx, o.boxes[0].ID, path, accountsLimit)
		if runtime.ReasonOf(err) == runtime.Missing {
			return "", nil // an image without accounts
		}
		return string(text), err
	})
}

// resolveUser reads an image's user ("", "1000", "1000:1000", "redis", "redis:games")
// as the engine does: a name's group, and a number's, come from passwd unless
// they are given; without any it is the group 0.
func resolveUser(user string, read func(path string) (string, error)) (journal.Owner, error) {
	name, group, grouped := strings.Cut(user, ":")
	if name == "" {
		name = "0"
	}
	uid, uidErr := strconv.Atoi(name)
	gid, gidErr := strconv.Atoi(group)
	if uidErr == nil && (grouped && gidErr == nil || !grouped && uid == 0) {
		return valid(user, uid, gid)
	}
	passwd, err := read("/etc/passwd")
	if err != nil {
		return journal.Owner{}, err
	}
	if entry := account(passwd, name, uidErr == nil); entry != nil {
		uid, uidErr = strconv.Atoi(entry[2])
		if !grouped && len(entry) > 3 {
			gid, gidErr = strconv.Atoi(entry[3])
		}
	}
	if uidErr != nil {
		return journal.Owner{}, problem.New(problem.Validation, "the image wants to run as %q, which is not in its /etc/passwd", user)
	}
	if !grouped {
		if gidErr != nil {
			gid = 0
		}
		return valid(user, uid, gid)
	}
	if gidErr != nil {
		groups, err := read("/etc/group")
		if err != nil {
			return journal.Owner{}, err
		}
		entry := account(groups, group, false)
		if entry == nil {
			return journal.Owner{}, problem.New(problem.Validation, "the image wants to run as %q, whose group is not in its /etc/group", user)
		}
		if gid, err = strconv.Atoi(entry[2]); err != nil {
			return journal.Owner{}, problem.New(problem.Validation, "the image's /etc/group can't be read")
		}
	}
	return valid(user, uid, gid)
}

// account finds the line of a name, or of a number when byNumber is set.
func account(file, name string, byNumber bool) []string {
	for line := range strings.Lines(file) {
		fields := strings.Split(strings.TrimSpace(line), ":")
		if len(fields) < 3 {
			continue
		}
		if fields[0] == name || byNumber && fields[2] == name {
			return fields
		}
	}
	return nil
}

func valid(user string, uid, gid int) (journal.Owner, error) {
	const most = 1<<31 - 1
	if uid < 0 || gid < 0 || uid > most || gid > most {
		return journal.Owner{}, problem.New(problem.Validation, "the image wants to run as %q, which no system knows", user)
	}
	return journal.Owner{UID: uid, GID: gid}, nil
}
