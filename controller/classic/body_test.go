package classic

import (
	"encoding/json"
	"maps"
	"strings"
	"testing"

	"github.com/berth-panel/berth/shared/problem"
)

func parse(t *testing.T, text string) body {
	t.Helper()
	var b body
	if err := json.Unmarshal([]byte(text), &b); err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return b
}

// refused checks that err is a Validation problem that names the field.
func refused(t *testing.T, input string, err error, field string) {
	t.Helper()
	if !problem.Is(err, problem.Validation) {
		t.Errorf("%s: got %v, want a validation problem", input, err)
		return
	}
	if !strings.HasPrefix(problem.From(err).Message, field+":") {
		t.Errorf("%s: %q does not begin with %q", input, problem.From(err).Message, field)
	}
}

func TestWhole(t *testing.T) {
	t.Parallel()
	for input, want := range map[string]int64{
		`1024`: 1024, `"1024"`: 1024, `" 1024 "`: 1024, `"\t7\n"`: 7, `0`: 0, `"0"`: 0, `1024.0`: 1024, `"1024.000"`: 1024, `"0064"`: 64,
		`999999999999999999`: 999999999999999999,
	} {
		got, err := parse(t, `{"memory":`+input+`}`).whole("memory", " of MiB")
		if err != nil || got != want {
			t.Errorf("%s: %d, %v; want %d", input, got, err, want)
		}
	}
	for _, input := range []string{
		`"12abc"`, `"abc"`, `" "`, `"-5"`, `-5`, `1.5`, `"1.5"`, `1e3`, `"1e3"`, `1E3`, `"0x10"`, `"1_000"`, `"1,000"`, `"+5"`, `"NaN"`, `"Infinity"`,
		`"1 024"`, `"1024MB"`, `1000000000000000000`, `10000000000000000000000000000`, `"10000000000000000000"`, `"١٢"`, `"1024\u0000"`, `true`, `[]`, `[1024]`, `{}`, `{"a":1}`, `"."`, `"5."`, `".5"`,
	} {
		_, err := parse(t, `{"memory":`+input+`}`).whole("memory", " of MiB")
		refused(t, input, err, "memory")
	}
}

func TestDecimal(t *testing.T) {
	t.Parallel()
	for input, want := range map[string]float64{`1`: 1, `"1"`: 1, `0.5`: 0.5, `" 0.25 "`: 0.25, `"2.0"`: 2, `0`: 0, `"1.123456789"`: 1.123456789} {
		got, err := parse(t, `{"cpu":`+input+`}`).decimal("cpu", " of cores")
		if err != nil || got != want {
			t.Errorf("%s: %g, %v; want %g", input, got, err, want)
		}
	}
	for _, input := range []string{`"NaN"`, `"nan"`, `"inf"`, `"-1"`, `-1`, `1e2`, `"1e2"`, `"1,5"`, `"0x1p3"`, `"half"`, `""`, `null`, `false`, `{}`, `"1.2.3"`, `"100%"`} {
		_, err := parse(t, `{"cpu":`+input+`}`).decimal("cpu", " of cores")
		refused(t, input, err, "cpu")
	}
}

func TestGigabytes(t *testing.T) {
	t.Parallel()
	for input, want := range map[string]int64{
		`"16"`: 16384, `16`: 16384, `"16GB"`: 16384, `"16 gb"`: 16384, `"16G"`: 16384, `"16GiB"`: 16384, `"1"`: 1024, `"0.5"`: 512, `1.5`: 1536, `" 2 "`: 2048, `"0"`: 0,
	} {
		got, err := parse(t, `{"ram":`+input+`}`).gigabytes("ram")
		if err != nil || got != want {
			t.Errorf("%s: %d, %v; want %d", input, got, err, want)
		}
	}
	for _, input := range []string{`"64 potatoes"`, `"16MB"`, `"16B"`, `"-1"`, `-1`, `1e9`, `"NaN"`, `"1e3"`, `"99999999999"`, `"GB"`, `true`, `["16"]`} {
		_, err := parse(t, `{"ram":`+input+`}`).gigabytes("ram")
		refused(t, input, err, "ram")
	}
	for mib, want := range map[int64]string{16384: "16", 512: "0.5", 1536: "1.5", 1000: "0.9765625", 0: "0", 1 << 30: "1048576"} {
		if got := inGigabytes(mib); got != want {
			t.Errorf("%d MiB are %q, want %q", mib, got, want)
		}
	}
	for mib := int64(1); mib < 5000; mib++ { // what was shown may be sent again
		got, err := parse(t, `{"ram":"`+inGigabytes(mib)+`"}`).gigabytes("ram")
		if err != nil || got != mib {
			t.Fatalf("%d MiB come back as %d, %v", mib, got, err)
		}
	}
}

