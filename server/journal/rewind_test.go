package journal_test

import (
	"fmt"
	"maps"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/nsqloop/nsqloop/server/journal"
)

// find searches for a time, a little at a time.
func find(t testing.TB, j *journal.Journal, to int64) journal.Spot {
	t.Helper()
	s := j.Search(to)
	for {
		spot, done, err := s.Step(100)
		if err != nil {
			t.Fatal(err)
		}
		if done {
			return spot
		}
	}
}

// rest takes all that waits and returns it as "body/attempts".
func rest(t testing.TB, c *journal.Cursor, now int64) (got []string) {
	t.Helper()
	c.Expire(now, func(uint64, uint32) {})
	for {
		var d journal.Delivery
		ok, err := c.Next(now, now+1000, 1, &d)
		if err != nil {
			t.Fatal(err)
		}
		if !ok {
			return got
		}
		got = append(got, fmt.Sprintf("%s/%d", d.Body, d.Attempts))
		if err := c.Finish(d.Seq, 1); err != nil {
			t.Fatal(err)
		}
	}
}

// once are messages by number, each delivered for the first time.
func once(from, to int) (all []string) {
	for _, b := range bodies(from, to) {
		all = append(all, b+"/1")
	}
	return all
}

func check(t testing.TB, j *journal.Journal) {
	t.Helper()
	if err := j.Check(); err != nil {
		t.Fatal(err)
	}
}

func settled(t testing.TB, j *journal.Journal) {
	t.Helper()
	if err := j.Commit(); err != nil {
		t.Fatal(err)
	}
	if err := j.WriteEvents(); err != nil {
		t.Fatal(err)
	}
	check(t, j)
}

// again opens the journal once more: after a clean end, or after one in which
// nothing was closed.
func again(t testing.TB, j *journal.Journal, fs journal.FS, o journal.Options, clean bool) (*journal.Journal, *journal.Cursor) {
	t.Helper()
	if clean {
		if err := j.Close(); err != nil {
			t.Fatal(err)
		}
	}
	j = openSmall(t, fs, o)
	check(t, j)
	if len(j.Cursors()) == 0 {
		return j, nil
	}
	return j, j.Cursors()[0]
}

func TestSearch_FindsTheFirstMessageOfATime(t *testing.T) {
	j := openSmall(t, journal.Memory(), journal.Options{RetainBytes: 1 << 30})
	j.CreateCursor("c", journal.CursorOptions{})
	fill(t, j, 1, 300)
	settled(t, j)
	if j.Segments() < 10 {
		t.Fatalf("%d segments are too few for this test", j.Segments())
	}
	for _, tc := range []struct {
		to   int64
		want uint64
	}{
		{math.MinInt64, 1}, {0, 1}, {1000, 1}, {1001, 2}, {150_000, 150}, {299_001, 300}, {300_000, 300}, {300_001, 301}, {math.MaxInt64, 301},
	} {
		if got := find(t, j, tc.to).Seq(); got != tc.want {
			t.Errorf("time %d: message %d, want %d", tc.to, got, tc.want)
		}
	}
}

func TestRewind_GivesEverythingAgain(t *testing.T) {
	for _, how := range []string{"at once", "clean", "killed"} {
		t.Run(how, func(t *testing.T) {
			fs, o := journal.Memory(), journal.Options{RetainBytes: 1 << 30}
			j := openSmall(t, fs, o)
			c := j.CreateCursor("c", journal.CursorOptions{})
			fill(t, j, 1, 100)
			if got := rest(t, c, 1); !slices.Equal(got, once(1, 100)) {
				t.Fatalf("delivered %q", got)
			}
			settled(t, j)
			if n := c.Rewind(find(t, j, 41_000), nil); n != 60 || c.Depth() != 60 {
				t.Errorf("%d messages are given again, depth %d; want 60", n, c.Depth())
			}
			fill(t, j, 101, 110)
			settled(t, j)
			if how != "at once" {
				j, c = again(t, j, fs, o, how == "clean")
			}
			if got := rest(t, c, 1); !slices.Equal(got, once(41, 110)) {
				t.Errorf("delivered %q", got)
			}
			settled(t, j)
			_, c = again(t, j, fs, o, true)
			if got := rest(t, c, 1); got != nil {
				t.Errorf("delivered once more: %q", got)
			}
		})
	}
}

