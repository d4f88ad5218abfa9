package rule_test

import (
	"encoding/json"
	"reflect"
	"regexp"
	"strings"
	"testing"

	"github.com/berth-panel/berth/controller/image/rule"
)

// TestRules has for each rule what keeps it and what breaks it, and the key of
// what is broken.
func TestRules(t *testing.T) {
	t.Parallel()
	for rules, c := range map[string]struct {
		keep, breaks []string
		key          string
	}{
		"required":                       {[]string{"x", "0"}, []string{"", " ", "\t\n"}, "required"},
		"filled":                         {[]string{"x"}, []string{""}, "required"},
		"string|nullable|sometimes|bail": {[]string{"", "anything"}, nil, ""},
		"present":                        {[]string{"", "x"}, nil, ""},
		"max:5":                          {[]string{"", "12345", "äöüßé"}, []string{"123456"}, "max_text"},
		"min:3":                          {[]string{"", "abc", "äöü"}, []string{"ab"}, "min_text"},
		"numeric|max:5":                  {[]string{"5", "-100", "4.99", "5.0", "5e0"}, []string{"5.01", "6", "1e1"}, "max_number"},
		"integer|min:3":                  {[]string{"3", "+4", "9223372036854775807"}, []string{"2", "-3"}, "min_number"},
		"between:2,4":                    {[]string{"ab", "abcd"}, []string{"a", "abcde"}, "between_text"},
		"integer|between:1024,65535":     {[]string{"1024", "65535"}, []string{"1023", "65536"}, "between_number"},
		"size:3":                         {[]string{"abc"}, []string{"ab", "abcd"}, "size_text"},
		"integer|size:3":                 {[]string{"3"}, []string{"4"}, "size_number"},
		"gt:2":                           {[]string{"abc"}, []string{"ab"}, "gt_text"},
		"numeric|gt:2":                   {[]string{"2.1"}, []string{"2"}, "gt_number"},
		"numeric|gte:2":                  {[]string{"2"}, []string{"1.9"}, "min_number"},
		"numeric|lt:2":                   {[]string{"1.9"}, []string{"2"}, "lt_number"},
		"lte:2":                          {[]string{"ab"}, []string{"abc"}, "max_text"},
		"integer":                        {[]string{"0", "-1", "+7", " 12 "}, []string{"1.0", "1e3", "007", "x", "9223372036854775808", "0x1"}, "integer"},
		"int":                            {[]string{"5"}, []string{"five"}, "integer"},
		"numeric":                        {[]string{"1", "-1.5", ".5", "5.", "1e5", " 1 "}, []string{"1,5", "abc", "0x1f", "1e999999999", "NaN", "Inf"}, "numeric"},
		"decimal:2":                      {[]string{"1.25"}, []string{"1.2", "1"}, "decimal"},
		"multiple_of:0.5":                {[]string{"1.5", "2"}, []string{"1.3", "x"}, "multiple_of"},
		"boolean":                        {[]string{"1", "0", "true", "false", "TRUE"}, []string{"2", "maybe"}, "boolean"},
		"in:a,b c,":                      {[]string{"a", "b c", ""}, []string{"c", "A"}, "in"},
		`in:"a,b",c`:                     {[]string{"a,b", "c"}, []string{"a", "b"}, "in"},
		"in: true, false":                {[]string{"true", "false"}, []string{"yes"}, "in"},
		"not_in:a,b":                     {[]string{"c"}, []string{"a", "b"}, "not_in"},
		"digits:3":                       {[]string{"012"}, []string{"12", "1234", "-12", "1.2"}, "digits"},
		"digits_between:2,3":             {[]string{"12", "123"}, []string{"1", "1234", "ab"}, "digits_between"},
		"min_digits:2":                   {[]string{"12", "12345"}, []string{"1"}, "min_digits"},
		"max_digits:2":                   {[]string{"1", "12"}, []string{"123"}, "max_digits"},
		"alpha":                          {[]string{"abcÄ"}, []string{"a1", "a b"}, "alpha"},
		"alpha_num":                      {[]string{"abc1"}, []string{"a-b"}, "alpha_num"},
		"alpha_dash":                     {[]string{"a-b_1"}, []string{"a b", "a.b"}, "alpha_dash"},
		"starts_with:a,bc":               {[]string{"ax", "bcd"}, []string{"bd"}, "starts_with"},
		"ends_with:.jar,.zip":            {[]string{"server.jar"}, []string{"server.jar.txt"}, "ends_with"},
		"doesnt_start_with:/":            {[]string{"a/b"}, []string{"/a"}, "doesnt_start_with"},
		"doesnt_end_with:/":              {[]string{"/a"}, []string{"a/"}, "doesnt_end_with"},
		"url":                            {[]string{"https://example.com/x?y", "ftp://example.com"}, []string{"example.com", "https://", "http://a b"}, "url"},
		"url:http,https":                 {[]string{"http://example.com"}, []string{"ftp://example.com"}, "url"},
		"email":                          {[]string{"a@example.com"}, []string{"a", "A <a@example.com>"}, "email"},
		"ip":                             {[]string{"192.0.2.1", "2001:db8::1"}, []string{"192.0.2.256", "fe80::1%eth0", "x"}, "ip"},
		"ipv4":                           {[]string{"192.0.2.1"}, []string{"2001:db8::1"}, "ipv4"},
		"ipv6":                           {[]string{"2001:db8::1"}, []string{"192.0.2.1"}, "ipv6"},
		"uuid":                           {[]string{"0123ABCD-0123-0123-0123-0123456789ab"}, []string{"0123abcd01230123012301234567 89ab", "x"}, "uuid"},
		"date":                           {[]string{"2026-01-31", "31.01.2026"}, []string{"2026-13-01", "soon"}, "date"},
		"date_format:Y-m-d":              {[]string{"2026-01-31"}, []string{"2026-1-31", "31.01.2026"}, "date_format"},
		"timezone":                       {[]string{"UTC"}, []string{"Middle/Earth", "../etc/passwd"}, "timezone"},
		"json":                           {[]string{`{"a":1}`}, []string{"{"}, "json"},
		"ascii":                          {[]string{"abc"}, []string{"ä"}, "ascii"},
		"lowercase":                      {[]string{"abc"}, []string{"aBc"}, "lowercase"},
		"uppercase":                      {[]string{"ABC"}, []string{"aBc"}, "uppercase"},
		"accepted":                       {[]string{"yes", "1"}, []string{"no"}, "accepted"},
		"declined":                       {[]string{"off"}, []string{"on"}, "declined"},
		"hex_color":                      {[]string{"#fff", "#1a2B3c"}, []string{"fff", "#12345"}, "hex_color"},
		"mac_address":                    {[]string{"00:11:22:33:44:55"}, []string{"00:11"}, "mac_address"},
		"ulid":                           {[]string{"01ARZ3NDEKTSV4RRFFQ69G5FAV"}, []string{"x"}, "ulid"},
		"regex:/^[a-z|]+$/i":             {[]string{"A|b"}, []string{"a1"}, "regex"},
		`regex:/^([\w\d._-]+)(\.jar)$/`:  {[]string{"server.jar"}, []string{"server jar", "server.zip"}, "regex"},
		"regex:^(true|false)$":           {[]string{"true"}, []string{"yes"}, "regex"},
		"regex:#^a/b$#":                  {[]string{"a/b"}, []string{"ab"}, "regex"},
		"regex:~^ a  b # comment\n$~x":   {[]string{"ab"}, []string{"a b"}, "regex"},
		"regex:{^a{2}$}":                 {[]string{"aa"}, []string{"a"}, "regex"},
		`regex:/^line\Z/m`:               {[]string{"line"}, []string{"line\nx"}, "regex"},
		`regex:/^a\hb$/`:                 {[]string{"a\tb", "a b"}, []string{"a\nb"}, "regex"},
		"regex:/b/A":                     {[]string{"bc"}, []string{"abc"}, "regex"},
		"not_regex:/[;&]/":               {[]string{"abc"}, []string{"a;b"}, "not_regex"},
		"Required|Nullable|MAX:2":        {[]string{"ab"}, []string{"abc"}, "max_text"},
	} {
		t.Run(rules, func(t *testing.T) {
			t.Parallel()
			set, unknown := rule.Parse(rule.Split(rules))
			if len(unknown) > 0 {
				t.Fatalf("not held: %v", unknown)
			}
			for _, v := range c.keep {
				if b := set.Check(v, true); len(b) > 0 {
					t.Errorf("%q breaks %+v", v, b)
				}
			}
			for _, v := range c.breaks {
				b := set.Check(v, true)
				if len(b) == 0 || b[len(b)-1].Rule != c.key || b[0].Message == "" {
					t.Errorf("%q gives %+v, want %s", v, b, c.key)
				}
			}
		})
	}
}

