package records

import (
	"context"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"
	"time"
)

func all(r *Reader) (got []string, err error) {
	for {
		record, _, err := r.Next()
		if err != nil {
			return got, err
		}
		got = append(got, string(record))
	}
}

func TestReader_Records(t *testing.T) {
	long := strings.Repeat("x", 200<<10)
	for _, row := range []struct {
		in    string
		delim byte
		want  string // joined with |
	}{
		{"a\nb\n", '\n', "a|b"},
		{"a\n\n\nb", '\n', "a|b"},
		{"last byte", '\n', "last byte"}, // NSQ's to_nsq publishes "last byt"
		{"a\nb\x00c\n\x00", 0, "a\nb|c\n"},
		{"", '\n', ""},
		{"\n", '\n', ""},
		{long + "\nz", '\n', long + "|z"},
	} {
		got, err := all(NewReader(iotest.OneByteReader(strings.NewReader(row.in)), row.delim))
		if strings.Join(got, "|") != row.want || !errors.Is(err, io.EOF) {
			t.Errorf("%.20q: %.40q %v, want %.40q", row.in, got, err, row.want)
		}
	}
}

func TestReader_Ready(t *testing.T) {
	r := NewReader(strings.NewReader("a\nb\n"), '\n')
	for _, want := range []bool{true, false} {
		if _, ready, err := r.Next(); ready != want || err != nil {
			t.Errorf("ready %v %v, want %v", ready, err, want)
		}
	}
}

func TestReader_BrokenStream(t *testing.T) {
	broken := errors.New("broken")
	got, err := all(NewReader(io.MultiReader(strings.NewReader("a\nb"), iotest.ErrReader(broken)), '\n'))
	if len(got) != 1 || got[0] != "a" || !errors.Is(err, broken) {
		t.Errorf("%q %v, want a alone: half a record is none", got, err)
	}
}

// endless is a stream without a delimiter.
type endless struct{}

func (endless) Read(p []byte) (int, error) { return len(p), nil }

func TestReader_Limit(t *testing.T) {
	if _, _, err := NewReader(endless{}, '\n').Next(); err == nil || !strings.Contains(err.Error(), "record 1 has more than") {
		t.Errorf("error %v", err)
	}
}

func TestPace_Due(t *testing.T) {
	p := NewPace(100)
	p.start = time.Unix(0, 0)
	for _, row := range []struct {
		n    int
		want time.Duration
	}{{1, 0}, {1, 10 * time.Millisecond}, {50, 20 * time.Millisecond}, {1, 520 * time.Millisecond}} {
		if got := p.due(row.n).Sub(p.start); got != row.want {
			t.Errorf("due after %v, want %v", got, row.want)
		}
	}
}

func TestPace_EndsWithContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	p := NewPace(0.001)
	if err := p.Wait(ctx, 1); err != nil {
		t.Error(err)
	}
	cancel()
	if err := p.Wait(ctx, 1); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
	if err := NewPace(0).Wait(t.Context(), 1000); err != nil {
		t.Error(err)
	}
}
