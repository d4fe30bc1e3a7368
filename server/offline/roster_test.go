package offline

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/nsqloop/nsqloop/server/datapath"
	"github.com/nsqloop/nsqloop/server/journal"
)

// fillRoster makes a data path with a topic that has had a message, and two
// that have not.
func fillRoster(t *testing.T) (dir string) {
	t.Helper()
	dir = t.TempDir()
	r, err := datapath.OpenRoster(datapath.OSDisk(dir, journal.OSDir), datapath.RosterOptions{})
	if err != nil {
		t.Fatal(err)
	}
	list := &datapath.List{LiteVersion: new(string)}
	for i, topic := range []string{"empty", "full", "Other"} {
		name := datapath.DirName(topic)
		if err := r.Make(name); err != nil {
			t.Fatal(err)
		}
		j, _, err := journal.Open(journal.Options{FS: r.Dir(name), FirstSeq: uint64(i+1) << datapath.SequenceBits})
		if err != nil {
			t.Fatal(err)
		}
		listed := datapath.Topic{Name: topic}
		for _, ch := range []string{"c", "d"} {
			cur := j.CreateCursor(ch, journal.CursorOptions{})
			listed.Channels = append(listed.Channels, datapath.Channel{Name: ch, Number: cur.Number()})
			if err := j.WriteEvents(); err != nil {
				t.Fatal(err)
			}
		}
		if topic == "full" {
			j.Append(1, 0, []byte("x"))
		}
		if err := errors.Join(j.Commit(), j.WriteEvents(), j.Close()); err != nil {
			t.Fatal(err)
		}
		list.Topics = append(list.Topics, listed)
	}
	if err := errors.Join(r.Close(), datapath.WriteList(dir, list)); err != nil {
		t.Fatal(err)
	}
	return dir
}

// channels lists what was found, as topic/channel.
func channels(r *Report) (all []string) {
	for _, top := range r.Topics {
		for _, ch := range top.Channels {
			all = append(all, top.Topic+"/"+ch.Channel)
		}
	}
	slices.Sort(all)
	return all
}

var rosterChannels = []string{"Other/c", "Other/d", "empty/c", "empty/d", "full/c", "full/d"}

func TestVerify_TopicsInTheRoster(t *testing.T) {
	dir := fillRoster(t)
	r, err := Verify(t.Context(), dir, nil)
	if err != nil {
		t.Fatal(err)
	}
	if got := channels(r); !r.Whole || !slices.Equal(got, rosterChannels) {
		t.Errorf("whole %v, channels %q, want %q", r.Whole, got, rosterChannels)
	}
	var out bytes.Buffer
	sum, err := Export(t.Context(), dir, &out, ExportOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if sum.Topics != 3 || sum.Messages != 1 || !bytes.Contains(out.Bytes(), []byte(`"topic":"empty"`)) {
		t.Errorf("exported %+v:\n%s", sum, out.Bytes())
	}
}

// What a damaged roster has lost is told, and a repair makes it again from the
// list of topics.
func TestRepair_DamagedRoster(t *testing.T) {
	dir := fillRoster(t)
	files, err := filepath.Glob(filepath.Join(dir, datapath.RosterDir, "roster.*"))
	if err != nil || len(files) != 1 {
		t.Fatal(files, err)
	}
	b, err := os.ReadFile(files[0])
	if err != nil {
		t.Fatal(err)
	}
	name := []byte(datapath.DirName("empty"))
	for at := bytes.Index(b, name); at >= 0; at = bytes.Index(b, name) {
		b[at] ^= 1
	}
	if err := os.WriteFile(files[0], b, 0o600); err != nil {
		t.Fatal(err)
	}
	for i, look := range []func() (*Report, error){
		func() (*Report, error) { return Verify(t.Context(), dir, nil) },
		func() (*Report, error) { return Repair(t.Context(), dir, nil) },
		func() (*Report, error) { return Verify(t.Context(), dir, nil) },
	} {
		r, err := look()
		if err != nil {
			t.Fatal(err)
		}
		if mended := i == 2; r.Whole != mended || mended != (len(r.Notes) == 0) {
			t.Errorf("look %d: whole %v, notes %q", i, r.Whole, r.Notes)
		}
		if got := channels(r); !slices.Equal(got, rosterChannels) {
			t.Errorf("look %d: channels %q, want %q", i, got, rosterChannels)
		}
	}
	if _, err := os.Stat(files[0] + ".aside"); err != nil {
		t.Errorf("the damaged roster was not kept: %v", err)
	}
}