func TestRewind_Outstanding(t *testing.T) {
	for _, how := range []string{"at once", "clean", "killed"} {
		t.Run(how, func(t *testing.T) {
			fs, o := journal.Memory(), journal.Options{RetainBytes: 1 << 30}
			j := openSmall(t, fs, o)
			c := j.CreateCursor("c", journal.CursorOptions{})
			fill(t, j, 1, 10)
			var all []journal.Delivery
			for range 8 {
				all = append(all, take(t, c, 1, 100, 5))
			}
			for i, due := range map[int]int64{0: 0, 1: 5000, 5: 0, 6: 6000} {
				if err := c.Requeue(all[i].Seq, 5, due); err != nil {
					t.Fatal(err)
				}
			}
			var dropped []uint64
			n := c.Rewind(find(t, j, 5000), func(seq uint64, owner uint32) {
				if owner != 5 {
					t.Errorf("message %d was dropped of owner %d", seq, owner)
				}
				dropped = append(dropped, seq)
			})
			check(t, j)
			slices.Sort(dropped)
			if n != 6 || !slices.Equal(dropped, []uint64{5, 8}) || c.InFlight() != 2 || c.Deferred() != 1 || c.Depth() != 7 {
				t.Errorf("%d again, dropped %v, in flight %d, deferred %d, depth %d", n, dropped, c.InFlight(), c.Deferred(), c.Depth())
			}
			settled(t, j)
			if how != "at once" {
				j, c = again(t, j, fs, o, how == "clean")
			} else {
				c.Release(5, func(uint64) {})
			}
			got := rest(t, c, 10)
			slices.Sort(got)
			want := append(once(5, 10), "body1/2", "body3/2", "body4/2")
			slices.Sort(want)
			if !slices.Equal(got, want) {
				t.Errorf("delivered %q, want %q", got, want)
			}
			if got := rest(t, c, 5000); strings.Join(got, " ") != "body2/2" {
				t.Errorf("the deferred one that is older: %q", got)
			}
			check(t, j)
		})
	}
}

// TestRewind_DelayedMessages: those whose delay is over come like others, the
// rest not before their time.
func TestRewind_DelayedMessages(t *testing.T) {
	for _, how := range []string{"at once", "clean", "killed", "killed after reading"} {
		t.Run(how, func(t *testing.T) {
			fs, o := journal.Memory(), journal.Options{RetainBytes: 1 << 30}
			j := openSmall(t, fs, o)
			c := j.CreateCursor("c", journal.CursorOptions{})
			fill(t, j, 1, 3)
			j.Append(3100, 3500, []byte("short"))
			j.Append(3200, 9000, []byte("long"))
			fill(t, j, 4, 6)
			if got := rest(t, c, 4000); len(got) != 7 {
				t.Fatalf("delivered %q", got)
			}
			settled(t, j)
			if n := c.Rewind(find(t, j, 2000), nil); n != 7 || c.Deferred() != 0 || c.Depth() != 7 {
				t.Errorf("%d again, %d deferred, depth %d", n, c.Deferred(), c.Depth())
			}
			j.Append(7000, 9500, []byte("new"))
			fill(t, j, 7, 7)
			settled(t, j)
			want := "body2/1 body3/1 short/1 body4/1 body5/1 body6/1 body7/1"
			switch how {
			case "clean", "killed":
				j, c = again(t, j, fs, o, how == "clean")
			case "killed after reading":
				// All are in flight when the end comes.
				for range 7 {
					take(t, c, 8000, 10_000, 3)
				}
				if c.Deferred() != 2 || c.Depth() != 0 {
					t.Errorf("%d deferred, depth %d", c.Deferred(), c.Depth())
				}
				settled(t, j)
				j, c = again(t, j, fs, o, false)
				want = strings.ReplaceAll(want, "/1", "/2")
			}
			got := rest(t, c, 8000)
			slices.Sort(got)
			all := strings.Fields(want)
			slices.Sort(all)
			if !slices.Equal(got, all) {
				t.Errorf("delivered %q, want %q", got, all)
			}
			check(t, j)
			if got := rest(t, c, 9000); strings.Join(got, " ") != "long/1" {
				t.Errorf("at 9000: %q", got)
			}
			if got := rest(t, c, 9500); strings.Join(got, " ") != "new/1" {
				t.Errorf("at 9500: %q", got)
			}
			settled(t, j)
			if got := rest(t, c, 99_000); got != nil {
				t.Errorf("left: %q", got)
			}
		})
	}
}