func TestEveryRuleThatIsBrokenIsTold(t *testing.T) {
	t.Parallel()
	set, _ := rule.Parse([]string{"required", "integer", "between:1,5", "not_in:9"})
	got := set.Check("9", true)
	want := []rule.Broken{
		{Rule: "between_number", Params: map[string]string{"from": "1", "to": "5"}, Message: "1 to 5"},
		{Rule: "not_in", Params: map[string]string{"values": "9"}, Message: "none of 9"},
	}
	if !reflect.DeepEqual(got, want) {
		t.Fatalf("got %+v", got)
	}
	if set.Check("", false) == nil || !set.Required() {
		t.Error("what is required may be left out")
	}
	filled, _ := rule.Parse([]string{"filled"})
	if filled.Check("", false) != nil {
		t.Error("what must be filled when it is there must be there")
	}
	if b := set.Check("\xff", true); len(b) != 1 || b[0].Rule != "string" {
		t.Errorf("no UTF-8: %+v", b)
	}
}

func TestWhatCannotBeHeldIsTold(t *testing.T) {
	t.Parallel()
	for text, why := range map[string]string{
		"required_if:OTHER,1": "more than the value", "exists:users": "more than the value", "same:OTHER": "more than the value", "frobnicate": "nobody knows",
		"max:many": "not a number", "regex:/(?=x)/": "RE2", "regex:/(/": "RE2", "between:1": "two numbers", "digits:x": "whole numbers", "in:": "lists nothing",
		"gt:OTHER": "not a number", "date_format:jS F": "letters", "max:" + strings.Repeat("1", 5000): "too long",
	} {
		set, unknown := rule.Parse([]string{text, "max:3"})
		if len(unknown) != 1 || !strings.Contains(unknown[0].Why, why) {
			t.Errorf("%.40s: %+v", text, unknown)
		}
		if len(set.Check("abcd", true)) != 1 {
			t.Errorf("%.40s: the other rule is lost", text)
		}
	}
}

