package patch_test

import (
	"strings"
	"testing"

	"github.com/berth-panel/berth/agent/patch"
	"github.com/berth-panel/berth/shared/wire"
)

func TestJSON(t *testing.T) {
	t.Parallel()
	play(t, wire.PatchJSON, []example{
		{
			name: "layout stays", in: "{\n    \"port\" : 1,\t\"b\": [1, 2 ,3],\n\n    \"s\": {\"x\": null}\n}\n",
			sets: []wire.PatchSet{one("port", 25565), one("b.1", 9), one("s.x", "y")},
			want: "{\n    \"port\" : 25565,\t\"b\": [1, 9 ,3],\n\n    \"s\": {\"x\": \"y\"}\n}\n",
		},
		{
			name: "comments and commas stay", in: "// top\n{\n  \"a\": 1, // one, two\n  /* b */ \"b\": \"x//y\",\n  \"l\": [\n    1,\n  ], // end\n}\n",
			sets: []wire.PatchSet{one("a", 2), one("b", "z"), one("c", 3), one("l[1]", 5)},
			want: "// top\n{\n  \"a\": 2, // one, two\n  /* b */ \"b\": \"z\",\n  \"l\": [\n    1,\n    5,\n  ],\n  \"c\": 3, // end\n}\n",
		},
		{name: "a comment behind the last", in: "{\n\t\"a\": 1 // one\n}\n", sets: []wire.PatchSet{one("b.c", true)}, want: "{\n\t\"a\": 1, // one\n\t\"b\": {\n\t\t\"c\": true\n\t}\n}\n"},
		{name: "made", in: "", sets: []wire.PatchSet{one("a.b", 1), one("a.c", "x"), one("l[0].n", nil)}, want: "{\n  \"a\": {\n    \"b\": 1,\n    \"c\": \"x\"\n  },\n  \"l\": [\n    {\n      \"n\": null\n    }\n  ]\n}\n"},
		{name: "on one line", in: `{"a":1,"b":{}}`, sets: []wire.PatchSet{one("b.c", 2), one("d.e", 3)}, want: `{"a":1,"b":{"c": 2}, "d": {"e": 3}}`},
		{name: "wildcards", in: `{"servers":{"a":{"address":"localhost:1"},"b":{"address":"10.1.1.1:2"},"c":5,"d":{}}}`, sets: []wire.PatchSet{when(one("servers.*.address", "172.18.0.1$2"), `regex:^(127\.0\.0\.1|localhost)(:\d{1,5})?$`), one("servers.*.x", 1)}, want: `{"servers":{"a":{"address":"172.18.0.1:1", "x": 1},"b":{"address":"10.1.1.1:2", "x": 1},"c":5,"d":{"x": 1}}}`},
		{name: "wildcards in lists, two of them", in: `[{"a":[{"p":1},{"p":2}]},{"a":[]}]`, sets: []wire.PatchSet{one("*.a.*.p", 7)}, want: `[{"a":[{"p":7},{"p":7}]},{"a":[]}]`},
		{name: "types of what is there", in: `{"a":"8080","b":1,"c":true,"d":"x","e":1.5}`, sets: []wire.PatchSet{one("a", 25565), one("b", "7"), one("c", "false"), one("d", 5), one("e", "007")}, want: `{"a":"25565","b":7,"c":false,"d":5,"e":"007"}`},
		{name: "keys with dots", in: `{"a.b":{"c.d":1},"e":{}}`, sets: []wire.PatchSet{one("a.b.c.d", 2), one(`e.["x.y"]`, 3), one("e.p~1q", 4)}, want: `{"a.b":{"c.d":2},"e":{"x.y": 3, "p.q": 4}}`},
		{name: "the last of two keys", in: `{"a":1,"a":2}`, sets: []wire.PatchSet{one("a", 3)}, want: `{"a":1,"a":3}`},
		{name: "no place", in: "{\"a\":5,\n\"l\":[1]}", sets: []wire.PatchSet{one("a.b", 1), one("l.3", 1)}, want: "{\"a\":5,\n\"l\":[1]}", told: "a.b isn't set: there is a plain value on the way to it, in line 1"},
		{name: "a list in the way", in: "{\n\"l\":[1]}", sets: []wire.PatchSet{one("l.x", 1)}, want: "{\n\"l\":[1]}", told: "l.x isn't set: there is a list on the way to it, in line 2"},
		{name: "nothing becomes a mapping", in: `{"a":null}`, sets: []wire.PatchSet{one("a.b", 1)}, want: `{"a":{"b": 1}}`},
		{name: "a mapping becomes a value", in: `{"a":{"b":[1]},"c":2}`, sets: []wire.PatchSet{one("a", "x")}, want: `{"a":"x","c":2}`},
		{name: "conditions", in: `{"a":"x","b":1,"c":true}`, sets: []wire.PatchSet{when(one("a", "y"), "x"), when(one("b", 2), "3"), when(one("c", 5), "true"), when(one("d.e", 1), "x")}, want: `{"a":"y","b":1,"c":5}`},
		{name: "strings", in: `{"a":"\u00a7 \"x\""}`, sets: []wire.PatchSet{one("a", `§ "x"`), one("b<>&", "\n\u2028<")}, want: `{"a":"\u00a7 \"x\"", "b<>&": "\n\u2028<"}`},
		{name: "a number that is the same stays", in: `{"a":1.0}`, sets: []wire.PatchSet{one("a", "1.0")}, want: `{"a":1.0}`},
		{name: "CRLF", in: "{\r\n  \"a\": 1\r\n}\r\n", sets: []wire.PatchSet{one("b", 2)}, want: "{\r\n  \"a\": 1,\r\n  \"b\": 2\r\n}\r\n"},
		{name: "an empty one with a comment", in: "{ // c\n}", sets: []wire.PatchSet{one("b", 2)}, want: "{\n  \"b\": 2 // c\n}"},
	})
	refuse(t, wire.PatchJSON, []refusal{
		{name: "a comma is missing", in: "{\n\"a\": 1\n\"b\": 2}", sets: []wire.PatchSet{one("a", 1)}, line: 3, why: "it isn't JSON"},
		{name: "no end", in: "{\n\"a\": [1,", sets: []wire.PatchSet{one("a", 1)}, line: 2, why: "it isn't JSON"},
		{name: "a bomb", in: strings.Repeat("[", 20000), sets: []wire.PatchSet{one("a", 1)}, line: 1, why: "it isn't JSON"},
	})
}