func TestVariables(t *testing.T) {
	t.Parallel()
	for input, want := range map[string]map[string]string{
		`{"A":"x","B":"{{A}}"}`:                 {"A": "x", "B": "{{A}}"},
		`"{\"A\":\"x\",\"N\":12}"`:              {"A": "x", "N": "12"},
		`{"N":1e5,"F":1.50,"T":true,"U":false}`: {"N": "1e5", "F": "1.50", "T": "true", "U": "false"},
		`{}`:                                    {}, `"{}"`: {}, `""`: nil, `"  "`: nil, `null`: nil, `{"":"nameless"}`: {"": "nameless"}, `{"A":"1","A":"2"}`: {"A": "2"},
		`" {\"A\" : \"x\"} "`: {"A": "x"},
	} {
		got, err := parse(t, `{"variables":`+input+`}`).variables("variables")
		if err != nil || !maps.Equal(got, want) {
			t.Errorf("%s: %v, %v; want %v", input, got, err, want)
		}
	}
	if got, err := parse(t, `{}`).variables("variables"); err != nil || got != nil {
		t.Errorf("absent: %v, %v", got, err)
	}
	for _, input := range []string{
		`[]`, `["A"]`, `12`, `true`, `"A=1"`, `"null"`, `"[]"`, `"12"`, `"{"`, `"{} {}"`, `{"A":{"B":1}}`, `{"A":[1]}`, `{"A":null}`, `"{\"A\":{}}"`,
		`"\"{}\""`,
	} {
		_, err := parse(t, `{"variables":`+input+`}`).variables("variables")
		refused(t, input, err, "variables")
	}
}

func TestNeedNamesAllThatIsMissing(t *testing.T) {
	t.Parallel()
	b := parse(t, `{"a":"x","b":"","c":null,"zero":0,"no":false}`)
	for _, c := range []struct {
		names []string
		want  string
	}{
		{[]string{"a", "zero", "no"}, ""},
		{[]string{"a", "b"}, "b is required"},
		{[]string{"b", "c"}, "b and c are required"},
		{[]string{"b", "a", "c", "d"}, "b, c and d are required"},
	} {
		err := b.need(c.names...)
		got := ""
		if err != nil {
			got = err.Error()
		}
		if got != c.want {
			t.Errorf("%v: %q, want %q", c.names, got, c.want)
		}
	}
}

func TestTexts(t *testing.T) {
	t.Parallel()
	b := parse(t, `{"s":"x","n":1,"t":true,"o":{},"l":[],"z":null}`)
	for name, want := range map[string]string{"s": "x", "z": "", "absent": ""} {
		if got, err := b.text(name); err != nil || got != want {
			t.Errorf("%s: %q, %v", name, got, err)
		}
	}
	for _, name := range []string{"n", "t", "o", "l"} {
		_, err := b.text(name)
		refused(t, name, err, name)
	}
}

func TestTags(t *testing.T) {
	t.Parallel()
	for input, want := range map[string]string{`"eu,ssd"`: "eu|ssd", `" eu , ssd ,"`: "eu|ssd", `["eu","ssd"]`: "eu|ssd", `""`: "", `"one"`: "one"} {
		got, err := parse(t, `{"tags":`+input+`}`).tags("tags")
		if err != nil || strings.Join(got, "|") != want {
			t.Errorf("%s: %v, %v", input, got, err)
		}
	}
	for _, input := range []string{`1`, `{}`, `[1]`, `[["a"]]`, `true`} {
		_, err := parse(t, `{"tags":`+input+`}`).tags("tags")
		refused(t, input, err, "tags")
	}
}
