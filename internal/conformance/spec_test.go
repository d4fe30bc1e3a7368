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
	53:  TestUpgrade_DeflateLevel,
	54:  TestUpgrade_DeflateLevel,
	55:  TestUpgrade_BothCompressions,
	57:  TestUpgrade_SwitchedOff,
	58:  TestUpgrade_SwitchedOff,
	67:  TestUpgrade_LayerByLayer,
	68:  TestUpgrade_LayerByLayer,
	69:  TestUpgrade_LayerByLayer,
	70:  TestUpgrade_LayerByLayer,
	71:  TestUpgrade_LayerByLayer,
	72:  TestUpgrade_LayerByLayer,
	73:  TestUpgrade_LayerByLayer,
	74:  TestTLS_HandshakeDeadline,
	75:  TestTLS_Required,
	76:  TestTLS_Required,
	77:  TestTLS_Required,
	78:  TestTLS_HTTP,
	79:  TestTLS_HTTP,
	80:  TestTLS_HTTP,
	81:  TestTLS_ClientCertificates,
	82:  TestTLS_ClientCertificates,
	83:  TestTLS_HTTP,
	84:  TestTLS_RequiredWithoutACertificate,
	85:  TestTLS_MinimumVersion,
	86:  TestTLS_Stats,
	185: TestTimeout_ManyAtOnce,
	280: TestAuth_Query,
	281: TestAuth_Query,
	283: TestAuth_BadReplies,
	291: TestAuth_GrantsExpire,
	292: TestAuth_OneServerIsDown,
}

// differently are the statements that are not true of our server on purpose,
// with the Go test of this package that shows what is.
var differently = map[int]func(*testing.T){
	4: TestMagic_HTTPIsAnsweredInHTTP,
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
		switch {
		case ways == 0:
			t.Errorf("statement %d has no test: %s", n, statements[n])
		case ways > 1:
			t.Errorf("statement %d is in more than one list (transcripts %v)", n, shown[n])
		}
	}
	if len(statements) != 204+17 {
		t.Errorf("%d statements, want %d", len(statements), 204+17)
	}
}