func TestYAML(t *testing.T) {
	t.Parallel()
	play(t, wire.PatchYAML, []example{
		{
			name: "comments, order and quotes stay", in: text(`
|# BungeeCord
|listeners:
|- query_port: 25577   # the port
|  motd: '&1Another server'
|  host: "0.0.0.0:25577"
|
|  forced_hosts:
|    pvp.md-5.net: pvp
|servers:
|  lobby:
|    address: localhost:25565
|    restricted: false
|  # the second
|  far:
|      address: 10.0.0.9:1
|remote_ping_cache: -1
`), sets: []wire.PatchSet{one("listeners[0].query_port", 25565), one("listeners[0].host", "0.0.0.0:25565"), when(one("servers.*.address", "172.18.0.1$2"), `regex:^(127\.0\.0\.1|localhost)(:\d{1,5})?$`), one("listeners.0.motd", "it's"), one("listeners.0.forced_hosts.pvp.md-5.net", "x"), one("new.key", "v"), one("listeners[0].tab", "GLOBAL")},
			want: text(`
|# BungeeCord
|listeners:
|- query_port: 25565   # the port
|  motd: 'it''s'
|  host: "0.0.0.0:25565"
|
|  forced_hosts:
|    pvp.md-5.net: x
|  tab: GLOBAL
|servers:
|  lobby:
|    address: 172.18.0.1:25565
|    restricted: false
|  # the second
|  far:
|      address: 10.0.0.9:1
|remote_ping_cache: -1
|new:
|  key: v
`),
		},
		{
			name: "odd indents", in: "a:\n        b:\n         - x: 1\n           y: 2\n         -   - deep\n             - er\n        c:   3\nd: 4\n", sets: []wire.PatchSet{one("a.b.0.y", 5), one("a.b[1].1", "new"), one("a.b.0.z", 6), one("a.e", 7), one("a.b[1].2", 8), one("a.b.2.nn", 9)},
			want: "a:\n        b:\n         - x: 1\n           y: 5\n           z: 6\n         -   - deep\n             - new\n             - 8\n         - nn: 9\n        c:   3\n        e: 7\nd: 4\n",
		},
		{
			name: "all styles", in: "p: plain text\n  goes on\n\n  here # c\ns: 'it''s\n  more'\nd: \"a\\tb\n   c\"\nl: |\n  line\n\n  # no comment\n\nf: >-\n  x\n  y\nend: 1\n", sets: []wire.PatchSet{one("p", "a"), one("s", "b"), one("d", "c"), one("l", "d\ne"), when(one("f", "z"), "x y"), one("end", 2)},
			want: "p: a # c\ns: 'b'\nd: \"c\"\nl: \"d\\ne\"\n\nf: z\nend: 2\n",
		},
		{name: "words that aren't texts", in: "a: x\n", sets: []wire.PatchSet{one("a", "yes"), one("b", "12:30"), one("c", "0x10"), one("d", ""), one("e", "null"), one("f", " x"), one("g", "a: b"), one("h", "# c"), one("i", "2020-01-01"), one("j", "- x"), one("k", "*x"), one("l", true), one("m", nil), one("nn", "1_000"), one("o", "\x01\u0085"), one("p", "a:")}, want: "a: 'yes'\nb: '12:30'\nc: '0x10'\nd: ''\ne: 'null'\nf: ' x'\ng: 'a: b'\nh: '# c'\ni: '2020-01-01'\nj: '- x'\nk: '*x'\nl: true\nm: null\nnn: '1_000'\no: \"\\u0001\\u0085\"\np: 'a:'\n"},
		{name: "types of what is there", in: "a: '8080'\nb: 1\nc: false\nd: yes\ne: x\n", sets: []wire.PatchSet{one("a", 25565), one("b", "7"), one("c", "true"), one("d", false), one("e", 5)}, want: "a: '25565'\nb: 7\nc: true\nd: false\ne: 5\n"},
		{name: "brackets", in: "a: {b: 1, c: [x, 'y', {z: 2}], \"d\":3}\ne: []\nf: {}\ng: [1,\n  2, # two\n  3]\n", sets: []wire.PatchSet{one("a.b", 5), one("a.c.1", "q"), one("a.c.2.z", "a,b"), one("a.d", 4), one("a.l.m", "v"), one("e.0", "x"), one("f.k", 1), one("g[2]", 9), one("g.3", 10)}, want: "a: {b: 5, c: [x, 'q', {z: 'a,b'}], \"d\":4, l: {m: v}}\ne: [x]\nf: {k: 1}\ng: [1,\n  2, # two\n  9, 10]\n"},
		{name: "anchors, tags and aliases", in: "a: &p 1\nb: *p\nc: !!str 12\nd: &m\n  x: 1\ne:\n  <<: *m\n  y: 2\nf: !t\n  - 1\n", sets: []wire.PatchSet{one("b", 3), one("c", "13"), one("d.x", 4), one("e.x", 5), one("f.0", 6)}, want: "a: &p 1\nb: 3\nc: !!str 13\nd: &m\n  x: 4\ne:\n  <<: *m\n  y: 2\n  x: 5\nf: !t\n  - 6\n"},
		{name: "behind an alias", in: "a: &p\n  x: 1\nb: *p\n", sets: []wire.PatchSet{one("b.x", 3)}, want: "a: &p\n  x: 1\nb: *p\n", told: "there is an alias on the way"},
		{name: "several documents", in: "%YAML 1.2\n---\na: 1\n---\na: 2\n...\n", sets: []wire.PatchSet{one("a", 3), one("b", 4)}, want: "%YAML 1.2\n---\na: 3\nb: 4\n---\na: 2\n...\n"},
		{name: "nothing there", in: "a:\nb: ~\nc:   # why\nd:\n  -\n  -\n", sets: []wire.PatchSet{one("a.x", 1), one("b.x", 2), one("c", "v"), one("d.0", 3), one("d.1.k", 4)}, want: "a:\n  x: 1\nb: {x: 2}\nc: v   # why\nd:\n  - 3\n  -\n    k: 4\n"},
		{name: "made", in: "", sets: []wire.PatchSet{one("server.port", 1), one("server.address", "0.0.0.0"), one("l[0].name", "x"), one("l[1].name", "z")}, want: "server:\n  port: 1\n  address: 0.0.0.0\nl:\n  - name: x\n  - name: z\n"},
		{name: "only comments", in: "# a\n\n# b", sets: []wire.PatchSet{one("x", 1)}, want: "# a\n\n# b\nx: 1\n"},
		{name: "keys with dots", in: "server.port: 1\n\"a b\": 2\n'c.d':\n  e: 3\n", sets: []wire.PatchSet{one("server.port", 5), one("a b", 6), one("c.d.e", 7)}, want: "server.port: 5\n\"a b\": 6\n'c.d':\n  e: 7\n"},
		{name: "a mapping becomes a value", in: "a:\n  b: 1\n  c:\n  - 2\n# end\nd: 3\n", sets: []wire.PatchSet{one("a", "x")}, want: "a: x\n# end\nd: 3\n"},
		{name: "CRLF", in: "a:\r\n  b: 1\r\n  c: x y\r\nd: 'q'\r\n", sets: []wire.PatchSet{one("a.b", 2), one("a.c", "z"), one("d", "w"), one("a.e", 4)}, want: "a:\r\n  b: 2\r\n  c: z\r\n  e: 4\r\nd: 'w'\r\n"},
		{name: "no end of line", in: "a: 1", sets: []wire.PatchSet{one("b", 2)}, want: "a: 1\nb: 2"},
		{name: "a value on the document's line", in: "--- {a: 1}\n", sets: []wire.PatchSet{one("a", 2)}, want: "--- {a: 2}\n"},
		{name: "JSON", in: "{\n\t\"a\": 1,\n\t\"b\": {\"c\":\"x\"}\n}\n", sets: []wire.PatchSet{one("a", 2), one("b.c", "y")}, want: "{\n\t\"a\": 2,\n\t\"b\": {\"c\":\"y\"}\n}\n"},
		{name: "quotes within words", in: "a: [it's, don't, x]\nb: {k: it's}\n", sets: []wire.PatchSet{one("a.2", "w"), one("b.k", "z")}, want: "a: [it's, don't, w]\nb: {k: z}\n"},
		{name: "questions are left alone", in: "? a\n: b\nc: 1\n", sets: []wire.PatchSet{one("c", 2)}, want: "? a\n: b\nc: 2\n"},
		{name: "a list in a list's place", in: "- a: 1\n- a: 2\n", sets: []wire.PatchSet{one("*.a", 3), one("[2]", "x")}, want: "- a: 3\n- a: 3\n- x\n"},
		{name: "no place", in: "a: x\n", sets: []wire.PatchSet{one("a.b", 1)}, want: "a: x\n", told: "a.b isn't set: there is a plain value on the way to it, in line 1"},
	})
	refuse(t, wire.PatchYAML, []refusal{
		{name: "a tab", in: "a:\n\tb: 1\n", sets: []wire.PatchSet{one("a.b", 1)}, line: 2, why: "a tab can't indent"},
		{name: "no key", in: "a: 1\nnonsense\nb: 2\n", sets: []wire.PatchSet{one("a", 2)}, line: 2, why: "neither"},
		{name: "a quote", in: "a: 1\nb: \"x\n", sets: []wire.PatchSet{one("a", 2)}, line: 2, why: "has no end"},
		{name: "a bracket", in: "a: [1, 2\nb: 1\n", sets: []wire.PatchSet{one("a", 2)}, line: 1, why: "a [ has no end"},
		{name: "indented wrong", in: "a:\n  b: 1\n   c: 2\n", sets: []wire.PatchSet{one("a.b", 2)}, line: 3, why: "indented further"},
		{name: "a bomb of lists", in: strings.Repeat("- ", 20000) + "x", sets: []wire.PatchSet{one("a", 2)}, line: 1, why: "nested more than"},
		{name: "a bomb of brackets", in: strings.Repeat("[", 20000), sets: []wire.PatchSet{one("a", 2)}, line: 1, why: "nested more than"},
	})
}

