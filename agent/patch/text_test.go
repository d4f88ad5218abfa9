package patch_test

import (
	"strings"
	"testing"

	"github.com/berth-panel/berth/agent/patch"
	"github.com/berth-panel/berth/shared/wire"
)

func TestLines(t *testing.T) {
	t.Parallel()
	play(t, wire.PatchFile, []example{
		{name: "a line by its beginning", in: "# port\nport 1\n  port 2\nreport\n", sets: []wire.PatchSet{one("port", "port 25565")}, want: "# port\nport 25565\n  port 2\nreport\n"},
		{name: "blanks count", in: "{\n  port = 1\n  portal = 2\n}", sets: []wire.PatchSet{one("  port =", "  port = 7")}, want: "{\n  port = 7\n  portal = 2\n}"},
		{name: "the last match counts", in: "server-port=1\nserver=x\n", sets: []wire.PatchSet{one("server", "server=y"), one("server-port", "server-port=2")}, want: "server-port=2\nserver=y\n"},
		{name: "several lines, once", in: "a\n#security:\nb\n", sets: []wire.PatchSet{one("#security:", "security: \r\n  on: true")}, want: "a\nsecurity: \n  on: true\nb\n"},
		{name: "a value that matches itself twice", in: "port 0\n", sets: []wire.PatchSet{one("port", "port 1\nportal 2")}, want: "port 1\nportal 2\n"},
		{name: "CRLF stays", in: "a\r\nport 1\r\nb\r\n", sets: []wire.PatchSet{one("port", "port 2\nx")}, want: "a\r\nport 2\r\nx\r\nb\r\n"},
		{name: "nothing is appended", in: "a\n", sets: []wire.PatchSet{one("port", "port 2")}, want: "a\n"},
		{name: "no file is made", in: "", sets: []wire.PatchSet{one("port", "port 2")}, want: ""},
		{name: "a match is no expression", in: "token = \"x\"\n", sets: []wire.PatchSet{one(`token = "(.*)"`, "y")}, want: "token = \"x\"\n"},
		{name: "only one value", in: "host=a\nhost=b\n", sets: []wire.PatchSet{when(one("host=", "host=c"), "b")}, want: "host=a\nhost=c\n"},
		{name: "an expression of the rest", in: "bind 127.0.0.1:25\nbind ::1:25\n", sets: []wire.PatchSet{when(one("bind ", "bind 10.0.0.1$1"), `regex:^127\.0\.0\.1(:\d+)$`)}, want: "bind 10.0.0.1:25\nbind ::1:25\n"},
		{name: "numbers and nothing", in: "a=1\nb=2\nc=3", sets: []wire.PatchSet{one("a", 7), one("b", nil), one("c", true)}, want: "7\n\ntrue"},
	})
}

func TestProperties(t *testing.T) {
	t.Parallel()
	play(t, wire.PatchProperties, []example{
		{
			name: "what isn't named stays", in: "#Minecraft\n! old\n\nmotd=A \\u00a7aServer\n  view : 10\nserver-port=1\r\nlast=ä", sets: []wire.PatchSet{one("server-port", "25565"), one("new.key", "x")},
			want: "#Minecraft\n! old\n\nmotd=A \\u00a7aServer\n  view : 10\nserver-port=25565\r\nlast=ä\nnew.key=x\n",
		},
		{name: "separators stay", in: "a = 1\nb: 2\nc 3\nd\ne=\n", sets: []wire.PatchSet{one("a", 9), one("b", 9), one("c", 9), one("d", 9), one("e", 9)}, want: "a = 9\nb: 9\nc 9\nd=9\ne=9\n"},
		{name: "ASCII is written", in: "motd=x\n", sets: []wire.PatchSet{one("motd", "§a ä 😀\\ \n\t=")}, want: "motd=\\u00a7a \\u00e4 \\ud83d\\ude00\\\\ \\n\\t=\n"},
		{name: "what is escaped is the same", in: "motd=\\u00A7a \\\n   more\n", sets: []wire.PatchSet{one("motd", "§a more")}, want: "motd=\\u00A7a \\\n   more\n"},
		{name: "raw letters are made safe", in: "motd=§a\n", sets: []wire.PatchSet{one("motd", "§a")}, want: "motd=\\u00a7a\n"},
		{name: "ISO 8859-1 is read", in: "motd=\xa7a\nother=\xe4\n", sets: []wire.PatchSet{when(one("motd", "b"), "§a")}, want: "motd=b\nother=\xe4\n"},
		{name: "lines that go on", in: "a=1,\\\n  2,\\\n  3\nb\\\n=5\n", sets: []wire.PatchSet{one("a", "4"), one("b", "6")}, want: "a=4\nb\\\n=6\n"},
		{name: "keys with escapes", in: "a\\ b=1\na\\:b=2\n", sets: []wire.PatchSet{one("a b", 3), one("a:b", 4), one("#x y", 5)}, want: "a\\ b=3\na\\:b=4\n\\#x\\ y=5\n"},
		{name: "twice", in: "a=1\na=2\n", sets: []wire.PatchSet{one("a", 3)}, want: "a=3\na=3\n"},
		{name: "leading blanks", in: "a=1\n", sets: []wire.PatchSet{one("a", "  x ")}, want: "a=\\ \\ x \n"},
		{name: "made", in: "", sets: []wire.PatchSet{one("server-port", "25565"), when(one("b", 1), "x")}, want: "server-port=25565\n"},
		{name: "the last line goes on", in: "a=1\\", sets: []wire.PatchSet{one("b", 2)}, want: "a=1\\\n\nb=2\n"},
		{name: "conditions", in: "ip=127.0.0.1\nhost=localhost:1\n", sets: []wire.PatchSet{when(one("ip", "0.0.0.0"), "127.0.0.1"), when(one("host", "10.0.0.1$1"), "regex:^localhost(:.*)?$"), when(one("none", 1), "2")}, want: "ip=0.0.0.0\nhost=10.0.0.1:1\n"},
		{name: "a mark at the beginning", in: "\ufeffa=1\n", sets: []wire.PatchSet{one("a", 2)}, want: "\ufeffa=2\n"},
		{name: "a new line is no second key", in: "motd=x\n", sets: []wire.PatchSet{one("motd", "a\nrcon=1\r\n")}, want: "motd=a\\nrcon=1\\r\\n\n"},
	})
}

