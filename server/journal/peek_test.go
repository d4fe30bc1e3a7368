package journal_test

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/nsqloop/nsqloop/server/journal"
)

// openSmall opens a journal of small segments in fs.
func openSmall(t testing.TB, fs journal.FS, o journal.Options) *journal.Journal {
	t.Helper()
	o.FS, o.FirstSeq = fs, 1
	if o.SegmentBytes == 0 {
		o.SegmentBytes = 512
	}
	j, _, err := journal.Open(o)
	if err != nil {
		t.Fatal(err)
	}
	return j
}

// fill publishes messages body1, body2 ... at the times 1, 2 ... times 1000.
func fill(t testing.TB, j *journal.Journal, from, to int) {
	t.Helper()
	for i := from; i <= to; i++ {
		j.Append(int64(i)*1000, 0, fmt.Appendf(nil, "body%d", i))
		if err := j.Commit(); err != nil {
			t.Fatal(err)
		}
	}
}

// shown is what Peek shows, by number.
func shown(t testing.TB, j *journal.Journal, from journal.Spot, n int, most int64) (got []string, next journal.Spot) {
	t.Helper()
	next, err := j.Peek(from, n, most, func(p *journal.Peeked) { got = append(got, string(p.Body)) })
	if err != nil {
		t.Fatal(err)
	}
	return got, next
}

func bodies(from, to int) (all []string) {
	for i := from; i <= to; i++ {
		all = append(all, fmt.Sprintf("body%d", i))
	}
	return all
}

func take(t testing.TB, c *journal.Cursor, now, deadline int64, owner uint32) journal.Delivery {
	t.Helper()
	var d journal.Delivery
	ok, err := c.Next(now, deadline, owner, &d)
	if err != nil || !ok {
		t.Fatalf("no message: %v", err)
	}
	return d
}

func TestPeek_ShowsWhatIsOnDisk(t *testing.T) {
	for _, idle := range []bool{false, true} {
		j := openSmall(t, journal.Memory(), journal.Options{})
		c := j.CreateCursor("c", journal.CursorOptions{})
		fill(t, j, 1, 200)
		if idle {
			if err := j.WriteEvents(); err != nil {
				t.Fatal(err)
			}
			if err := j.Sync()(); err != nil {
				t.Fatal(err)
			}
			j.Idle()
		}
		got, next := shown(t, j, j.Start(), 3, math.MaxInt64)
		if !slices.Equal(got, bodies(1, 3)) {
			t.Errorf("from the start: %q", got)
		}
		if got, _ = shown(t, j, next, 2, math.MaxInt64); !slices.Equal(got, bodies(4, 5)) {
			t.Errorf("from there on: %q", got)
		}
		if got, _ = shown(t, j, j.Start(), 1000, math.MaxInt64); !slices.Equal(got, bodies(1, 200)) {
			t.Errorf("all: %d messages", len(got))
		}
		// A record has 24 bytes and its body.
		if got, _ = shown(t, j, j.Start(), 1000, 60); !slices.Equal(got, bodies(1, 3)) {
			t.Errorf("60 bytes: %q", got)
		}
		if got, _ = shown(t, j, j.End(), 1000, math.MaxInt64); got != nil {
			t.Errorf("behind the end: %q", got)
		}
		if c.Depth() != 200 || c.InFlight() != 0 || j.Corrupt() != 0 {
			t.Errorf("depth %d, in flight %d, corrupt %d", c.Depth(), c.InFlight(), j.Corrupt())
		}
		if err := j.Check(); err != nil {
			t.Error(err)
		}
		if d := take(t, c, 1, 2, 1); d.Attempts != 1 || string(d.Body) != "body1" {
			t.Errorf("delivered %s, attempt %d", d.Body, d.Attempts)
		}
	}
}

