package relay

import "testing"

func TestFilter_Apply(t *testing.T) {
	for _, row := range []struct {
		name string
		f    Filter
		in   string
		out  string
		want verdict
	}{
		{"none", Filter{}, "not JSON", "not JSON", pass},
		{"not JSON", Filter{RequireField: "a"}, "not JSON", "", drop},
		{"no object", Filter{RequireField: "a"}, `["a"]`, "", drop},
		{"null", Filter{RequireField: "a"}, `null`, "", drop},
		{"field there", Filter{RequireField: "a"}, `{ "a": null }`, `{ "a": null }`, pass},
		{"field missing", Filter{RequireField: "a"}, `{"b":1}`, "", drop},
		{"field missing whose value counts", Filter{RequireField: "a", RequireValue: "1"}, `{"b":1}`, "", later},
		{"text", Filter{RequireField: "a", RequireValue: "x"}, `{"a":"x"}`, `{"a":"x"}`, pass},
		{"another text", Filter{RequireField: "a", RequireValue: "x"}, `{"a":"y"}`, "", drop},
		{"number", Filter{RequireField: "a", RequireValue: "1"}, `{"a":1.0}`, `{"a":1.0}`, pass},
		{"another number", Filter{RequireField: "a", RequireValue: "1"}, `{"a":2}`, "", drop},
		{"a number as text", Filter{RequireField: "a", RequireValue: "1"}, `{"a":"1.0"}`, "", drop},
		{"null is no number", Filter{RequireField: "a", RequireValue: "0"}, `{"a":null}`, "", drop},
		{"no text wanted", Filter{RequireField: "a", RequireValue: "x"}, `{"a":1}`, "", drop},
		{"whitelist", Filter{Whitelist: []string{"b", "a", "z"}}, `{"c":3,"b":"<&>","a":9007199254740993}`, `{"a":9007199254740993,"b":"<&>"}`, pass},
		{"whitelist and field", Filter{RequireField: "c", Whitelist: []string{"a"}}, `{"a":{"x": [1, 2]},"c":1}`, `{"a":{"x":[1,2]}}`, pass},
		{"whitelist, not JSON", Filter{Whitelist: []string{"a"}}, `{"a":`, "", drop},
	} {
		out, got := row.f.apply([]byte(row.in))
		if string(out) != row.out || got != row.want {
			t.Errorf("%s: %s %d, want %s %d", row.name, out, got, row.out, row.want)
		}
	}
}
