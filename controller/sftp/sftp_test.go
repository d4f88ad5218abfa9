package sftp

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/berth-panel/berth/controller/node"
	"github.com/berth-panel/berth/controller/roomtest"
	"github.com/berth-panel/berth/shared/ident"
	"github.com/berth-panel/berth/shared/problem"
	"github.com/berth-panel/berth/shared/wire"
)

func TestEachNodeIsToldItsOwn(t *testing.T) {
	t.Parallel()
	w := setup(t)
	w.run()
	roomtest.Until(t, "both are told", func() bool { return w.count("n1") == 1 && w.count("n2") == 1 })
	for n, want := range map[ident.Node]string{
		"n1": `{"people":[{"user":"u-anna","username":"anna","password":"s1","keys":["ssh-ed25519 A"]},{"user":"u-bob","username":"bob","password":"s2"},` +
			`{"user":"u-root","username":"root","password":"s3","everywhere":true}],"rights":[{"user":"u-anna","instance":"00000001","write":true},` +
			`{"user":"u-bob","instance":"00000002","write":true,"refused":"Instance 00000002 is suspended (unpaid): ask an admin to unsuspend it."}]}`,
		"n2": `{"people":[{"user":"u-anna","username":"anna","password":"s1","keys":["ssh-ed25519 A"]},{"user":"u-root","username":"root","password":"s3","everywhere":true}],` +
			`"rights":[{"user":"u-anna","instance":"00000003","write":true}]}`,
	} {
		all := w.last(n)
		if all.Revision == 0 {
			t.Errorf("%s has no revision", n)
		}
		text, err := json.Marshal(struct {
			People []wire.LoginPerson `json:"people"`
			Rights []wire.LoginRight  `json:"rights"`
		}{all.People, all.Rights})
		if err != nil || string(text) != want {
			t.Errorf("%s is told\n%s\nwant\n%s", n, text, want)
		}
	}
}