func TestTOML(t *testing.T) {
	t.Parallel()
	play(t, wire.PatchTOML, []example{
		{
			name: "comments, order and quotes stay", in: text(`
|# Velocity
|bind = "0.0.0.0:25577" # where
|motd = 'old'
|show-max-players = 500
|online-mode = true
|
|[servers]
|# the lobby
|lobby = "127.0.0.1:30066"
|try = [
|  "lobby", # first
|  "factions",
|]
|
|[advanced]
|compression.level = -1
|inline = {a = 1, b = {c = "x"}}
|[[rules]]
|name = "one"
|[[rules]]
|name = "two"
|[rules.more]
|x = 1
`),
			sets: []wire.PatchSet{one("bind", "0.0.0.0:25565"), one("motd", "new"), one("show-max-players", "7"), one("online-mode", "false"), when(one("servers.*", "10.0.0.1$1"), `regex:^127\.0\.0\.1(:\d+)$`), one("servers.try.1", "x"), one("advanced.compression.level", 3), one("advanced.compression.more", 4), one("advanced.inline.b.c", "y"), one("advanced.inline.d", 5), one("rules[1].name", "zwei"), one("rules[1].more.x", 2), one("rules[0].add", 1), one("top", "t"), one("query.port", 25565), one("servers.new key", "v")},
			want: text(`
|# Velocity
|bind = "0.0.0.0:25565" # where
|motd = 'new'
|show-max-players = 7
|online-mode = false
|top = "t"
|
|[servers]
|# the lobby
|lobby = "10.0.0.1:30066"
|try = [
|  "lobby", # first
|  "x",
|]
|"new key" = "v"
|
|[advanced]
|compression.level = 3
|compression.more = 4
|inline = {a = 1, b = {c = "y"}, d = 5}
|[[rules]]
|name = "one"
|add = 1
|[[rules]]
|name = "zwei"
|[rules.more]
|x = 2
|
|[query]
|port = 25565
`),
		},
		{name: "made", in: "", sets: []wire.PatchSet{one("a", 1), one("b.c", "x"), one("b.d", true), one("e", nil)}, want: "a = 1\ne = \"\"\n\n[b]\nc = \"x\"\nd = true\n"},
		{name: "before the first table", in: "# head\n[a]\nb = 1\n", sets: []wire.PatchSet{one("x", 1)}, want: "# head\nx = 1\n[a]\nb = 1\n"},
		{name: "strings of lines", in: "a = \"\"\"\none\ntwo\"\"\"\nb = '''x'''\nc = 1979-05-27 07:32:00 # d\nd = 0xff\n", sets: []wire.PatchSet{when(one("a", "z"), "one\ntwo"), one("b", "y"), one("c", "x"), one("d", "y")}, want: "a = \"z\"\nb = 'y'\nc = \"x\" # d\nd = \"y\"\n"},
		{name: "dotted keys grow where they are", in: "server.port = 1\nz = 2\n[t]\n", sets: []wire.PatchSet{one("server.host", "h"), one("t.x", 1)}, want: "server.port = 1\nserver.host = \"h\"\nz = 2\n[t]\nx = 1\n"},
		{name: "a table is no value", in: "[a]\nb = 1\n", sets: []wire.PatchSet{one("a", 1)}, want: "[a]\nb = 1\n", told: "a isn't set: it is a table"},
		{name: "no place", in: "a = 1\n", sets: []wire.PatchSet{one("a.b", 1)}, want: "a = 1\n", told: "there is a plain value on the way"},
		{name: "CRLF", in: "a = 1\r\n[b]\r\nc = 'x'\r\n", sets: []wire.PatchSet{one("b.c", "y"), one("b.d", 1)}, want: "a = 1\r\n[b]\r\nc = 'y'\r\nd = 1\r\n"},
		{name: "quoted keys", in: "\"a.b\" = 1\n['c d']\ne = 2\n", sets: []wire.PatchSet{one(`["a.b"]`, 3), one("c d.e", 4)}, want: "\"a.b\" = 3\n['c d']\ne = 4\n"},
	})
	refuse(t, wire.PatchTOML, []refusal{
		{name: "no sign", in: "a = 1\nb 2\n", sets: []wire.PatchSet{one("a", 1)}, line: 2, why: "\"=\" is missing"},
		{name: "no value", in: "a =\n", sets: []wire.PatchSet{one("a", 1)}, line: 1, why: "a value is missing"},
		{name: "a quote", in: "a = 1\nb = \"x\n", sets: []wire.PatchSet{one("a", 1)}, line: 2, why: "has no end"},
		{name: "a table", in: "[a\n", sets: []wire.PatchSet{one("a", 1)}, line: 1, why: "ends with ]"},
		{name: "a bomb", in: "a = " + strings.Repeat("[", 20000), sets: []wire.PatchSet{one("a", 1)}, line: 1, why: "nested more than"},
	})
}

