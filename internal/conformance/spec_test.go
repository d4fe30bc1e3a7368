package conformance

import (
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// tested are the statements that no transcript can show, with the Go test of
// this package that does.
var tested = map[int]func(*testing.T){
	17:  TestFrames_AsTheyStand,
	18:  TestFrames_AsTheyStand,
	185: TestTimeout_ManyAtOnce,
}

// differently are the statements that are not true of our server on purpose,
// with the Go test of this package that shows what is.
var differently = map[int]func(*testing.T){
	4: TestMagic_HTTPIsAnsweredInHTTP,
}

// later are the statements about what the server does not do yet, with the
// reason that they have no test.
var later = map[int]string{
	53: "deflate",
	54: "deflate",
	55: "snappy and deflate",
	57: "snappy: false whatever is asked, which shows nothing yet",
	58: "deflate: false whatever is asked, which shows nothing yet",
	67: "TLS",
	68: "snappy",
	69: "deflate",
	70: "TLS and snappy",
	71: "TLS and deflate",
	72: "snappy",
	73: "deflate",
	74: "TLS",
	75: "TLS; the refusal itself is tested in wire",
	76: "TLS; the refusal itself is tested in wire",
	77: "TLS; the exception itself is tested in wire",
	78: "TLS",
	79: "TLS",
	80: "TLS",
	81: "TLS",
	82: "TLS",
	83: "TLS",
	84: "TLS",
	85: "TLS",
	86: "TLS and deflate",
}

// titleNumbers are the numbers at the beginning of a title.
var titleNumbers = regexp.MustCompile(`^\d+(, \d+)* `)

func TestStatements_EachHasATest(t *testing.T) {
	shown := map[int][]string{}
	for _, path := range transcripts(t) {
		for _, st := range mustParse(t, path).steps {
			numbers := strings.TrimSpace(titleNumbers.FindString(st.title))
			if numbers == "" {
				t.Errorf("%s: the title %q begins without the number of a statement", path, st.title)
				continue
			}
			for _, word := range strings.Split(numbers, ", ") {
				n, err := strconv.Atoi(word)
				if err != nil {
					t.Fatal(err)
				}
				if statements[n] == "" {
					t.Errorf("%s: %q: there is no statement %d", path, st.title, n)
				}
				shown[n] = append(shown[n], path)
			}
		}
	}
	for _, n := range slices.Sorted(maps.Keys(statements)) {
		ways := 0
		if len(shown[n]) > 0 {
			ways++
		}
		if tested[n] != nil {
			ways++
		}
		if differently[n] != nil {
			ways++
		}
		if later[n] != "" {
			ways++
		}
		switch {
		case ways == 0:
			t.Errorf("statement %d has no test: %s", n, statements[n])
		case ways > 1:
			t.Errorf("statement %d is in more than one list (transcripts %v)", n, shown[n])
		}
	}
	if len(statements) != 204 {
		t.Errorf("%d statements, want 204", len(statements))
	}
}