func TestINI(t *testing.T) {
	t.Parallel()
	play(t, wire.PatchINI, []example{
		{
			name: "sections, comments and order stay", in: "; murmur\n\ndatabase=\nport = 1 ; the port\n# more\n[Ice]\nport=2\n\n[User:admin]\nPassword=\"old\"\n",
			sets: []wire.PatchSet{one("port", "64738"), one("User:admin.Password", "new"), one("database", "/home/container/x"), one("users", 5), one("Ice.host", "a"), one("Web.Ports", "80")},
			want: "; murmur\n\ndatabase=/home/container/x\nport = 64738 ; the port\nusers = 5\n# more\n[Ice]\nport=2\nhost = a\n\n[User:admin]\nPassword=\"new\"\n\n[Web]\nPorts = 80\n",
		},
		{name: "brackets", in: "[/Script/Engine.GameSession]\nMaxPlayers=1\nA[0]=1\n", sets: []wire.PatchSet{one("[/Script/Engine.GameSession].MaxPlayers", 8), one("[/Script/Engine.GameSession].A[0]", 2)}, want: "[/Script/Engine.GameSession]\nMaxPlayers=8\nA[0]=2\n"},
		{name: "dots where this file has them", in: "a.b=1\n[x.y]\nk=1\n", sets: []wire.PatchSet{one("a.b", 2), one("x.y.k", 2), one("x.y.new", 3), one("s.t.u", 4)}, want: "a.b=2\n[x.y]\nk=2\nnew=3\n\n[s]\nt.u=4\n"},
		{name: "what looks like a comment, once", in: "p=1\n", sets: []wire.PatchSet{one("p", "a # b ; c")}, want: "p=a # b ; c\n"},
		{name: "made", in: "", sets: []wire.PatchSet{one("a", 1), one("s.b", 2)}, want: "a=1\n\n[s]\nb=2\n"},
		{name: "before the first section", in: "[s]\nb=1\n", sets: []wire.PatchSet{one("a", 1)}, want: "a=1\n[s]\nb=1\n"},
		{name: "no end of line, CRLF", in: "[s]\r\nb=1", sets: []wire.PatchSet{one("s.c", 1), one("t.d", 2)}, want: "[s]\r\nb=1\r\nc=1\r\n\r\n[t]\r\nd=2\r\n"},
		{name: "colons", in: "DISABLE_SSH: x\nurl = http://a:1\n", sets: []wire.PatchSet{one("DISABLE_SSH", "y"), one("url", "http://b:2")}, want: "DISABLE_SSH: y\nurl = http://b:2\n"},
		{name: "conditions", in: "[s]\na=1\n", sets: []wire.PatchSet{when(one("s.a", 2), "1"), when(one("s.b", 2), "1")}, want: "[s]\na=2\n"},
		{name: "two lines", in: "a=1", sets: []wire.PatchSet{one("a", "1\nb=2")}, want: "a=1", told: "more than one line"},
		{name: "no key", in: "a=1", sets: []wire.PatchSet{one("#b", "1")}, want: "a=1", told: "can't be a key"},
		{name: "empty and blank", in: "[s]\na = \nb=x\n", sets: []wire.PatchSet{one("s.a", " x "), one("s.b", "")}, want: "[s]\na = x\nb=\n"},
	})
}

func TestUTF16IsRefused(t *testing.T) {
	t.Parallel()
	for _, p := range []wire.PatchParser{wire.PatchFile, wire.PatchINI, wire.PatchXML} {
		refuse(t, p, []refusal{{name: string(p), in: "\xff\xfea\x00", sets: []wire.PatchSet{one("a", 1)}, line: 1, why: "UTF-16"}})
	}
}

func TestASetThatIsNoneIsToldAndTheOthersAreCarriedOut(t *testing.T) {
	t.Parallel()
	for want, s := range map[string]wire.PatchSet{
		"it names nothing":               one("", 1),
		"its value must be text":         {Match: "a", Value: []byte(`{"a":1}`)},
		"its value must be JSON":         {Match: "a"},
		"its expression isn't one":       when(one("a", 1), "regex:("),
		"its expression is too long":     when(one("a", 1), "regex:"+strings.Repeat("a", 2000)),
		"it is no path of 1 to 100 keys": one("...", 1),
	} {
		out, told, err := patch.Text(wire.PatchJSON, []byte(`{"b":1}`), []wire.PatchSet{s, one("b", 2)})
		if err != nil || string(out) != `{"b":2}` || len(told) != 1 || !strings.Contains(told[0], want) {
			t.Errorf("%s: got %s, %q, %v", want, out, told, err)
		}
	}
	if patch.Knows("perl") || !patch.Knows(wire.PatchXML) {
		t.Error("any parser goes")
	}
}