func TestRewind_ChangesNothingForward(t *testing.T) {
	j := openSmall(t, journal.Memory(), journal.Options{})
	c := j.CreateCursor("c", journal.CursorOptions{})
	fill(t, j, 1, 10)
	d := take(t, c, 1, 10, 1)
	if n := c.Rewind(find(t, j, 5000), func(uint64, uint32) { t.Error("dropped") }); n != 0 || c.Depth() != 9 || c.InFlight() != 1 {
		t.Errorf("%d again, depth %d, in flight %d", n, c.Depth(), c.InFlight())
	}
	if err := c.Finish(d.Seq, 1); err != nil {
		t.Error(err)
	}
}

// TestRewind_OnlyWhereNothingIsMissing: a segment that a straggler has kept,
// before others that are gone, is no place to begin.
func TestRewind_OnlyWhereNothingIsMissing(t *testing.T) {
	j := openSmall(t, journal.Memory(), journal.Options{})
	c := j.CreateCursor("c", journal.CursorOptions{})
	fill(t, j, 1, 1)
	straggler := take(t, c, 1, 100, 1)
	fill(t, j, 2, 100)
	rest(t, c, 1)
	settled(t, j)
	first := j.Start().Seq()
	if first < 50 || j.Segments() < 2 {
		t.Fatalf("first %d of %d segments", first, j.Segments())
	}
	if n := c.Rewind(find(t, j, 0), nil); n != int64(101-first) {
		t.Errorf("%d messages again, want %d", n, 101-first)
	}
	if got := rest(t, c, 1); !slices.Equal(got, once(int(first), 100)) || j.Corrupt() != 0 {
		t.Errorf("delivered %q, %d damaged", got, j.Corrupt())
	}
	if err := c.Finish(straggler.Seq, 1); err != nil {
		t.Error(err)
	}
}

func TestRewind_BringsBackWhatWasDropped(t *testing.T) {
	j := openSmall(t, journal.Memory(), journal.Options{})
	c := j.CreateCursor("c", journal.CursorOptions{})
	fill(t, j, 1, 2)
	j.Hold(true)
	fill(t, j, 3, 4)
	j.Discard(j.End())
	j.Hold(false)
	fill(t, j, 5, 6)
	c.Empty()
	if n := c.Rewind(find(t, j, 0), nil); n != 6 {
		t.Errorf("%d again", n)
	}
	if got := rest(t, c, 1); !slices.Equal(got, once(1, 6)) {
		t.Errorf("delivered %q", got)
	}
	check(t, j)
}

func TestRetain_KeepsFinishedSegments(t *testing.T) {
	const size = 512 // of a segment, about 17 messages
	for _, tc := range []struct {
		name       string
		age, bytes int64
		now        int64
		low, high  int // how many segments stay
	}{
		{"off", 0, 0, 1e9, 1, 2},
		{"bytes", 0, 10 * size, 1e9, 8, 10},
		{"age", 50_000, 0, 200_000, 3, 5},
		{"age over", 50_000, 0, 1e9, 1, 1},
		{"both, bytes first", 1e9, 5 * size, 200_000, 4, 5},
		{"both, age first", 20_000, 10 * size, 200_000, 2, 3},
		{"neither reached", 1e9, 1 << 30, 200_000, 12, 20},
	} {
		t.Run(tc.name, func(t *testing.T) {
			fs, o := journal.Memory(), journal.Options{RetainAge: tc.age, RetainBytes: tc.bytes}
			j := openSmall(t, fs, o)
			c := j.CreateCursor("c", journal.CursorOptions{})
			fill(t, j, 1, 200)
			full := j.Segments()
			if full < 10 {
				t.Fatalf("only %d segments", full)
			}
			j.Prune(tc.now)
			if j.Segments() != full {
				t.Errorf("%d of %d segments are left, and nothing was read", j.Segments(), full)
			}
			rest(t, c, 1)
			settled(t, j)
			j.Prune(tc.now)
			if n := j.Segments(); n < tc.low || n > tc.high {
				t.Errorf("%d segments, want %d to %d", n, tc.low, tc.high)
			}
			n := j.Segments()
			j, c = again(t, j, fs, o, true)
			j.Prune(tc.now)
			if got := j.Segments(); got != n {
				t.Errorf("%d segments after opening, %d before", got, n)
			}
			if c.Rewind(find(t, j, 0), nil) == 0 && n > 1 {
				t.Error("nothing to rewind to")
			}
			j.Prune(1e15)
			if got := j.Segments(); got != n {
				t.Errorf("%d of %d segments while a cursor needs them", got, n)
			}
			if got := rest(t, c, 1); len(got) > 0 && got[len(got)-1] != "body200/1" || j.Corrupt() != 0 {
				t.Errorf("delivered %q", got)
			}
		})
	}
}

