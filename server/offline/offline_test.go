package offline

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/nsqloop/nsqloop/server/datapath"
	"github.com/nsqloop/nsqloop/server/journal"
)

const future = int64(1) << 62

// fill makes a data path as a server leaves it: a topic with two channels, one
// of which has messages finished, requeued and deferred, and a paused topic
// without a channel.
func fill(t *testing.T) (dir string) {
	t.Helper()
	dir = t.TempDir()
	open := func(topic string, serial uint64) *journal.Journal {
		j, _, err := journal.Open(journal.Options{
			FS: journal.OSDir(filepath.Join(dir, datapath.DirName(topic))), FirstSeq: serial << datapath.SequenceBits, SegmentBytes: 4 << 10,
		})
		if err != nil {
			t.Fatal(err)
		}
		return j
	}
	put := func(j *journal.Journal, n int) {
		for i := range n {
			due := int64(0)
			if i%10 == 9 {
				due = future + int64(i)
			}
			j.Append(int64(1000+i), due, fmt.Appendf(nil, "message %04d\xff", i))
			if err := j.Commit(); err != nil {
				t.Fatal(err)
			}
		}
	}
	j := open("Orders", 1)
	for _, name := range []string{"c", "d"} {
		j.CreateCursor(name, journal.CursorOptions{})
	}
	put(j, 300)
	c := j.Cursors()[0]
	c.SetPaused(true)
	var d journal.Delivery
	for i := range 100 {
		if ok, err := c.Next(1, 100, 1, &d); !ok || err != nil {
			t.Fatal(ok, err)
		}
		due := int64(0)
		switch i % 4 {
		case 0:
			due = future
		case 1, 2:
			if err := c.Finish(d.Seq, 1); err != nil {
				t.Fatal(err)
			}
			continue
		}
		if err := c.Requeue(d.Seq, 1, due); err != nil {
			t.Fatal(err)
		}
	}
	u := open("u", 2)
	u.Hold(true)
	put(u, 20)
	if err := errors.Join(j.Close(), u.Close()); err != nil {
		t.Fatal(err)
	}
	return dir
}

