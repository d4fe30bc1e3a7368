package journal_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/nsqloop/nsqloop/server/journal"
	"github.com/nsqloop/nsqloop/server/journal/journaltest"
)

// busy is a journal whose process was killed in the middle of its work: a
// cursor that has read nothing, one that has read half, with messages finished,
// in flight, requeued and deferred, and one that was made late. Some messages
// were published with a delay, and some more to a journal that was held.
func busy(t testing.TB) *journaltest.Disk {
	t.Helper()
	disk := journaltest.New(rand.New(rand.NewPCG(3, 3)))
	j := openDamaged(t, disk, 4<<10, nil)
	put := func(first, end int) {
		for i := first; i < end; i++ {
			due := int64(0)
			if i%7 == 0 {
				due = 1000 + int64(i)
			}
			j.Append(int64(i), due, fmt.Appendf(nil, "message %08d", i))
			if err := j.Commit(); err != nil {
				t.Fatal(err)
			}
		}
	}
	j.CreateCursor("nothing", journal.CursorOptions{})
	half := j.CreateCursor("half", journal.CursorOptions{})
	put(0, 300)
	var d journal.Delivery
	for i := range 150 {
		if ok, err := half.Next(1, 100, 1, &d); !ok || err != nil {
			t.Fatal(ok, err)
		}
		switch {
		case i%10 == 0: // stays in flight
		case i%10 == 1:
			if err := half.Requeue(d.Seq, 1, 5000); err != nil {
				t.Fatal(err)
			}
		default:
			if err := half.Finish(d.Seq, 1); err != nil {
				t.Fatal(err)
			}
		}
	}
	j.CreateCursor("late", journal.CursorOptions{})
	put(300, 350)
	if err := j.WriteEvents(); err != nil {
		t.Fatal(err)
	}
	put(350, 380)
	j.Hold(true)
	if err := j.WriteEvents(); err != nil {
		t.Fatal(err)
	}
	put(380, 400)
	disk.Kill()
	return disk
}

// everything takes what each cursor has, whatever its time, and what none was
// given yet, and checks that the depths said so.
func everything(t testing.TB, j *journal.Journal, exact bool) map[string][]string {
	t.Helper()
	all := map[string][]string{}
	take := func(c *journal.Cursor) {
		c.Expire(math.MaxInt64/2, func(uint64, uint32) {})
		depth := c.Depth()
		var d journal.Delivery
		for {
			ok, err := c.Next(math.MaxInt64/2, math.MaxInt64, 1, &d)
			if err != nil {
				t.Fatal(err)
			}
			if !ok {
				break
			}
			all[c.Name()] = append(all[c.Name()], string(d.Body))
		}
		slices.Sort(all[c.Name()])
		if exact && depth != int64(len(all[c.Name()])) {
			t.Errorf("cursor %s has depth %d and delivers %d", c.Name(), depth, len(all[c.Name()]))
		}
	}
	for _, c := range j.Cursors() {
		take(c)
	}
	beyond := j.CreateCursor("beyond", journal.CursorOptions{})
	j.Hold(false)
	take(beyond)
	return all
}

// ruin damages a disk at random: bits, pages, the ends of files, whole files.
func ruin(t testing.TB, disk *journaltest.Disk, dice *rand.Rand) string {
	t.Helper()
	files := segments(disk)
	path := files[dice.IntN(len(files))]
	at := dice.Int64N(int64(len(disk.Content(path))))
	switch dice.IntN(5) {
	case 0:
		disk.Cut(path, at)
		return fmt.Sprintf("cut %s at %d", path, at)
	case 1:
		disk.ZeroPage(path, at)
		return fmt.Sprintf("zero page of %s at %d", path, at)
	case 2:
		dir, name, _ := strings.Cut(path, "/")
		if err := disk.Dir(dir).Remove(name); err != nil {
			t.Fatal(err)
		}
		return "remove " + path
	}
	disk.FlipBit(path, at)
	return fmt.Sprintf("flip a bit of %s at %d", path, at)
}

