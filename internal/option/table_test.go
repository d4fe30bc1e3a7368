package option_test

import (
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nsqloop/nsqloop/internal/option"
)

type options struct {
	name string
	n    int
	on   bool
	d, f time.Duration
	list []string
	part float64
}

var table = option.Table[options]{
	"name":      option.Text(func(o *options) *string { return &o.name }),
	"max_n":     option.Number(func(o *options) *int { return &o.n }),
	"on":        option.Bool(func(o *options) *bool { return &o.on }),
	"delay":     option.Duration(func(o *options) *time.Duration { return &o.d }),
	"off_delay": option.Off(func(o *options) *time.Duration { return &o.f }),
	"list":      option.List(func(o *options) *[]string { return &o.list }),
	"part":      option.OffPart(func(o *options) *float64 { return &o.part }),
	"gone":      option.Refuse[options]("use delay"),
}

func TestTable_SetsFromText(t *testing.T) {
	for _, row := range []struct {
		given string
		want  options
		err   string // a part of the error; "" for none
	}{
		{"name,a,b", options{name: "a,b"}, ""},
		{"max-n,7", options{n: 7}, ""},
		{"max_n,x", options{}, `option max_n: want a number, not "x"`},
		{"on", options{on: true}, ""},
		{"on,0", options{}, ""},
		{"on,yes", options{}, `want true or false, not "yes"`},
		{"delay,1500", options{d: 1500 * time.Millisecond}, ""},
		{"delay,2m", options{d: 2 * time.Minute}, ""},
		{"delay,0", options{}, ""},
		{"delay,soon", options{}, `not "soon"`},
		{"off_delay,0", options{f: -1}, ""},
		{"off_delay,3s", options{f: 3 * time.Second}, ""},
		{"off_delay,x", options{}, "want a duration"},
		{"list,a, b", options{list: []string{"a", "b"}}, ""},
		{"list,a,", options{}, `option list: want a list with commas and nothing empty in it, not "a,"`},
		{"list", options{}, "want a list"},
		{"part,0.5", options{part: 0.5}, ""},
		{"part,0", options{part: -1}, ""},
		{"part,1.5", options{}, `want a number from 0 to 1, not "1.5"`},
		{"part,-1", options{}, "want a number"},
		{"part,NaN", options{}, "want a number"},
		{"part,x", options{}, "want a number"},
		{"gone,1", options{}, "option gone: not an option here: use delay"},
	} {
		var got options
		name, value := option.Pair(row.given)
		known, err := table.Set(&got, name, value)
		if !known || !reflect.DeepEqual(got, row.want) {
			t.Errorf("%s: known %v, %+v, want %+v", row.given, known, got, row.want)
		}
		if (err == nil) != (row.err == "") || err != nil && !strings.Contains(err.Error(), row.err) {
			t.Errorf("%s: error %v, want %q", row.given, err, row.err)
		}
	}
}

func TestTable_UnknownNames(t *testing.T) {
	if known, err := table.Set(new(options), "nme", ""); known || err != nil {
		t.Errorf("known %v, error %v", known, err)
	}
	want := `there is no option "off-dely"; did you mean off_delay?`
	if got := option.Unknown("off-dely", table.Names()).Error(); got != want {
		t.Errorf("%s, want %s", got, want)
	}
	if !slices.IsSorted(table.Names()) || len(table.Names()) != 8 {
		t.Errorf("names %q", table.Names())
	}
}

func TestMeant_Nearest(t *testing.T) {
	known := []string{"tail", "topic", "pub", "nsq_to_file"}
	for word, want := range map[string]string{
		"tial": "tail", "topics": "topic", "Pub": "pub", "nsq_to_flie": "nsq_to_file", "to_file": "", "zzz": "", "": "",
	} {
		got := option.Meant(word, known)
		if got != "" {
			got = strings.TrimSuffix(strings.TrimPrefix(got, "; did you mean "), "?")
		}
		if got != want {
			t.Errorf("%q: %q, want %q", word, got, want)
		}
	}
}