func TestXML(t *testing.T) {
	t.Parallel()
	play(t, wire.PatchXML, []example{
		{
			name: "what isn't named stays", in: "<?xml version='1.0'?>\n<!DOCTYPE x [<!ENTITY a \"b>\">]>\n<config a = 'x'>\n\t<!-- port -->\n\t<port >1</port >\n\t<setting name=\"x\" value='1'/>\n\t<setting name=\"y\">\n\t\t<deep><![CDATA[a<b]]></deep>\n\t</setting>\n</config>\n",
			sets: []wire.PatchSet{one("config.port", 25565), one("config.setting[@name='x']", "[value='2<3']"), one("config.setting[@name='y'].deep", "c&d"), one("config.setting[@name='z'].v", "new"), one("config.setting[@name='w']", "[value='7']")},
			want: "<?xml version='1.0'?>\n<!DOCTYPE x [<!ENTITY a \"b>\">]>\n<config a = 'x'>\n\t<!-- port -->\n\t<port >25565</port >\n\t<setting name=\"x\" value='2&lt;3'/>\n\t<setting name=\"y\">\n\t\t<deep>c&amp;d</deep>\n\t</setting>\n  <setting name=\"z\">\n    <v>new</v>\n  </setting>\n  <setting name=\"w\" value=\"7\"/>\n</config>\n",
		},
		{name: "made", in: "", sets: []wire.PatchSet{one("Root.Server.Port", 1), one("Root.Server.Name", "ä"), one("Root.Attr", "[value='x']")}, want: "<?xml version=\"1.0\" encoding=\"utf-8\"?>\n<Root>\n  <Server>\n    <Port>1</Port>\n    <Name>ä</Name>\n  </Server>\n  <Attr value=\"x\"/>\n</Root>\n"},
		{name: "all of a name, wildcards", in: "<a><b><p>1</p></b><c><p>2</p><p>3</p></c></a>", sets: []wire.PatchSet{one("a.c.p", 5), when(one("a.*.p", 7), "1")}, want: "<a><b><p>7</p></b><c><p>5</p><p>5</p></c></a>"},
		{name: "empty elements", in: "<a><b/><c  /><d></d></a>", sets: []wire.PatchSet{one("a.b", "x"), one("a.c", "[v='1']"), one("a.d", "")}, want: "<a><b>x</b><c v=\"1\"  /><d></d></a>"},
		{name: "children stay", in: "<a>\n  text\n  <b/>\n</a>", sets: []wire.PatchSet{one("a", "new")}, want: "<a>\n  new\n  <b/>\n</a>"},
		{name: "another encoding", in: "<?xml version=\"1.0\" encoding=\"ISO-8859-1\"?><a><b>\xe4</b><c/></a>", sets: []wire.PatchSet{one("a.c", "ä")}, want: "<?xml version=\"1.0\" encoding=\"ISO-8859-1\"?><a><b>\xe4</b><c>&#228;</c></a>"},
		{name: "another root", in: "<x><b>1</b></x>", sets: []wire.PatchSet{one("a.b", 2)}, want: "<x><b>1</b></x>", told: "the file's root is x"},
		{name: "conditions", in: "<a><b v='1'>x</b></a>", sets: []wire.PatchSet{when(one("a.b", "y"), "x"), when(one("a.b", "[v='2']"), "3"), when(one("a.n", 1), "x")}, want: "<a><b v='1'>y</b></a>"},
	})
	refuse(t, wire.PatchXML, []refusal{
		{name: "crossed", in: "<a>\n<b></a></b>", sets: []wire.PatchSet{one("a.b", 1)}, line: 2, why: "</a> is where </b> should be"},
		{name: "no end", in: "<a>\n<b>", sets: []wire.PatchSet{one("a.b", 1)}, line: 2, why: "the element b has no end"},
		{name: "no XML", in: "port=1\n", sets: []wire.PatchSet{one("a.b", 1)}, line: 1, why: "text outside"},
		{name: "a bomb", in: strings.Repeat("<a>", 20000), sets: []wire.PatchSet{one("a.b", 1)}, line: 1, why: "nested more than"},
	})
}

func TestTheInputIsLeftAlone(t *testing.T) {
	t.Parallel()
	in := `{"a": 1}`
	src := []byte(in)
	out, _, err := patch.Text(wire.PatchJSON, src, []wire.PatchSet{one("a", 2)})
	if err != nil || string(out) == in || string(src) != in {
		t.Fatalf("%s, %s, %v", src, out, err)
	}
}