// tree is what stands in a directory.
func tree(t *testing.T, dir string) map[string]string {
	t.Helper()
	all := map[string]string{}
	err := filepath.Walk(dir, func(path string, info os.FileInfo, err error) error {
		if err != nil || info.IsDir() {
			return err
		}
		b, err := os.ReadFile(path)
		all[path[len(dir):]] = string(b)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func verified(t *testing.T, dir string) *Report {
	t.Helper()
	before := tree(t, dir)
	r, err := Verify(context.Background(), dir, nil)
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(before, tree(t, dir)) {
		t.Error("verify has changed the data path")
	}
	return r
}

func exported(t *testing.T, dir string, o ExportOptions) (string, *Exported) {
	t.Helper()
	var b bytes.Buffer
	x, err := Export(context.Background(), dir, &b, o)
	if err != nil {
		t.Fatal(err)
	}
	return b.String(), x
}

func TestVerify_WholeDataPath(t *testing.T) {
	r := verified(t, fill(t))
	want := []TopicReport{{
		Topic: "Orders", Segments: 3, Messages: 300,
		Channels: []ChannelReport{{Channel: "c", Paused: true, Depth: 195, Deferred: 55}, {Channel: "d", Depth: 270, Deferred: 30}},
	}, {Topic: "u", Segments: 1, Messages: 20, Depth: 18, Deferred: 2, Paused: true, Channels: []ChannelReport{}}}
	for i := range r.Topics {
		got := r.Topics[i]
		if got.Bytes == 0 || len(got.Damage)+len(got.Notes)+len(got.SetAside) > 0 {
			t.Errorf("found %+v", got)
		}
		got.Bytes, got.Damage, got.Notes, got.SetAside = 0, nil, nil, nil
		if !reflect.DeepEqual(got, want[i]) {
			t.Errorf("found %+v, want %+v", got, want[i])
		}
	}
	if !r.Whole || r.Lost != 0 || len(r.Topics) != 2 || r.Repaired {
		t.Errorf("report %+v", r)
	}
}

func TestVerify_RefusesWhatIsNotItsOwn(t *testing.T) {
	dir := fill(t)
	lock, err := datapath.Lock(dir)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Verify(context.Background(), dir, nil); !errors.Is(err, ErrLocked) {
		t.Errorf("a data path in use: %v", err)
	}
	lock.Close()
	if _, err := Repair(context.Background(), filepath.Join(dir, "none"), nil); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a data path that is not there: %v", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := Verify(ctx, dir, nil); !errors.Is(err, context.Canceled) {
		t.Errorf("a context that has ended: %v", err)
	}
	if err := os.WriteFile(filepath.Join(dir, datapath.Staging), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Verify(context.Background(), dir, nil); !errors.Is(err, datapath.ErrUnfinished) {
		t.Errorf("an import that was not finished: %v", err)
	}
}

// What verify says would be lost is what repair loses; after it the data path
// is whole, and the damaged bytes are kept.
func TestRepair_LosesWhatVerifySaid(t *testing.T) {
	dir := fill(t)
	before, _ := exported(t, dir, ExportOptions{})
	segments, err := filepath.Glob(filepath.Join(dir, "topic++orders", "*.log"))
	if err != nil || len(segments) != 3 {
		t.Fatal(segments, err)
	}
	b, err := os.ReadFile(segments[1])
	if err != nil {
		t.Fatal(err)
	}
	copy(b[1000:], "XXXX")
	if err := os.WriteFile(segments[1], b, 0o600); err != nil {
		t.Fatal(err)
	}
	said := verified(t, dir)
	if said.Whole || said.Lost != 2 || len(said.Topics[0].Damage) != 1 || said.Topics[0].Damage[0].Messages != 1 {
		t.Fatalf("verify says %+v", said)
	}
	done, err := Repair(context.Background(), dir, nil)
	if err != nil || !done.Repaired || done.Lost != said.Lost || !reflect.DeepEqual(done.Topics[0].Damage, said.Topics[0].Damage) {
		t.Fatalf("repair says %+v, %v", done, err)
	}
	aside, err := os.ReadFile(filepath.Join(dir, "topic++orders", done.Topics[0].SetAside[0]))
	if err != nil || !bytes.Contains(aside, []byte("XXXX")) {
		t.Errorf("kept aside: %q, %v", aside, err)
	}
	if r := verified(t, dir); !r.Whole || r.Lost != 0 || r.Topics[0].Channels[1].Depth+r.Topics[0].Channels[1].Deferred != 299 {
		t.Errorf("after the repair: %+v", r)
	}
	after, x := exported(t, dir, ExportOptions{})
	if gone := strings.Count(before, "\n") - strings.Count(after, "\n"); gone != 1 || x.Lost != 0 {
		t.Errorf("%d messages are gone, %d lost", gone, x.Lost)
	}
}

// A channel that the journal has lost is made again, as by a start.
func TestRepair_MakesLostChannelsAgain(t *testing.T) {
	dir := fill(t)
	version := "1"
	if err := datapath.WriteList(dir, &datapath.List{LiteVersion: &version, Topics: []datapath.Topic{
		{Name: "Orders", Channels: []datapath.Channel{{Name: "c", Number: 1}, {Name: "d", Number: 2}}},
	}}); err != nil {
		t.Fatal(err)
	}
	cursors, err := filepath.Glob(filepath.Join(dir, "topic++orders", "cursors.*"))
	if err != nil || len(cursors) != 1 {
		t.Fatal(cursors, err)
	}
	if err := os.Remove(cursors[0]); err != nil {
		t.Fatal(err)
	}
	for _, r := range []*Report{verified(t, dir), func() *Report {
		r, err := Repair(context.Background(), dir, nil)
		if err != nil {
			t.Fatal(err)
		}
		return r
	}()} {
		if ch := r.Topics[0].Channels; r.Whole || len(ch) != 2 || !ch[0].Rebuilt || ch[0].Depth+ch[0].Deferred != 300 {
			t.Errorf("found %+v", r.Topics[0])
		}
	}
	if r := verified(t, dir); !r.Whole || len(r.Topics[0].Channels) != 2 {
		t.Errorf("after the repair: %+v", r.Topics[0])
	}
}

// An import of an export is the same data path, but for the ids.
func TestImportLines_OfAnExport(t *testing.T) {
	from := fill(t)
	lines, x := exported(t, from, ExportOptions{})
	if x.Messages != 320 || x.Topics != 2 || strings.Count(lines, "\n") != 322 {
		t.Fatalf("exported %+v", x)
	}
	to := filepath.Join(t.TempDir(), "new")
	var told, total int64
	im, err := ImportLines(context.Background(), strings.NewReader(lines), int64(len(lines)), "lines", to,
		ImportOptions{Progress: func(done, all int64) { told, total = done, all }})
	if err != nil || im.Messages != 570 || told != int64(len(lines)) || total != told {
		t.Fatalf("imported %+v, %v; told %d of %d", im, err, told, total)
	}
	again, _ := exported(t, to, ExportOptions{})
	if got, want := withoutIDs(t, again), withoutIDs(t, lines); !slices.Equal(got, want) {
		t.Errorf("another export has %d lines, want %d; the first is %s, want %s", len(got), len(want), got[1], want[1])
	}
	a, b := verified(t, from), verified(t, to)
	for i := range a.Topics {
		if !reflect.DeepEqual(a.Topics[i].Channels, b.Topics[i].Channels) || a.Topics[i].Depth != b.Topics[i].Depth || a.Topics[i].Paused != b.Topics[i].Paused {
			t.Errorf("imported %+v, exported %+v", b.Topics[i], a.Topics[i])
		}
	}
}

// withoutIDs sorts the lines of an export and takes the ids away.
func withoutIDs(t *testing.T, lines string) (all []string) {
	t.Helper()
	for text := range strings.Lines(lines) {
		var l line
		if err := json.Unmarshal([]byte(text), &l); err != nil {
			t.Fatal(err)
		}
		l.ID = ""
		b, err := l.appendTo(nil)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, string(b))
	}
	slices.Sort(all)
	return all
}

func TestExport_OneChannelAndBodiesAlone(t *testing.T) {
	dir := fill(t)
	raw, x := exported(t, dir, ExportOptions{Topic: "u", Raw: true})
	if x.Messages != 20 || !strings.HasPrefix(raw, "message 0000\xff\nmessage 0001\xff\n") || strings.Count(raw, "\n") != 20 {
		t.Errorf("exported %d messages: %q", x.Messages, raw)
	}
	lines, x := exported(t, dir, ExportOptions{Topic: "Orders", Channel: "c"})
	if x.Messages != 250 || strings.Contains(lines, `"d"`) || !strings.Contains(lines, `"attempts":1`) {
		t.Errorf("exported %d messages of channel c", x.Messages)
	}
	for _, o := range []ExportOptions{{Topic: "none"}, {Topic: "u", Channel: "none"}} {
		if _, err := Export(context.Background(), dir, new(bytes.Buffer), o); err == nil {
			t.Errorf("%+v is exported", o)
		}
	}
}

// What cannot be imported leaves nothing.
func TestImportLines_RefusesAndLeavesNothing(t *testing.T) {
	const head = `{"topic":"t","channels":[{"name":"c"}]}` + "\n"
	for _, lines := range []string{
		"x", `{"topic":"no good"}`, `{"topic":"t","body":"x"}`,
		head + `{"topic":"t","body":"x","for":[{"channel":"d"}]}`,
		head + `{"topic":"t","body":"x"}` + "\n" + `{"topic":"t","body":"x","for":[{"channel":"c"}]}`,
		head + `{"topic":"t"}`, head + head, `{"topic":"t","channels":[{"name":"c#ephemeral"}]}`,
	} {
		parent := t.TempDir()
		if _, err := ImportLines(context.Background(), strings.NewReader(lines), 0, "-", filepath.Join(parent, "new"), ImportOptions{}); err == nil {
			t.Errorf("%s is imported", lines)
		}
		if left, err := os.ReadDir(parent); len(left) > 0 || err != nil {
			t.Errorf("%s leaves %v, %v", lines, left, err)
		}
	}
	full := fill(t)
	before := tree(t, full)
	if _, err := ImportLines(context.Background(), strings.NewReader(head), 0, "-", full, ImportOptions{}); err == nil || !reflect.DeepEqual(before, tree(t, full)) {
		t.Errorf("into a data path that is not empty: %v", err)
	}
}