func TestRetain_Oldest(t *testing.T) {
	j := openSmall(t, journal.Memory(), journal.Options{RetainAge: 10})
	if _, ok := j.Oldest(); ok {
		t.Error("an empty journal has an oldest message")
	}
	fill(t, j, 3, 5)
	if at, ok := j.Oldest(); at != 3000 || !ok {
		t.Errorf("oldest %d, %v", at, ok)
	}
}

// TestRewind_RandomLives: whatever happens around it, every message is
// delivered until it was finished after the last time it was set back over.
func TestRewind_RandomLives(t *testing.T) {
	for seed := range uint64(200) {
		rng := rand.New(rand.NewPCG(seed, 1))
		fs, o := journal.Memory(), journal.Options{RetainBytes: 1 << 30, SegmentBytes: 200 + int64(rng.IntN(2000))}
		j := openSmall(t, fs, o)
		c := j.CreateCursor("c", journal.CursorOptions{})
		need, flying, now := map[uint64]bool{}, map[uint64]bool{}, int64(1000)
		for range 100 {
			now += int64(rng.IntN(20))
			switch rng.IntN(8) {
			case 0, 1:
				due := int64(0)
				if rng.IntN(3) == 0 {
					due = now + int64(rng.IntN(300))
				}
				need[j.Append(now, due, []byte("body"))] = true
			case 2, 3:
				var d journal.Delivery
				ok, err := c.Next(now, now+100, 1, &d)
				if err != nil {
					t.Fatal(err)
				}
				if ok && !need[d.Seq] {
					t.Fatalf("seed %d: %d is delivered and not needed", seed, d.Seq)
				}
				if ok {
					flying[d.Seq] = true
				}
			case 4, 5:
				for _, seq := range slices.Sorted(maps.Keys(flying)) {
					if rng.IntN(3) == 0 {
						continue
					}
					delete(flying, seq)
					if rng.IntN(4) == 0 {
						if err := c.Requeue(seq, 1, now+int64(rng.IntN(2)*50)); err != nil {
							t.Fatalf("seed %d: %v", seed, err)
						}
					} else if err := c.Finish(seq, 1); err != nil {
						t.Fatalf("seed %d: %v", seed, err)
					} else {
						delete(need, seq)
					}
				}
			case 6:
				c.Expire(now, func(seq uint64, _ uint32) { delete(flying, seq) })
				spot := find(t, j, 1000+rng.Int64N(now-999))
				if c.Rewind(spot, func(seq uint64, _ uint32) { delete(flying, seq) }) > 0 {
					for seq := spot.Seq(); seq < j.End().Seq(); seq++ {
						need[seq] = true
					}
				}
			case 7:
				settled(t, j)
				j, c = again(t, j, fs, o, rng.IntN(2) == 0)
				flying = map[uint64]bool{}
			}
			settled(t, j)
		}
		c.Expire(math.MaxInt64, func(uint64, uint32) {})
		for range 3 { // those met before their time are deferred once more
			for {
				var d journal.Delivery
				ok, err := c.Next(now, math.MaxInt64, 2, &d)
				if err != nil {
					t.Fatal(err)
				}
				if !ok {
					break
				}
				if !need[d.Seq] {
					t.Fatalf("seed %d: %d is delivered and not needed", seed, d.Seq)
				}
				delete(need, d.Seq)
				if err := c.Finish(d.Seq, 2); err != nil {
					t.Fatal(err)
				}
			}
			c.Expire(math.MaxInt64, func(uint64, uint32) {})
			settled(t, j)
		}
		if len(need) > 0 || j.Corrupt() != 0 {
			t.Fatalf("seed %d: %d messages are lost, %d damaged", seed, len(need), j.Corrupt())
		}
	}
}