func TestWhatHappensIsTold(t *testing.T) {
	t.Parallel()
	w := setup(t)
	w.run()
	roomtest.Until(t, "both are told", func() bool { return w.count("n1") == 1 && w.count("n2") == 1 })
	w.edit(func() { w.people[0].Keys = nil })
	w.tell("ssh_key.removed", "")
	roomtest.Until(t, "a key", func() bool { return len(w.last("n1").People[0].Keys) == 0 && len(w.last("n2").People[0].Keys) == 0 })
	w.edit(func() { w.instances[0].Suspended = true })
	w.tell("instance.suspended", "n1")
	roomtest.Until(t, "a suspension", func() bool { return w.last("n1").Rights[0].Refused != "" })
	w.edit(func() { w.instances[0].Node = "n2" })
	w.tell("instance.moved", "n2")
	roomtest.Until(t, "a move, to both", func() bool { return len(w.last("n1").Rights) == 1 && len(w.last("n2").Rights) == 2 })
	w.edit(func() { w.people = w.people[1:] })
	w.tell("user.deleted", "")
	roomtest.Until(t, "a user", func() bool { return len(w.last("n2").Rights) == 0 })

	// What changes nothing is not sent; neither revision nor list goes back.
	told := w.count("n1") + w.count("n2")
	w.tell("instance.running", "n1")
	w.tell("user.updated", "")
	w.edit(func() { w.people[0].Password = "s2-2" })
	w.tell("user.updated", "")
	roomtest.Until(t, "a password", func() bool { return w.last("n1").People[0].Password == "s2-2" })
	if now := w.count("n1") + w.count("n2"); now > told+2 {
		t.Errorf("%d pushes for one change", now-told)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	revision := int64(0)
	for _, all := range w.pushed["n1"] {
		if all.Revision <= revision {
			t.Errorf("revision %d after %d", all.Revision, revision)
		}
		revision = all.Revision
	}
}

func TestPushesAreRepeated(t *testing.T) {
	t.Parallel()
	w := setup(t)
	w.failing = 3
	w.ahead["n2"] = time.Now().Add(time.Hour).UnixMilli() // of a later clock
	w.run()
	roomtest.Until(t, "both are told", func() bool { return w.count("n1") == 1 && w.count("n2") == 1 })

	w.edit(func() { w.offline["n1"] = true; w.people[0].Keys = nil })
	w.tell("ssh_key.removed", "")
	roomtest.Until(t, "the other is told", func() bool { return w.count("n2") == 2 })
	if w.count("n1") != 1 {
		t.Fatal("one that is offline was told")
	}
	w.edit(func() { w.offline["n1"], w.since["n1"] = false, time.Unix(1000, 0) })
	w.tell("node.online", "n1")
	roomtest.Until(t, "it is told when it is back", func() bool { return w.count("n1") == 2 && len(w.last("n1").People[0].Keys) == 0 })
	w.edit(func() { w.since["n1"] = time.Unix(2000, 0) })
	w.tell("node.online", "n1") // maybe with an older list, from its disk
	roomtest.Until(t, "it is told again", func() bool { return w.count("n1") == 3 })
}

func TestQuestionsOfNodes(t *testing.T) {
	t.Parallel()
	w := setup(t)
	for what, c := range map[string]struct {
		node           ident.Node
		name, password string
		instance       ident.Instance
		allowed        bool
		says           string
	}{
		"the owner":                   {"n1", "anna", "right", "00000001", true, ""},
		"an admin":                    {"n1", "root", "right", "00000001", true, ""},
		"an admin, while suspended":   {"n1", "root", "right", "00000002", true, ""},
		"the owner, while suspended":  {"n1", "bob", "right", "00000002", false, "suspended (unpaid)"},
		"a guess, while suspended":    {"n1", "bob", "wrong", "00000002", false, ""},
		"a wrong password":            {"n1", "anna", "wrong", "00000001", false, ""},
		"another's instance":          {"n1", "bob", "right", "00000001", false, ""},
		"an instance of another node": {"n1", "anna", "right", "00000003", false, ""},
		"one that is being deleted":   {"n2", "bob", "right", "00000004", false, ""},
		"none":                        {"n1", "anna", "right", "ffffffff", false, ""},
	} {
		answer, ok := w.svc.judge(t.Context(), c.node, wire.LoginQuestion{Ref: "7", Username: c.name, Password: c.password, Instance: c.instance})
		if !ok || answer.Ref != "7" || answer.Allowed != c.allowed || !strings.Contains(answer.Message, c.says) || c.says == "" && answer.Message != "" {
			t.Errorf("%s: %+v, %v", what, answer, ok)
		}
		if answer.Allowed == (answer.Password == "") || answer.Allowed == (answer.User == "") {
			t.Errorf("%s: %+v", what, answer)
		}
	}
	w.factors = map[string]bool{"anna": true}
	for password, says := range map[string]string{"right": "needs a key", "wrong": ""} {
		answer, ok := w.svc.judge(t.Context(), "n1", wire.LoginQuestion{Username: "anna", Password: password, Instance: "00000001"})
		if !ok || answer.Allowed || !strings.Contains(answer.Message, says) || says == "" && answer.Message != "" {
			t.Errorf("a second factor and the %s password: %+v, %v", password, answer, ok)
		}
	}
}

// A node that was taken over is no way to try passwords.
func TestANodeCanNotGuess(t *testing.T) {
	t.Parallel()
	w := setup(t)
	for range 100 {
		if answer, ok := w.svc.judge(t.Context(), "n1", wire.LoginQuestion{Username: "Anna", Password: "guess", Instance: "00000001"}); !ok || answer.Allowed {
			t.Fatalf("%+v, %v", answer, ok)
		}
	}
	if answer, _ := w.svc.judge(t.Context(), "n1", wire.LoginQuestion{Username: "anna", Password: "right", Instance: "00000001"}); answer.Allowed {
		t.Error("after 100 guesses the right one is taken at once")
	}
}

func TestWherePeopleAreSent(t *testing.T) {
	t.Parallel()
	w := setup(t)
	const key = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ0Q3v0Y2Qz0W5Zb9m8xgPpVd1m7o2QeYyQq6q7m3m0A"
	n := node.Node{Connection: node.Dial, PublicHost: "n.example"}
	if _, err := w.svc.place(n); !problem.Is(err, problem.Conflict) || !strings.Contains(err.Error(), "--sftp-listen") {
		t.Errorf("no door at all: %v", err)
	}
	n.Hello.Engine.SFTP = &wire.SFTP{Port: 2022, HostKey: key}
	v, err := w.svc.place(n)
	if err != nil || v.Host != "n.example" || v.Port != 2022 || v.Via != "node" || !strings.HasPrefix(v.Fingerprint, "SHA256:") {
		t.Errorf("the node's: %+v, %v", v, err)
	}
	w.svc.PublicURL = "https://panel.example:8443"
	w.svc.door = &door{port: 2222, hostKey: key}
	defer func() { w.svc.door = nil }()
	n.Connection = node.Tunnel
	if v, err = w.svc.place(n); err != nil || v.Host != "panel.example" || v.Port != 2222 || v.Via != "controller" {
		t.Errorf("the controller's: %+v, %v", v, err)
	}
}
