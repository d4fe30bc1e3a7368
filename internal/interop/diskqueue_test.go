package interop

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	diskqueue "github.com/nsqio/go-diskqueue"

	"github.com/nsqloop/nsqloop/server"
	"github.com/nsqloop/nsqloop/server/offline"
)

// written is a queue that nsqd's own library writes in dir.
func written(t *testing.T, dir, name string) diskqueue.Interface {
	t.Helper()
	return diskqueue.New(name, dir, 20<<10, 26, 1<<20, 100, time.Hour,
		func(level diskqueue.LogLevel, f string, args ...any) {
			if level >= diskqueue.WARN {
				t.Logf(f, args...)
			}
		})
}

// record is a message as nsqd puts it into a queue.
func record(i int, attempts uint16) []byte {
	b := binary.BigEndian.AppendUint64(nil, uint64(1_700_000_000_000_000_000+i))
	b = binary.BigEndian.AppendUint16(b, attempts)
	b = fmt.Appendf(b, "%016x", i)
	return append(b, fmt.Sprintf("body %06d %s", i, strings.Repeat("x", i%300))...)
}

// fillQueue puts messages into a queue and takes the first of them out again.
// It returns the bodies that are left.
func fillQueue(t *testing.T, dir, name string, n, taken int, clean bool) (left []string) {
	t.Helper()
	q := written(t, dir, name)
	for i := range n {
		r := record(i, uint16(i%4))
		if err := q.Put(r); err != nil {
			t.Fatal(err)
		}
		if i >= taken {
			left = append(left, string(r[26:]))
		}
	}
	for range taken {
		<-q.ReadChan()
	}
	if clean {
		if err := q.Close(); err != nil {
			t.Fatal(err)
		}
		return left
	}
	// As a kill leaves it: what was not synced yet is not in the notes.
	notes := filepath.Join(dir, name+".diskqueue.meta.dat")
	b, err := os.ReadFile(notes)
	if e := q.Close(); e != nil {
		t.Fatal(e)
	}
	if err != nil { // it was never synced
		err = os.Remove(notes)
	} else {
		err = os.WriteFile(notes, b, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	return left
}

// Everything that nsqd's own library has written, and no channel has taken, is
// delivered after an import: to each channel its own, with its attempts, and
// nothing else. After a kill of nsqd what it had taken may come again.
func TestImport_OfWhatNSQDLeaves(t *testing.T) {
	for seed := range uint64(4) {
		clean := seed%2 == 0
		t.Run(fmt.Sprintf("seed %d, clean %v", seed, clean), func(t *testing.T) {
			dice := rand.New(rand.NewPCG(seed, 1))
			from, to := t.TempDir(), filepath.Join(t.TempDir(), "new")
			want := map[string][]string{}
			type channel struct {
				Name   string `json:"name"`
				Paused bool   `json:"paused"`
			}
			type topic struct {
				Name     string    `json:"name"`
				Paused   bool      `json:"paused"`
				Channels []channel `json:"channels"`
			}
			var list struct {
				Topics  []topic `json:"topics"`
				Version string  `json:"version"`
			}
			list.Version = "1.3.0"
			fill := func(name string) {
				n := dice.IntN(600)
				want[name] = fillQueue(t, from, name, n, dice.IntN(n+1), clean)
			}
			for _, name := range []string{"orders", "Clicks.web", "alone"} {
				top := topic{Name: name, Paused: name == "Clicks.web"}
				fill(name)
				for _, ch := range []string{"a", "b", "empty"} {
					if name == "alone" {
						break
					}
					top.Channels = append(top.Channels, channel{ch, ch == "b"})
					if ch != "empty" {
						fill(name + ":" + ch)
					}
				}
				list.Topics = append(list.Topics, top)
			}
			b, err := json.Marshal(&list)
			if err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(filepath.Join(from, "nsqd.dat"), b, 0o600); err != nil {
				t.Fatal(err)
			}
			if _, err := server.Start(server.Options{DataPath: from}); err == nil {
				t.Error("a server starts on what nsqd has left")
			}
			im, err := offline.Import(context.Background(), from, to, offline.ImportOptions{})
			if err != nil {
				t.Fatal(err)
			}
			checkImport(t, im, want, clean)
			checkExport(t, to, want, clean)
			s, err := server.Start(server.Options{DataPath: to})
			if err != nil {
				t.Fatal(err)
			}
			if err := s.Shutdown(context.Background()); err != nil {
				t.Error(err)
			}
		})
	}
}

// checkImport compares what an import tells with what was left.
func checkImport(t *testing.T, im *offline.Imported, want map[string][]string, clean bool) {
	t.Helper()
	for _, top := range im.Topics {
		if len(top.Damage) > 0 || len(top.Bad) > 0 || top.Paused != (top.Topic == "Clicks.web") {
			t.Errorf("imported %+v", top)
		}
		counts := map[string]int64{top.Topic: top.Messages}
		for _, ch := range top.Channels {
			counts[top.Topic+":"+ch.Channel] = ch.Messages
			if ch.Paused != (ch.Channel == "b") {
				t.Errorf("imported %+v", ch)
			}
		}
		for name, n := range counts {
			if left := int64(len(want[name])); n < left || clean && n != left {
				t.Errorf("%s: %d messages are imported, %d were left", name, n, left)
			}
		}
	}
	if len(im.Topics) != 3 || clean && len(im.Notes) > 0 {
		t.Errorf("%d topics, notes %q", len(im.Topics), im.Notes)
	}
}

// checkExport compares what is in the data path now with what was left.
func checkExport(t *testing.T, dir string, want map[string][]string, clean bool) {
	t.Helper()
	var lines strings.Builder
	if _, err := offline.Export(context.Background(), dir, &lines, offline.ExportOptions{}); err != nil {
		t.Fatal(err)
	}
	got := map[string][]string{}
	for text := range strings.Lines(lines.String()) {
		var l struct {
			Topic, Body string
			Timestamp   int64
			Channels    *[]any
			For         []struct {
				Channel  string
				Attempts int
			}
		}
		if err := json.Unmarshal([]byte(text), &l); err != nil {
			t.Fatal(err)
		}
		if l.Channels != nil {
			continue
		}
		var i int
		if _, err := fmt.Sscanf(l.Body, "body %d", &i); err != nil || l.Timestamp != 1_700_000_000_000_000_000+int64(i) {
			t.Fatalf("body %q with timestamp %d", l.Body, l.Timestamp)
		}
		// What waits at the topic goes to its channels at once, unless it is paused.
		name := l.Topic
		for _, f := range l.For {
			if f.Attempts == i%4 && len(l.For) == 1 {
				name = l.Topic + ":" + f.Channel
			} else if f.Attempts != 0 {
				t.Errorf("%s/%s: message %d has attempts %d", l.Topic, f.Channel, i, f.Attempts)
			}
		}
		got[name] = append(got[name], l.Body)
	}
	for name, left := range want {
		slices.Sort(left)
		slices.Sort(got[name])
		if clean && !slices.Equal(got[name], left) {
			t.Errorf("%s: %d messages are there, %d were left", name, len(got[name]), len(left))
		}
		for _, body := range left {
			if _, ok := slices.BinarySearch(got[name], body); !ok {
				t.Fatalf("%s: %.20s is lost", name, body)
			}
		}
	}
}
