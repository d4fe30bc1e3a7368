package checklist

import (
	"fmt"
	"slices"
	"testing"
)

// said keeps what a test would fail with.
type said struct {
	testing.TB
	lines []string
}

func (s *said) Errorf(format string, args ...any) {
	s.lines = append(s.lines, fmt.Sprintf(format, args...))
}

func TestList_Check(t *testing.T) {
	good := List{
		Spans:       [][2]int{{1, 1}, {3, 4}},
		Shown:       map[int]string{1: "checklist.TestList_Check", 3: "checklist.TestList_Check  checklist.TestList_Check"},
		Differently: map[int]string{4: "a reason"},
		Rulings:     map[string]string{"a ruling": "checklist.TestList_Check"},
	}
	for _, row := range []struct {
		what  string
		spoil func(*List)
		want  []string
	}{
		{"all is well", func(*List) {}, nil},
		{"a number in no list", func(l *List) { l.Spans = append(l.Spans, [2]int{6, 6}) },
			[]string{`statement 6: shown by "", differently ""; want one of them`, "3 statements, want 4"}},
		{"one in both", func(l *List) { l.Differently = map[int]string{4: "so", 3: "so"} },
			[]string{`statement 3: shown by "checklist.TestList_Check  checklist.TestList_Check", differently "so"; want one of them`, "4 statements, want 3"}},
		{"one too many", func(l *List) { l.Differently = map[int]string{4: "so", 9: "so"} }, []string{"4 statements, want 3"}},
		{"a test that is not there", func(l *List) { l.Rulings = map[string]string{"r": "checklist.TestNowhere"} },
			[]string{"r: there is no test checklist.TestNowhere"}},
		{"one of another room", func(l *List) { l.Rulings = map[string]string{"r": "wire.TestList_Check"} },
			[]string{"r: there is no test wire.TestList_Check"}},
		{"no test", func(l *List) { l.Rulings = map[string]string{"r": ""} }, []string{"r: no test"}},
	} {
		l, s := good, &said{TB: t}
		row.spoil(&l)
		l.Check(s, "..")
		if !slices.Equal(s.lines, row.want) {
			t.Errorf("%s: said %q, want %q", row.what, s.lines, row.want)
		}
	}
}
