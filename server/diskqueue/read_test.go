package diskqueue

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// appendRecord appends a message as nsqd writes it.
func appendRecord(b []byte, i int) []byte {
	body := fmt.Sprintf("message %04d %s", i, strings.Repeat("x", i%90))
	b = binary.BigEndian.AppendUint32(b, uint32(headSize+len(body)))
	b = binary.BigEndian.AppendUint64(b, uint64(1e18+i))
	b = binary.BigEndian.AppendUint16(b, uint16(i%3))
	b = fmt.Appendf(b, "%016x", i)
	return append(b, body...)
}

// records are those of some messages, and where each begins.
func records(first, end int) (b []byte, starts []int) {
	for i := first; i < end; i++ {
		starts = append(starts, len(b))
		b = appendRecord(b, i)
	}
	return b, starts
}

func put(t *testing.T, dir, name string, content []byte) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(dir, name), content, 0o600); err != nil {
		t.Fatal(err)
	}
}

// numbers reads a queue and returns the numbers of its messages, each of which
// is checked.
func numbers(t *testing.T, read func(func(*Message) error, func(int64) error) (int64, []Damage, error)) (got []int, damaged []Damage) {
	t.Helper()
	n, damaged, err := read(func(m *Message) error {
		var i int
		if _, err := fmt.Sscanf(string(m.Body), "message %d", &i); err != nil {
			t.Fatalf("body %q", m.Body)
		}
		if m.Timestamp != int64(1e18+i) || m.Attempts != uint16(i%3) || m.ID != fmt.Sprintf("%016x", i) {
			t.Fatalf("message %d is read as %+v", i, *m)
		}
		got = append(got, i)
		return nil
	}, nil)
	if err != nil || int(n) != len(got) {
		t.Fatalf("%d messages told, %d read, %v", n, len(got), err)
	}
	return got, damaged
}

func upTo(first, end int, without ...int) (all []int) {
	for i := first; i < end; i++ {
		if !slices.Contains(without, i) {
			all = append(all, i)
		}
	}
	return all
}

func TestFind_QueuesByTheirNotes(t *testing.T) {
	b, starts := records(0, 10)
	c, _ := records(10, 20)
	for _, row := range []struct {
		name     string
		files    map[string]string
		queue    string
		want     []int
		doubtful bool
		holds    bool
	}{
		{"read in the middle", map[string]string{
			"t.diskqueue.meta.dat":   fmt.Sprintf("15\n1,%d\n2,%d\n", starts[5], len(c)),
			"t.diskqueue.000001.dat": string(b), "t.diskqueue.000002.dat": string(c),
		}, "t", upTo(5, 20), false, true},
		{"written after the note", map[string]string{
			"t:c.diskqueue.meta.dat":   "1\n1,0\n1,40\n",
			"t:c.diskqueue.000001.dat": string(b), "t:c.diskqueue.000002.dat": string(c),
		}, "t:c", upTo(0, 20), false, true},
		{"read to the end", map[string]string{
			"t.diskqueue.meta.dat":   fmt.Sprintf("0\n1,%d\n1,%d\n", len(b), len(b)),
			"t.diskqueue.000001.dat": string(b),
		}, "t", nil, false, false},
		{"files that were left", map[string]string{
			"t.diskqueue.meta.dat":   "10\n2,0\n2,9\n",
			"t.diskqueue.000001.dat": string(b), "t.diskqueue.000002.dat": string(c),
		}, "t", upTo(10, 20), false, true},
		{"no note", map[string]string{"t;c.diskqueue.000000.dat": string(b)}, "t:c", upTo(0, 10), true, true},
		{"a damaged note", map[string]string{"t.diskqueue.meta.dat": "x", "t.diskqueue.000000.dat": string(b)}, "t", upTo(0, 10), true, true},
		{"a note alone", map[string]string{"a.diskqueue.b.diskqueue.meta.dat": "3\n0,0\n0,9\n"}, "a.diskqueue.b", nil, false, true},
	} {
		dir := t.TempDir()
		for name, content := range row.files {
			put(t, dir, name, []byte(content))
		}
		put(t, dir, "t.diskqueue.meta.dat.5.tmp", nil)
		put(t, dir, "nsqd.dat", nil)
		all, err := Find(dir)
		if err != nil || len(all) != 1 || all[0].Name() != row.queue {
			t.Fatalf("%s: %v, %v", row.name, all, err)
		}
		q := all[0]
		if got, damaged := numbers(t, q.Read); !slices.Equal(got, row.want) || len(damaged) > 0 {
			t.Errorf("%s: messages %v, damage %v, want %v", row.name, got, damaged, row.want)
		}
		if q.Doubtful != row.doubtful || q.Holds() != row.holds || (q.Unread() > 0) != (len(row.want) > 0) {
			t.Errorf("%s: doubtful %v, holds %v, %d unread", row.name, q.Doubtful, q.Holds(), q.Unread())
		}
	}
	if all, err := Find(filepath.Join(t.TempDir(), "none")); len(all) > 0 || err != nil {
		t.Errorf("without a directory: %v, %v", all, err)
	}
}