func TestSplit(t *testing.T) {
	t.Parallel()
	for text, want := range map[string][]string{
		"":                                   nil,
		"required|string|max:20":             {"required", "string", "max:20"},
		"|required||string|":                 {"required", "string"},
		"required|regex:/^(a|b)$/|max:5":     {"required", "regex:/^(a|b)$/", "max:5"},
		"regex:/a|max:5/i|nullable":          {"regex:/a|max:5/i", "nullable"},
		`regex:/a\/|b/|string`:               {`regex:/a\/|b/`, "string"},
		"regex:^(true|false)$|max:5":         {"regex:^(true|false)$", "max:5"},
		"not_regex:#x|y#":                    {"not_regex:#x|y#"},
		"in:a,b|required":                    {"in:a,b", "required"},
		"required|regex:/^[a|b]+$/":          {"required", "regex:/^[a|b]+$/"},
		"regex:/^unclosed|required":          {"regex:/^unclosed|required"},
		"string | max:5":                     {"string", "max:5"},
		"regex:/^(0|1)$/|unknown_word|max:1": {"regex:/^(0|1)$/", "unknown_word", "max:1"},
	} {
		if got := rule.Split(text); !reflect.DeepEqual(got, want) {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
}

func TestSchema(t *testing.T) {
	t.Parallel()
	for rules, want := range map[string]string{
		"required|string|max:20":      `{"type":"string","minLength":1,"maxLength":20}`,
		"nullable|string|max:20":      `{"type":"string","maxLength":20}`,
		"required|in:a,b":             `{"type":"string","enum":["a","b"]}`,
		"in:a,b":                      `{"type":"string","enum":["a","b",""]}`,
		"required|boolean":            `{"type":"string","enum":["true","false","1","0"]}`,
		"required|boolean|in:1,0":     `{"type":"string","enum":["1","0"]}`,
		"required|integer|min:1":      `{"type":"string","pattern":"^[ \\t\\r\\n\\v\\f]*[+-]?(0|[1-9]\\d*)[ \\t\\r\\n\\v\\f]*$","x-numeric":true,"x-minimum":"1"}`,
		"min:3":                       `{"type":"string","pattern":"^$|^[\\s\\S]{3,}$"}`,
		"required|regex:/^[\\w-.]+$/": `{"type":"string","pattern":"^[\\w\\-.]+$"}`,
		"regex:/^a_\\_b|c$/":          `{"type":"string","pattern":"^$|(?:^a__b|c$)"}`,
		"required|regex:/^x$/i":       `{"type":"string","minLength":1}`,
		"required|url":                `{"type":"string","minLength":1,"format":"uri"}`,
		"required|ends_with:.jar":     `{"type":"string","pattern":"(?:\\.jar)$"}`,
		"required|digits:4|alpha_num": `{"type":"string","pattern":"^[0-9]{4,4}$","allOf":[{"pattern":"^[\\p{L}\\p{M}\\p{N}]+$"}]}`,
	} {
		set, unknown := rule.Parse(rule.Split(rules))
		if len(unknown) > 0 {
			t.Errorf("%s: %v", rules, unknown)
		}
		schema := set.Schema()
		if len(schema.AskedFor) == 0 {
			t.Errorf("%s asks for nothing in words", rules)
		}
		schema.AskedFor = nil
		var got, wanted any
		text, _ := json.Marshal(schema)
		_ = json.Unmarshal(text, &got)
		if err := json.Unmarshal([]byte(want), &wanted); err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(got, wanted) {
			t.Errorf("%s: %s\nwant %s", rules, text, want)
		}
	}
}

// FuzzRules: nothing panics, and what the schema refuses, no rule lets pass.
func FuzzRules(f *testing.F) {
	f.Add("required|regex:/^(a|b)$/i|max:5|in:a,b", "a")
	f.Add("num", "\v0")
	f.Add("numeric", "\v0")
	f.Add("numeric|between:1,1e999999|multiple_of:0.1", "1e99")
	f.Add("regex:{a{2}}|not_regex:((|date_format:Y\\m|digits_between:5,1", "\xff{{x}}")
	f.Add("min:3|size:2|gt:1|starts_with:a|ends_with:\"b,|uuid|email|ip|url|timezone|json", "a\nb")
	f.Fuzz(func(t *testing.T, rules, value string) {
		parts := rule.Split(rules)
		if strings.Count(rules, "|")+1 < len(parts) {
			t.Fatalf("%q became %q", rules, parts)
		}
		set, _ := rule.Parse(parts)
		broken := set.Check(value, true)
		schema := set.Schema()
		for _, b := range broken {
			if b.Rule == "" || b.Message == "" {
				t.Fatalf("%q: %+v says nothing", rules, b)
			}
		}
		for _, p := range append([]rule.SchemaMatch{{Pattern: schema.Pattern}}, schema.AllOf...) {
			if p.Pattern == "" {
				continue
			}
			re, err := regexp.Compile(p.Pattern)
			if err != nil {
				continue // of a dialect that Go doesn't read
			}
			if len(broken) == 0 && strings.TrimSpace(value) != "" && !re.MatchString(value) {
				t.Fatalf("%q lets %q pass, its schema's %q doesn't", rules, value, p.Pattern)
			}
		}
	})
}
