package conformance

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// surpriseRow is a row of "Surprises of NSQ, one by one".
var surpriseRow = regexp.MustCompile(`(?m)^\| T-(\d+) \| ([^|]+) \| ([^|]+) \| ([^|]+) \|$`)

// TestCompatibility_EverySurpriseIsShown: the page has all of nsqd's surprises,
// and what it says of each is held by tests that there are.
func TestCompatibility_EverySurpriseIsShown(t *testing.T) {
	page, err := os.ReadFile("../../docs/compatibility.md")
	if err != nil {
		t.Fatal(err)
	}
	names := testNames(t)
	rows := surpriseRow.FindAllStringSubmatch(string(page), -1)
	for i, row := range rows {
		if row[1] != strconv.Itoa(i+1) {
			t.Fatalf("row %d is T-%s", i+1, row[1])
		}
		for _, shown := range strings.Split(row[4], ", ") {
			if n, err := strconv.Atoi(shown); err == nil {
				if statements[n] == "" {
					t.Errorf("T-%s: there is no statement %d", row[1], n)
				}
				continue
			}
			if !names[strings.Trim(shown, "`")] {
				t.Errorf("T-%s: there is no %s", row[1], shown)
			}
		}
	}
	if len(rows) != 91 {
		t.Errorf("%d surprises, want 91", len(rows))
	}
}

// testNames are the tests of all rooms.
func testNames(t *testing.T) map[string]bool {
	t.Helper()
	declared := regexp.MustCompile(`(?m)^func (Test\w+)\(`)
	names := map[string]bool{}
	err := filepath.WalkDir("../..", func(path string, _ fs.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(path, "_test.go") {
			return err
		}
		b, err := os.ReadFile(path)
		for _, m := range declared.FindAllSubmatch(b, -1) {
			names[string(m[1])] = true
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return names
}