// A survey tells of each cursor how many of its messages are lost, exactly.
// Mending costs nothing more: after it everything that is left is delivered,
// the depths are exact, and there is nothing to mend.
func TestMend_LosesWhatASurveyToldAlone(t *testing.T) {
	disk := busy(t)
	want := everything(t, openDamaged(t, disk.Clone(rand.New(rand.NewPCG(1, 1))), 4<<10, nil), true)
	hit, kept := 0, 0
	for seed := range uint64(400) {
		dice := rand.New(rand.NewPCG(seed, 9))
		d := disk.Clone(dice)
		name := fmt.Sprintf("case %d: ", seed)
		last := segments(d)[len(segments(d))-1]
		cutEnd := false
		for range 1 + dice.IntN(3) {
			how := ruin(t, d, dice)
			cutEnd = cutEnd || strings.HasPrefix(how, "cut "+last) || how == "remove "+last
			name += how + ", "
		}
		plain := d.Clone(dice)
		j := openDamaged(t, d, 4<<10, nil)
		found, err := j.Survey(nil)
		if err != nil {
			t.Fatal(name, err)
		}
		told := map[string]int64{}
		for _, l := range j.Lost(&found) {
			who := "beyond"
			if l.Cursor != nil {
				who = l.Cursor.Name()
			}
			told[who] = l.Messages
			hit++
		}
		aside, err := j.Mend(&found)
		if err != nil {
			t.Fatal(name, err)
		}
		for _, file := range aside {
			if len(d.Content("t/"+file)) == 0 {
				t.Errorf("%s: nothing is kept in %s", name, file)
			}
			kept++
		}
		if err := j.Check(); err != nil {
			t.Fatal(name, err)
		}
		if err := j.Close(); err != nil {
			t.Fatal(name, err)
		}
		j = openDamaged(t, d, 4<<10, nil)
		again, err := j.Survey(nil)
		if err != nil {
			t.Fatal(name, err)
		}
		if lost := j.Lost(&again); len(lost) > 0 || j.Corrupt() > 0 {
			t.Errorf("%s: after mending %v are lost, %d records are damaged", name, lost, j.Corrupt())
		}
		got := everything(t, j, len(told) == 0 || told["beyond"] == 0)
		left := everything(t, openDamaged(t, plain, 4<<10, nil), false)
		for who, bodies := range want {
			if who == "beyond" && cutEnd {
				continue // what the cursor file did not know of yet
			}
			if n := int64(len(bodies) - len(got[who])); n != told[who] {
				t.Errorf("%s: %s has lost %d messages, %d were told", name, who, n, told[who])
			}
			if !slices.Equal(got[who], left[who]) {
				t.Errorf("%s: %s is given %d messages, and without mending %d", name, who, len(got[who]), len(left[who]))
			}
		}
		if t.Failed() {
			t.Fatal("seeds replay")
		}
	}
	if hit < 200 || kept < 100 {
		t.Errorf("%d times something was lost, %d pieces were kept aside: the cases are too tame", hit, kept)
	}
}

// Each shows every message once, with all who wait for it.
func TestEach_ShowsWhatWillBeDelivered(t *testing.T) {
	disk := busy(t)
	j := openDamaged(t, disk, 4<<10, nil)
	shown, attempts, dues := map[string][]string{}, 0, 0
	if err := j.Each(nil, func(h *journal.Held) error {
		if len(h.Shares) == 0 {
			shown["beyond"] = append(shown["beyond"], string(h.Body))
		}
		for _, s := range h.Shares {
			shown[s.Cursor.Name()] = append(shown[s.Cursor.Name()], string(h.Body))
			if s.Attempts > 0 {
				attempts++
			}
			if s.Due > 0 {
				dues++
			}
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	for _, bodies := range shown {
		slices.Sort(bodies)
	}
	for who, bodies := range everything(t, j, true) {
		if !slices.Equal(bodies, shown[who]) {
			t.Errorf("%s is shown %d messages and given %d", who, len(shown[who]), len(bodies))
		}
	}
	if attempts != 30 || dues == 0 {
		t.Errorf("%d messages have attempts, want 30; %d are deferred", attempts, dues)
	}
}