// A damaged piece costs the records that it is in, also where nsqd would give
// up the whole file.
func TestRead_DamageCostsWhatItHits(t *testing.T) {
	const n = 100
	whole, starts := records(0, n)
	for seed := range uint64(200) {
		dice := rand.New(rand.NewPCG(seed, 1))
		b := slices.Clone(whole)
		i := dice.IntN(n)
		at := starts[i] + dice.IntN(lengthSize) // in a length: all else carries no check
		switch dice.IntN(3) {
		case 0:
			b[at] ^= 1 << dice.IntN(8)
		case 1:
			for j := range 64 {
				if at+j < len(b) {
					b[at+j] = 0
				}
			}
		case 2:
			b = b[:at]
		}
		// A length that happens to end where another record does hides what is between.
		claimed := at
		if len(b) >= starts[i]+lengthSize {
			claimed = starts[i] + lengthSize + int(min(binary.BigEndian.Uint32(b[starts[i]:]), n*200))
		}
		dir := t.TempDir()
		put(t, dir, "t.diskqueue.000000.dat", b)
		put(t, dir, "t.diskqueue.000003.dat.bad", whole[:starts[3]])
		all, err := Find(dir)
		if err != nil || len(all) != 1 {
			t.Fatal(all, err)
		}
		var got []int
		read, damaged, err := all[0].Read(func(m *Message) error {
			var i int
			if _, err := fmt.Sscanf(string(m.Body), "message %d", &i); err == nil {
				got = append(got, i)
			}
			return nil
		}, nil)
		if err != nil {
			t.Fatal(err)
		}
		for j := range n {
			hit := j == i || j > i && starts[j] < max(at+64, claimed) || len(b) <= starts[j]
			if !hit && !slices.Contains(got, j) {
				t.Fatalf("seed %d: message %d is lost, and %d was hit", seed, j, i)
			}
		}
		if int(read) != len(got) || len(damaged) == 0 && len(b) != starts[i] {
			t.Fatalf("seed %d: %d read, %d known, damage %v", seed, read, len(got), damaged)
		}
		if bad, _ := numbers(t, all[0].ReadBad); !slices.Equal(bad, upTo(0, 3)) {
			t.Fatalf("of the file that was set aside: %v", bad)
		}
	}
}

func TestRead_TellsATornEnd(t *testing.T) {
	b, starts := records(0, 3)
	dir := t.TempDir()
	put(t, dir, "t.diskqueue.000000.dat", b[:starts[2]+20])
	all, err := Find(dir)
	if err != nil {
		t.Fatal(err)
	}
	got, damaged := numbers(t, all[0].Read)
	if want := []Damage{{"t.diskqueue.000000.dat", int64(starts[2]), 20, true}}; !slices.Equal(got, upTo(0, 2)) || !slices.Equal(damaged, want) {
		t.Errorf("messages %v, damage %v, want %v", got, damaged, want)
	}
}

// A record longer than the window, and what follows it.
func TestRead_LongMessages(t *testing.T) {
	body := strings.Repeat("long", windowSize/2)
	b := binary.BigEndian.AppendUint32(nil, uint32(headSize+len(body)))
	b = append(append(b, make([]byte, 10)...), "0123456789abcdef"...)
	b = append(append(append(b, body...), b...), body...)
	dir := t.TempDir()
	put(t, dir, "t.diskqueue.000000.dat", append(b, 1, 2, 3))
	all, err := Find(dir)
	if err != nil {
		t.Fatal(err)
	}
	var went int64
	n, damaged, err := all[0].Read(func(m *Message) error {
		if string(m.Body) != body {
			t.Error("the body is another")
		}
		return nil
	}, func(bytes int64) error { went += bytes; return nil })
	if n != 2 || len(damaged) != 1 || err != nil || went != int64(len(b)+3) {
		t.Errorf("%d messages, damage %v, %v; went over %d bytes", n, damaged, err, went)
	}
	enough := errors.New("enough")
	if _, _, err := all[0].Read(func(*Message) error { return enough }, nil); !errors.Is(err, enough) {
		t.Errorf("an error of the caller's is %v", err)
	}
	if _, _, err := all[0].Read(func(*Message) error { return nil }, func(int64) error { return enough }); !errors.Is(err, enough) {
		t.Errorf("an error of the caller's is %v", err)
	}
}
