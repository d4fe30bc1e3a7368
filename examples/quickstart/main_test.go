package main

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nsqloop/nsqloop/server"
)

// play runs the quickstart with lines against nsqd, "" for its own.
func play(t *testing.T, nsqd string, lines []string) (q *quickstart, out, report string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	var o, r bytes.Buffer
	q = &quickstart{lines: lines, out: &o, report: &r}
	if err := q.run(ctx, nsqd); err != nil {
		t.Fatal(err)
	}
	return q, o.String(), r.String()
}

func TestQuickstart_PrintsEveryLine(t *testing.T) {
	q, out, report := play(t, "", []string{"a", "b", "c"})
	got := strings.Fields(out)
	slices.Sort(got)
	if want := []string{"a", "b", "c"}; !slices.Equal(got, want) {
		t.Errorf("the reader printed %q, want %q in any order", got, want)
	}
	if n := strings.Count(report, ": OK in "); n != 3 {
		t.Errorf("the callbacks reported %d successes, want 3:\n%s", n, report)
	}
	if want := regexp.MustCompile(`^published 3, failed 0, finished 3, elapsed \d.*s$`); !want.MatchString(q.String()) {
		t.Errorf("summary %q", q)
	}
}

func TestQuickstart_NothingToDoEnds(t *testing.T) {
	if q, _, _ := play(t, "", nil); q.published != 0 || q.finished != 0 {
		t.Errorf("summary %q", q)
	}
}

func TestQuickstart_AnotherServerAndManyLines(t *testing.T) {
	s, err := server.Start(server.Options{TCPAddress: "127.0.0.1:0"})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	lines := make([]string, 5000)
	for i := range lines {
		lines[i] = strings.Repeat("x", 1+i%50)
	}
	for range 2 { // what the first leaves behind would be in the second's way
		q, out, _ := play(t, s.TCPAddr().String(), lines)
		if n := strings.Count(out, "\n"); n != len(lines) || q.published != len(lines) {
			t.Errorf("%d lines printed, %s; want %d", n, q, len(lines))
		}
	}
}

func TestQuickstart_CountsWhatFails(t *testing.T) {
	q, _, report := play(t, "", []string{"fits", strings.Repeat("x", 1<<20+1)})
	if q.published != 1 || q.failed != 1 || q.finished != 1 {
		t.Errorf("summary %q, want one published and one failed", q)
	}
	if !strings.Contains(report, "line 2: ") || !strings.Contains(report, "E_BAD_MESSAGE") {
		t.Errorf("report %q, want line 2 and why", report)
	}
}

func TestReadLines_SkipsEmptyOnes(t *testing.T) {
	name := filepath.Join(t.TempDir(), "lines")
	if err := os.WriteFile(name, []byte("a\r\n\n  b \nc"), 0o600); err != nil {
		t.Fatal(err)
	}
	got, err := readLines(name)
	if want := []string{"a", "  b ", "c"}; err != nil || !slices.Equal(got, want) {
		t.Errorf("got %q, %v; want %q", got, err, want)
	}
}

func TestReadLines_DefaultIsTheChangelog(t *testing.T) {
	got, err := readLines("")
	if err != nil || len(got) == 0 || got[0] != "# Changelog" {
		t.Errorf("got %.60q, %v; want the lines of CHANGELOG.md", got, err)
	}
}