func TestPeek_LastMessages(t *testing.T) {
	j := openSmall(t, journal.Memory(), journal.Options{SegmentBytes: 100 << 10})
	big := strings.Repeat("x", 1000)
	for i := 1; i <= 500; i++ {
		j.Append(int64(i), 0, fmt.Appendf(nil, "%d %s", i, big))
		if err := j.Commit(); err != nil {
			t.Fatal(err)
		}
	}
	for _, idle := range []bool{false, true} {
		if idle { // from the files alone
			if err := j.WriteEvents(); err != nil {
				t.Fatal(err)
			}
			if err := j.Sync()(); err != nil {
				t.Fatal(err)
			}
			j.Idle()
		}
		for _, tc := range []struct {
			n     int
			most  int64
			first string
			count int
		}{
			{1, math.MaxInt64, "500", 1},
			{10, math.MaxInt64, "491", 10},
			{499, math.MaxInt64, "2", 499},
			{1000, math.MaxInt64, "1", 500},
			{1000, 100000, "404", 97}, // of 1028 bytes each
			{0, math.MaxInt64, "", 0},
		} {
			from, err := j.Before(tc.n, tc.most)
			if err != nil {
				t.Fatal(err)
			}
			got, _ := shown(t, j, from, 1000, math.MaxInt64)
			first := ""
			if len(got) > 0 {
				first, _, _ = strings.Cut(got[0], " ")
			}
			// What is in memory is looked at a block at a time, so that there
			// may be more than the bytes allow.
			if exact := tc.most == math.MaxInt64 || idle; exact && (first != tc.first || len(got) != tc.count) || len(got) == 0 && tc.n > 0 {
				t.Errorf("idle %v, last %d of %d bytes: %d, the first is %q; want %d and %q", idle, tc.n, tc.most, len(got), first, tc.count, tc.first)
			}
		}
	}
	j.Append(501, 0, []byte(strings.Repeat("y", 300<<10)))
	if err := j.Commit(); err != nil {
		t.Fatal(err)
	}
	if from, err := j.Before(5, 1000); err != nil || from.Seq() > 501 {
		t.Errorf("a long last message is missed: %d, %v", from.Seq(), err)
	}
}

func TestPeek_PassesOverDamage(t *testing.T) {
	fs := journal.Memory()
	j := openSmall(t, fs, journal.Options{SegmentBytes: 1 << 20})
	fill(t, j, 1, 20)
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	names, err := fs.List()
	if err != nil {
		t.Fatal(err)
	}
	i := slices.IndexFunc(names, func(s string) bool { return strings.HasSuffix(s, ".log") })
	j = openSmall(t, fs, journal.Options{SegmentBytes: 1 << 20})
	f, err := fs.Open(names[i], false)
	if err != nil {
		t.Fatal(err)
	}
	// The third record's body.
	if _, err := f.WriteAt([]byte("!"), 32+2*29+24); err != nil {
		t.Fatal(err)
	}
	got, _ := shown(t, j, j.Start(), 1000, math.MaxInt64)
	if want := append(bodies(1, 2), bodies(4, 20)...); !slices.Equal(got, want) {
		t.Errorf("got %q", got)
	}
	if j.Corrupt() != 0 {
		t.Errorf("looking counted %d damaged records", j.Corrupt())
	}
}

// standings is what Peek shows of a cursor.
func standings(t testing.TB, c *journal.Cursor, which journal.Standing, n int) (got []string, more bool) {
	t.Helper()
	more, err := c.Peek(which, n, math.MaxInt64, func(p *journal.Pending) {
		got = append(got, fmt.Sprintf("%s/%d/%d/%d/%d", p.Body, p.Attempts, p.At, p.Since, p.Owner))
	})
	if err != nil {
		t.Fatal(err)
	}
	return got, more
}

