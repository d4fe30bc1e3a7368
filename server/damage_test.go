package server

import (
	"context"
	"encoding/binary"
	cmdline "flag"
	"fmt"
	"log/slog"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nsqloop/nsqloop/internal/wire"
	"github.com/nsqloop/nsqloop/server/datapath"
	"github.com/nsqloop/nsqloop/server/journal"
	"github.com/nsqloop/nsqloop/server/journal/journaltest"
)

var damageCases = cmdline.Int("damage.cases", 250, "how many damaged data paths TestDamage_AnywhereInTheDataPath starts on; the figure in docs/trust.md is of 10000")

// said gathers what a server tells its operator.
type said struct{ lines []string }

func (s *said) Enabled(_ context.Context, l slog.Level) bool { return l >= slog.LevelWarn }
func (s *said) WithAttrs([]slog.Attr) slog.Handler           { return s }
func (s *said) WithGroup(string) slog.Handler                { return s }

func (s *said) Handle(_ context.Context, r slog.Record) error {
	line := r.Message
	r.Attrs(func(a slog.Attr) bool { line += " " + a.String(); return true })
	s.lines = append(s.lines, line)
	return nil
}

// onThat makes a server whose journals are on a disk. The list of topics, and
// directories for them that stay empty, are in dir.
func onThat(d *journaltest.Disk, dir string, log slog.Handler) (*Server, *bareLoop, error) {
	o := Options{MaxBytesPerFile: 16 << 10, DataPath: dir}
	o.fs = func(dir string) journal.FS { return d.Dir(filepath.Base(dir)) }
	if log != nil {
		o.Logger = slog.New(log)
	}
	l := newBareLoop()
	s, err := New(l, o)
	if err == nil {
		l.turn(func() {})
	}
	return s, l, err
}

// damageable makes a disk whose server was killed in the middle of its work:
// three topics, one of them without a channel, messages waiting, finished, in
// flight, requeued and deferred, in several segments.
func damageable(t *testing.T, dir string) *journaltest.Disk {
	t.Helper()
	d := journaltest.New(rand.New(rand.NewPCG(7, 7)))
	s, l, err := onThat(d, dir, nil)
	if err != nil {
		t.Fatal(err)
	}
	w := &world{t: t, l: l, s: s}
	for _, topic := range []string{"t", "u"} {
		for _, channel := range []string{"c", "d"} {
			w.subscribe(topic, channel, 0).hangUp()
		}
	}
	p := w.dial()
	put := func(first, end int) {
		for _, topic := range []string{"t", "u", "v"} {
			for i := first; i < end; i++ {
				body := fmt.Appendf(nil, "%s %04d %s", topic, i, strings.Repeat("x", 170+i%40))
				if i%17 == 0 {
					p.send(wire.AppendDPub(nil, topic, time.Minute, body))
				} else {
					p.send(wire.AppendPub(nil, topic, body))
				}
			}
		}
	}
	put(0, 150)
	q := w.subscribe("t", "c", 120)
	for i, m := range q.messages(120) {
		switch {
		case i%20 == 0: // stays in flight
		case i%9 == 0:
			q.req(m, time.Minute)
		default:
			q.fin(m)
		}
	}
	w.sleep(2 * time.Second)
	put(150, 200)
	w.s.metadata.write()
	w.sleep(trailDelay) // what was published last is only now missed wherever it is cut off
	d.Kill()
	w.kill()
	return d
}

// recordAt is a record of a segment, by what it was before the damage.
type recordAt struct {
	body     string
	from, to int64
}

// recordsOf lists the records of a segment.
func recordsOf(b []byte) (all []recordAt) {
	for at := int64(32); at+24 <= int64(len(b)); {
		length := binary.LittleEndian.Uint32(b[at+4:])
		head := int64(24)
		if length&(1<<31) != 0 {
			head += 8
		}
		to := at + head + int64(length&(1<<28-1))
		all = append(all, recordAt{string(b[at+head : to]), at, to})
		at = to
	}
	return all
}

// takeEverything takes what each channel of a server has, deferred messages
// included, and what topics have for their first one.
func takeEverything(t *testing.T, s *Server, l *bareLoop) map[string]map[string]bool {
	t.Helper()
	all := map[string]map[string]bool{}
	l.turn(func() {
		for _, tp := range s.topics {
			if len(tp.channels) == 0 {
				if _, err := tp.createChannel("first"); err != nil {
					t.Fatal(err)
				}
			}
			for _, ch := range tp.channels {
				got := map[string]bool{}
				ch.cur.Expire(math.MaxInt64/2, func(uint64, uint32) {})
				var m journal.Delivery
				for {
					ok, err := ch.cur.Next(math.MaxInt64/2, math.MaxInt64, 1, &m)
					if err != nil {
						t.Fatal(err)
					}
					if !ok {
						break
					}
					if got[string(m.Body)] {
						t.Fatalf("%s/%s: %.10s twice", tp.name, ch.name, m.Body)
					}
					got[string(m.Body)] = true
				}
				all[tp.name+"/"+ch.name] = got
			}
		}
	})
	return all
}

