package instance

import (
	"errors"
	"fmt"
	"os"
	"testing"

	"github.com/berth-panel/berth/agent/runtime"
	"github.com/berth-panel/berth/shared/wire"
)

func TestVolumeBelongsToTheImagesUser(t *testing.T) {
	t.Parallel()
	passwd := "root:x:0:0::/root:/bin/sh\n# a comment\nredis:x:999:1000::/data:/bin/sh\nbare:x:7\n"
	group := "root:x:0:\ngames:x:60:redis\n"
	read := func(path string) (string, error) {
		switch path {
		case "/etc/passwd":
			return passwd, nil
		case "/etc/group":
			return group, nil
		}
		return "", errors.New("no other file is needed")
	}
	for user, want := range map[string]string{
		"": "{0 0}", "0": "{0 0}", "root": "{0 0}", "999": "{999 1000}", "1234": "{1234 0}", "1000:1001": "{1000 1001}",
		"redis": "{999 1000}", "redis:games": "{999 60}", "redis:5": "{999 5}", "1234:games": "{1234 60}", "bare": "{7 0}", ":60": "{0 60}",
	} {
		got, err := resolveUser(user, read)
		if err != nil || fmt.Sprint(got) != want {
			t.Errorf("%q is %v, %v, want %s", user, got, err, want)
		}
	}
	for _, user := range []string{"nobody", "redis:nogroup", "-1:0", "99999999999:0", "0:4294967295"} {
		if got, err := resolveUser(user, read); err == nil {
			t.Errorf("%q is %v", user, got)
		}
	}
	away := func(string) (string, error) { return "", runtime.Fail(runtime.Unreachable, nil, "away") }
	if _, err := resolveUser("redis", away); runtime.ReasonOf(err) != runtime.Unreachable {
		t.Errorf("an engine that is away: %v", err)
	}
	if _, err := resolveUser("1000:1000", away); err != nil {
		t.Errorf("numbers need no look: %v", err)
	}
}

func TestNamedUserOwnsTheVolume(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		t.Skip("only root gives files away")
	}
	play(t, func(w *world) {
		w.engine.AddImage("redis:7", runtime.Image{User: "redis"}, map[string]string{"/etc/passwd": "redis:x:999:1000::/:/\n"})
		spec := basic(one, 1)
		spec.Image.Reference = "redis:7"
		spec.Install.Downloads = []wire.Download{{URL: "u", Path: "conf/redis.conf"}}
		w.apply(spec)
		w.running(one)
		for _, name := range []string{"", "conf", "conf/redis.conf"} {
			if uid, gid := ownerOf(t, w.volumeFile(one, name)); uid != 999 || gid != 1000 {
				t.Errorf("%q belongs to %d:%d", name, uid, gid)
			}
		}
	})
}