func TestPeek_OfACursor(t *testing.T) {
	j := openSmall(t, journal.Memory(), journal.Options{})
	c := j.CreateCursor("c", journal.CursorOptions{})
	fill(t, j, 1, 6)
	j.Append(7000, 9000, []byte("later"))
	j.Append(8000, 8500, []byte("soon"))
	fill(t, j, 7, 12)
	d1, _ := take(t, c, 10, 70, 5), take(t, c, 20, 80, 6)
	d3 := take(t, c, 30, 90, 5)
	d4 := take(t, c, 40, 45, 5)
	if err := c.Touch(d1.Seq, 5, 75, 1000); err != nil {
		t.Fatal(err)
	}
	if err := c.Requeue(d3.Seq, 5, 0); err != nil {
		t.Fatal(err)
	}
	if err := c.Requeue(d4.Seq, 5, 8700); err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		which journal.Standing
		n     int
		want  string
		more  bool
	}{
		{journal.Fresh, 100, "body5/0/0/0/0 body6/0/0/0/0 body7/0/0/0/0 body8/0/0/0/0 body9/0/0/0/0 body10/0/0/0/0 body11/0/0/0/0 body12/0/0/0/0", false},
		{journal.Fresh, 3, "body5/0/0/0/0 body6/0/0/0/0 body7/0/0/0/0", true},
		{journal.Fresh, 8, "body5/0/0/0/0 body6/0/0/0/0 body7/0/0/0/0 body8/0/0/0/0 body9/0/0/0/0 body10/0/0/0/0 body11/0/0/0/0 body12/0/0/0/0", false},
		{journal.Requeued, 100, "body3/1/0/0/0", false},
		{journal.Deferred, 100, "soon/0/8500/0/0 body4/1/8700/0/0 later/0/9000/0/0", false},
		{journal.Deferred, 2, "soon/0/8500/0/0 body4/1/8700/0/0", true},
		{journal.InFlight, 100, "body1/1/75/10/5 body2/1/80/20/6", false},
		{journal.InFlight, 1, "body1/1/75/10/5", true},
	} {
		got, more := standings(t, c, tc.which, tc.n)
		if strings.Join(got, " ") != tc.want || more != tc.more {
			t.Errorf("standing %d, %d of them: %q, more %v; want %q, %v", tc.which, tc.n, got, more, tc.want, tc.more)
		}
	}
	if err := j.Check(); err != nil {
		t.Error(err)
	}
	if d := take(t, c, 50, 60, 1); string(d.Body) != "body3" || d.Attempts != 2 {
		t.Errorf("delivered %s, attempt %d: looking changed something", d.Body, d.Attempts)
	}
	more, err := c.Peek(journal.Fresh, 100, 40, func(*journal.Pending) {})
	if err != nil || !more {
		t.Errorf("40 bytes: more %v, %v", more, err)
	}
}

func TestPeek_ManyDeferredInOrder(t *testing.T) {
	j := openSmall(t, journal.Memory(), journal.Options{SegmentBytes: 1 << 20})
	c := j.CreateCursor("c", journal.CursorOptions{})
	for i := range 500 {
		j.Append(1, int64(1000+(i*7919)%500), []byte("x"))
	}
	if err := j.Commit(); err != nil {
		t.Fatal(err)
	}
	want := int64(1000)
	if _, err := c.Peek(journal.Deferred, 500, math.MaxInt64, func(p *journal.Pending) {
		if p.At != want {
			t.Fatalf("due at %d, want %d", p.At, want)
		}
		want++
	}); err != nil || want != 1500 {
		t.Errorf("shown up to %d, %v", want, err)
	}
}

func TestPeek_PassesOverGaps(t *testing.T) {
	j := openSmall(t, journal.Memory(), journal.Options{})
	c := j.CreateCursor("c", journal.CursorOptions{})
	fill(t, j, 1, 2)
	j.Hold(true)
	fill(t, j, 3, 5)
	j.Discard(j.End())
	j.Hold(false)
	fill(t, j, 6, 7)
	got, more := standings(t, c, journal.Fresh, 100)
	if want := "body1/0/0/0/0 body2/0/0/0/0 body6/0/0/0/0 body7/0/0/0/0"; strings.Join(got, " ") != want || more {
		t.Errorf("got %q, more %v", got, more)
	}
}