// strike damages one place of the disk, or of the list of topics in dir, and
// returns the file and the bytes that were hit.
func strike(t *testing.T, d *journaltest.Disk, dir string, dice *rand.Rand) (path, how string, from, to int64) {
	t.Helper()
	files := append(d.Files(), datapath.ListFile)
	path = files[dice.IntN(len(files))]
	if path == datapath.ListFile {
		path = filepath.Join(dir, datapath.ListFile)
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		at := dice.IntN(len(b))
		if how = "flip"; dice.IntN(2) == 0 {
			how, b = "cut", b[:at]
		} else {
			b[at] ^= 1 << dice.IntN(8)
		}
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
		return path, how, int64(at), int64(at)
	}
	at := dice.Int64N(int64(len(d.Content(path))))
	switch dice.IntN(4) {
	case 0:
		d.Cut(path, at)
		return path, "cut", at, math.MaxInt64
	case 1:
		d.ZeroPage(path, at)
		return path, "zero page", at / 4096 * 4096, at/4096*4096 + 4096
	default:
		d.FlipBit(path, at)
		return path, "flip", at, at + 1
	}
}

// However a data path is damaged, a server starts on it, delivers no damaged
// body, loses the messages whose own bytes were hit and no others, and says so.
func TestDamage_AnywhereInTheDataPath(t *testing.T) {
	dir := t.TempDir()
	whole := damageable(t, dir)
	list, err := os.ReadFile(filepath.Join(dir, datapath.ListFile))
	if err != nil {
		t.Fatal(err)
	}
	s, l, err := onThat(whole.Clone(rand.New(rand.NewPCG(1, 1))), dir, nil)
	if err != nil {
		t.Fatal(err)
	}
	want := takeEverything(t, s, l)
	(&world{t: t, l: l, s: s}).kill()
	published := map[string]bool{}
	before := map[string][]recordAt{}
	for _, path := range whole.Files() {
		if strings.HasSuffix(path, ".log") {
			before[path] = recordsOf(whole.Content(path))
			for _, r := range before[path] {
				published[r.body] = true
			}
		}
	}
	lost, hitCases, harmless := 0, 0, 0
	for seed := range uint64(*damageCases) {
		dice := rand.New(rand.NewPCG(seed, 3))
		d := whole.Clone(dice)
		if err := os.WriteFile(filepath.Join(dir, datapath.ListFile), list, 0o600); err != nil {
			t.Fatal(err)
		}
		path, how, from, to := strike(t, d, dir, dice)
		name := fmt.Sprintf("case %d: %s of %s at %d", seed, how, path, from)
		log := new(said)
		s, l, err := onThat(d, dir, log)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		hit := map[string]bool{}
		for _, r := range before[path] {
			if r.from < to && r.to > from {
				hit[r.body] = true
			}
		}
		got := takeEverything(t, s, l)
		(&world{t: t, l: l, s: s}).kill()
		gone := map[string]bool{}
		for channel, bodies := range want {
			for body := range bodies {
				switch {
				case got[channel][body]:
				case hit[body]:
					gone[body] = true
				default:
					t.Errorf("%s: %s has lost %.10s, which was not hit", name, channel, body)
				}
			}
		}
		for channel, bodies := range got {
			for body := range bodies {
				if !published[body] || body[:2] != channel[:1]+" " {
					t.Errorf("%s: %s was given %.10q, which nobody published to it", name, channel, body)
				}
			}
		}
		var counted int64
		for _, tp := range s.topics {
			counted += tp.j.Corrupt()
		}
		torn := strings.Contains(strings.Join(log.lines, "\n"), "cut off")
		switch {
		case len(gone) == 0:
			harmless++
		case counted < int64(len(gone)) && !torn:
			t.Errorf("%s: %d messages are lost and %d were counted: %q", name, len(gone), counted, log.lines)
		}
		if len(gone) > 0 && len(log.lines) == 0 {
			t.Errorf("%s: %d messages are lost, and nobody said so", name, len(gone))
		}
		if how == "flip" && len(gone) > 1 || how == "zero page" && len(gone) > 20 {
			t.Errorf("%s: %d messages are lost", name, len(gone))
		}
		lost += len(gone)
		if len(gone) > 0 {
			hitCases++
		}
		if t.Failed() {
			t.Fatal("seeds replay")
		}
	}
	t.Logf("%d cases, all started: %d lost nothing, %d lost %d messages, each hit itself, and said so",
		*damageCases, harmless, hitCases, lost)
}

// Channels that a journal has lost come back from the list of topics, with all
// that is on disk; a channel that was deleted after the list was written does
// not.
func TestRebuild_OfLostChannelsAlone(t *testing.T) {
	for _, lose := range []bool{false, true} {
		o := Options{DataPath: t.TempDir()}
		w := newWorld(t, o)
		w.subscribe("t", "c", 0)
		w.subscribe("t", "deleted", 0)
		w.publish("t", "1", "2")
		w.must(w.s.topic("t").channel("c").pauseOn)
		w.s.metadata.write()
		w.sleep(2 * time.Second) // the cursor file is synced, and the one before it removed
		if !lose {
			w.do(func() { top := w.s.topic("t"); top.deleteChannel(top.channel("deleted")) })
		}
		w.kill()
		want := "t(c)"
		if lose {
			want = "t(c deleted)" // nobody knows better
			found, err := filepath.Glob(filepath.Join(o.DataPath, "topic+t", "cursors.*"))
			if err != nil || len(found) != 1 {
				t.Fatal(found, err)
			}
			if err := os.Truncate(found[0], 40); err != nil {
				t.Fatal(err)
			}
		}
		w.start(o)
		if got := w.names(); got != want {
			t.Errorf("topics and channels %s, want %s", got, want)
		}
		if c := w.channel("t", "c"); c.Depth != 2 || !c.Paused {
			t.Errorf("channel c has depth %d, paused %v; want 2 and true", c.Depth, c.Paused)
		}
	}
}
