package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/nsqloop/nsqloop/examples/internal/exampletest"
	"github.com/nsqloop/nsqloop/server/nsqtest"
)

func TestMain(m *testing.M) { exampletest.Main(m) }

func TestBatch_StoresAllInFewWrites(t *testing.T) {
	s := nsqtest.Start(t)
	var rows []string
	for i := range 1000 {
		rows = append(rows, fmt.Sprintf("row %04d", i))
	}
	s.Publish("rows", rows...)
	path := filepath.Join(t.TempDir(), "rows.txt")
	p := exampletest.Start(t, func(ctx context.Context, out *exampletest.Running) error { return run(ctx, s.TCPAddr(), path, out) })
	s.WaitFinished("rows", "store", len(rows))
	p.Stop()
	stored, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	got := strings.Fields(strings.ReplaceAll(string(stored), "row ", "row_"))
	for i := range got {
		got[i] = strings.ReplaceAll(got[i], "_", " ")
	}
	slices.Sort(got)
	if got = slices.Compact(got); !slices.Equal(got, rows) {
		t.Errorf("%d rows are stored, want %d", len(got), len(rows))
	}
	if n := strings.Count(p.String(), "stored "); n > 200 {
		t.Errorf("%d writes for %d rows", n, len(rows))
	}
}
