package journal

import (
	"fmt"
	"testing"
)

func mustOpen(tb testing.TB, o Options) *Journal {
	tb.Helper()
	j, _, err := Open(o)
	if err != nil {
		tb.Fatal(err)
	}
	return j
}

func mustCommit(tb testing.TB, j *Journal) {
	tb.Helper()
	if err := j.Commit(); err != nil {
		tb.Fatal(err)
	}
	if err := j.WriteEvents(); err != nil {
		tb.Fatal(err)
	}
	if err := j.Check(); err != nil {
		tb.Fatal(err)
	}
}

func publish(tb testing.TB, j *Journal, bodies ...string) {
	tb.Helper()
	for _, b := range bodies {
		j.Append(1, 0, []byte(b))
	}
	mustCommit(tb, j)
}

// drain takes up to n messages in flight with owner 1 and returns them as
// "body/attempts".
func drain(tb testing.TB, c *Cursor, n int) []string {
	tb.Helper()
	var got []string
	for range n {
		var d Delivery
		ok, err := c.Next(10, 100, 1, &d)
		if err != nil {
			tb.Fatal(err)
		}
		if !ok {
			break
		}
		got = append(got, fmt.Sprintf("%s/%d", d.Body, d.Attempts))
	}
	return got
}

func TestJournal_FirstCursorGetsTheBacklogLaterOnesDoNot(t *testing.T) {
	j := mustOpen(t, Options{FS: Memory(), FirstSeq: 7})
	publish(t, j, "a", "b")
	if j.Depth() != 2 {
		t.Fatalf("depth %d, want 2", j.Depth())
	}
	c1 := j.CreateCursor("c1", CursorOptions{})
	c2 := j.CreateCursor("c2", CursorOptions{})
	publish(t, j, "c")
	if got := fmt.Sprint(drain(t, c1, 9)); got != "[a/1 b/1 c/1]" {
		t.Errorf("first cursor got %s", got)
	}
	if got := fmt.Sprint(drain(t, c2, 9)); got != "[c/1]" {
		t.Errorf("second cursor got %s", got)
	}
	mustCommit(t, j)
}

func TestJournal_ReopensWhereItWasLeft(t *testing.T) {
	for _, clean := range []bool{true, false} {
		t.Run(fmt.Sprintf("clean=%v", clean), func(t *testing.T) {
			dir := Memory()
			j := mustOpen(t, Options{FS: dir, FirstSeq: 1 << 40})
			c := j.CreateCursor("c", CursorOptions{})
			publish(t, j, "a", "b", "c", "d", "e")
			j.Append(1, 1000, []byte("later"))
			mustCommit(t, j)
			drain(t, c, 4)
			for _, seq := range []uint64{1 << 40, 1<<40 + 2} {
				if err := c.Finish(seq, 1); err != nil {
					t.Fatal(err)
				}
			}
			if err := c.Requeue(1<<40+3, 1, 2000); err != nil {
				t.Fatal(err)
			}
			mustCommit(t, j)
			if clean {
				if err := j.Close(); err != nil {
					t.Fatal(err)
				}
			}
			j = mustOpen(t, Options{FS: dir, FirstSeq: 1 << 40})
			if err := j.Check(); err != nil {
				t.Fatal(err)
			}
			if len(j.Cursors()) != 1 {
				t.Fatalf("%d cursors", len(j.Cursors()))
			}
			c = j.Cursors()[0]
			if c.Depth() != 2 || c.Deferred() != 2 {
				t.Errorf("depth %d, deferred %d, want 2 and 2", c.Depth(), c.Deferred())
			}
			if got := fmt.Sprint(drain(t, c, 9)); got != "[b/2 e/1]" && got != "[e/1 b/2]" {
				t.Errorf("got %s", got)
			}
			c.Expire(1500, func(uint64, uint32) {})
			if c.Deferred() != 1 {
				t.Errorf("deferred %d after the first is due", c.Deferred())
			}
			mustCommit(t, j)
		})
	}
}

func BenchmarkAppendCommit(b *testing.B) {
	for _, disk := range []bool{false, true} {
		b.Run(fmt.Sprintf("disk=%v", disk), func(b *testing.B) {
			o := Options{FS: Memory(), Volatile: true, NeverSync: true}
			if disk {
				o = Options{FS: OSDir(b.TempDir()), NeverSync: true}
			}
			j := mustOpen(b, o)
			c := j.CreateCursor("c", CursorOptions{})
			body := make([]byte, 200)
			b.SetBytes(200)
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				j.Append(1, 0, body)
				if i%100 == 99 {
					if err := j.Commit(); err != nil {
						b.Fatal(err)
					}
					c.Empty()
					if err := j.WriteEvents(); err != nil {
						b.Fatal(err)
					}
				}
			}
			_ = j.Remove()
		})
	}
}

func BenchmarkNextFinish(b *testing.B) {
	j := mustOpen(b, Options{FS: Memory(), Volatile: true, NeverSync: true})
	c := j.CreateCursor("c", CursorOptions{})
	body := make([]byte, 200)
	b.SetBytes(200)
	b.ReportAllocs()
	var seqs [100]uint64
	for b.Loop() {
		for range 100 {
			j.Append(1, 0, body)
		}
		if err := j.Commit(); err != nil {
			b.Fatal(err)
		}
		for i := range seqs {
			var d Delivery
			if ok, err := c.Next(1, 100, 1, &d); !ok || err != nil {
				b.Fatal(ok, err)
			}
			seqs[i] = d.Seq
		}
		for _, s := range seqs {
			if err := c.Finish(s, 1); err != nil {
				b.Fatal(err)
			}
		}
		if err := j.WriteEvents(); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/100, "ns/msg")
}
