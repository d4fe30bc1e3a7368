package journal_test

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/nsqloop/nsqloop/server/journal"
	"github.com/nsqloop/nsqloop/server/journal/journaltest"
)

// slowly is a journal with much that is outstanding, whose cursor file is begun
// anew in small slices.
type slowly struct {
	t        *testing.T
	disk     *journaltest.Disk
	segments int64
	j        *journal.Journal
	now      int64
	written  int   // bytes given to files since it was last set
	fault    error // of what is done to the second cursor file, until it has its name
	faultOp  string
	log      bytes.Buffer
}

const slowSlice = 1 << 10

func newSlowly(t *testing.T) *slowly {
	m := &slowly{t: t, disk: journaltest.New(rand.New(rand.NewPCG(1, 1))), now: 1000}
	m.disk.Fail(func(op, name string) error {
		if m.fault != nil && op == m.faultOp && strings.HasSuffix(name, "2.tmp") {
			return m.fault
		}
		return nil
	})
	m.open()
	return m
}

// weighed is a directory that adds up what is written.
type weighed struct {
	journal.FS
	written *int
}

type weighedFile struct {
	journal.File
	written *int
}

func (d weighed) Open(name string, create bool) (journal.File, error) {
	f, err := d.FS.Open(name, create)
	if err != nil {
		return nil, err
	}
	return weighedFile{f, d.written}, nil
}

func (f weighedFile) WriteAt(p []byte, off int64) (int, error) {
	*f.written += len(p)
	return f.File.WriteAt(p, off)
}

func (m *slowly) open() {
	m.t.Helper()
	logger := slog.New(slog.NewTextHandler(&m.log, nil))
	j, _, err := journal.Open(journal.Options{
		SegmentBytes: m.segments,
		FS:           weighed{m.disk.Dir("t"), &m.written}, FirstSeq: 1 << 40,
		Log: func(level slog.Level, msg string, args ...any) { logger.Log(m.t.Context(), level, msg, args...) },
	})
	if err != nil {
		m.t.Fatal(err)
	}
	journal.SetLogLimits(j, 8<<10, 1<<20)
	journal.SetSlice(j, slowSlice)
	m.j = j
}

// publish adds messages; every third one is for later.
func (m *slowly) publish(n int) {
	m.t.Helper()
	for i := range n {
		due := int64(0)
		if i%3 == 0 {
			due = m.now + 1_000_000 + int64(i*7919%1000)
		}
		m.j.Append(m.now, due, fmt.Appendf(nil, "message %d", i))
	}
	if err := m.j.Commit(); err != nil {
		m.t.Fatal(err)
	}
}

// take delivers up to n messages and returns their sequences.
func (m *slowly) take(c *journal.Cursor, n int) (seqs []uint64) {
	m.t.Helper()
	for range n {
		var d journal.Delivery
		ok, err := c.Next(m.now, m.now+100, 1, &d)
		if err != nil {
			m.t.Fatal(err)
		}
		if !ok {
			break
		}
		seqs = append(seqs, d.Seq)
	}
	return seqs
}

func (m *slowly) writeEvents() {
	m.t.Helper()
	if err := m.j.WriteEvents(); err != nil {
		m.t.Fatal(err)
	}
}

// churn lets a message come and go until a new cursor file is begun.
func (m *slowly) churn(c *journal.Cursor) {
	m.t.Helper()
	for range 10_000 {
		if m.j.Rewriting() {
			return
		}
		m.turn(c)
	}
	m.t.Fatal("no new cursor file is begun")
}

// turn delivers some messages, answers in one way and another, and writes it.
func (m *slowly) turn(c *journal.Cursor) {
	m.t.Helper()
	for i, seq := range m.take(c, 4) {
		err := error(nil)
		switch i {
		case 0:
			err = c.Requeue(seq, 1, 0)
		case 1:
			err = c.Requeue(seq, 1, m.now+500_000+int64(seq%100))
		case 2:
			err = c.Finish(seq, 1)
		}
		if err != nil {
			m.t.Fatal(err)
		}
	}
	m.writeEvents()
}

// outstanding is all that somebody waits for, as text.
func (m *slowly) outstanding() []string {
	m.t.Helper()
	var all []string
	for _, c := range m.j.Cursors() {
		if c.Ephemeral() {
			continue // it is gone afterwards
		}
		all = append(all, fmt.Sprintf("cursor %s: depth %d and %d", c.Name(), c.Depth()+int64(c.InFlight()), c.Deferred()))
	}
	all = append(all, fmt.Sprintf("frontier at %d, held %v", m.j.Frontier().Seq(), m.j.Held()))
	if err := m.j.Each(nil, func(h *journal.Held) error {
		s := fmt.Sprintf("%d %s", h.Seq, h.Body)
		alone := true
		for _, share := range h.Shares {
			if share.Cursor.Ephemeral() {
				continue
			}
			alone = false
			s += fmt.Sprintf(", %s: %d attempts, due %d", share.Cursor.Name(), share.Attempts, share.Due)
		}
		if !alone || len(h.Shares) == 0 {
			all = append(all, s)
		}
		return nil
	}); err != nil {
		m.t.Fatal(err)
	}
	return all
}

// survives kills the process, opens the journal again and compares.
func (m *slowly) survives() {
	m.t.Helper()
	m.writeEvents()
	want := m.outstanding()
	m.disk.Kill()
	m.fault = nil
	m.open()
	m.same(want)
}

func (m *slowly) same(want []string) {
	m.t.Helper()
	if err := m.j.Check(); err != nil {
		m.t.Error(err)
	}
	got := m.outstanding()
	if slices.Equal(got, want) {
		return
	}
	for i := range max(len(got), len(want)) {
		switch {
		case i >= len(got) || i >= len(want):
			m.t.Fatalf("%d lines, want %d", len(got), len(want))
		case got[i] != want[i]:
			m.t.Fatalf("line %d:\n%s\nwant\n%s", i, got[i], want[i])
		}
	}
}

// files are the names of the cursor files.
func (m *slowly) files() (names []string) {
	for _, path := range m.disk.Files() {
		if name, ok := strings.CutPrefix(path, "t/cursors."); ok {
			names = append(names, strings.TrimLeft(name, "0"))
		}
	}
	return names
}

// begun is a journal with 3,000 messages and a new cursor file just begun.
func begun(t *testing.T) (*slowly, *journal.Cursor) {
	t.Helper()
	m := newSlowly(t)
	c := m.j.CreateCursor("c", journal.CursorOptions{})
	m.writeEvents()
	m.publish(3000)
	for _, seq := range m.take(c, 200) {
		if err := c.Requeue(seq, 1, 0); err != nil {
			t.Fatal(err)
		}
	}
	m.churn(c)
	return m, c
}

func TestGeneration_EachTurnWritesLittle(t *testing.T) {
	m, c := begun(t)
	turns := 0
	for ; m.j.Rewriting(); turns++ {
		m.written = 0
		m.turn(c)
		// A slice, and twice what four messages have to say.
		if most := slowSlice + 700; m.written > most {
			t.Fatalf("turn %d writes %d bytes, want %d at most", turns, m.written, most)
		}
	}
	if turns < 20 {
		t.Errorf("the new file took %d turns, want 20 at least", turns)
	}
	if err := m.j.Sync()(); err != nil {
		t.Fatal(err)
	}
	if got := m.files(); !slices.Equal(got, []string{"2"}) {
		t.Errorf("cursor files %v, want the second alone", got)
	}
	m.survives()
}

// TestGeneration_HoldsWhatHappensMeanwhile does everything that changes what is
// outstanding, one thing after each slice, and dies after each: both the old file
// and the new one have all of it.
func TestGeneration_HoldsWhatHappensMeanwhile(t *testing.T) {
	things := map[string]func(m *slowly, c *journal.Cursor){
		"publish": func(m *slowly, c *journal.Cursor) { m.publish(50) },
		"deliver": func(m *slowly, c *journal.Cursor) { m.take(c, 30) },
		"expire": func(m *slowly, c *journal.Cursor) {
			m.take(c, 30)
			m.now += 200
			c.Expire(m.now, func(uint64, uint32) {})
		},
		"release": func(m *slowly, c *journal.Cursor) {
			m.now += 500_000
			c.Expire(m.now, func(uint64, uint32) {})
			for _, seq := range m.take(c, 300)[100:] {
				if err := c.Finish(seq, 1); err != nil {
					m.t.Fatal(err)
				}
			}
		},
		"create": func(m *slowly, c *journal.Cursor) {
			m.j.CreateCursor("d", journal.CursorOptions{})
			m.publish(20)
		},
		"delete": func(m *slowly, c *journal.Cursor) { m.j.DeleteCursor(c) },
		"empty": func(m *slowly, c *journal.Cursor) {
			c.Empty()
			m.publish(20)
			m.take(c, 10)
		},
		"rewind": func(m *slowly, c *journal.Cursor) {
			c.Rewind(m.j.Start(), func(uint64, uint32) {})
			m.take(c, 10)
		},
		"hold and discard": func(m *slowly, c *journal.Cursor) {
			m.publish(20)
			m.j.Hold(true)
			m.publish(20)
			m.j.Discard(m.j.End())
			m.publish(20)
			m.j.Hold(false)
			m.publish(20)
		},
		"hold": func(m *slowly, c *journal.Cursor) {
			m.j.Hold(true)
			m.publish(20)
		},
		"pause": func(m *slowly, c *journal.Cursor) { c.SetPaused(true) },
		"ephemeral": func(m *slowly, c *journal.Cursor) {
			m.j.CreateCursor("e", journal.CursorOptions{Ephemeral: true, Limit: 5})
			m.publish(20)
		},
	}
	for name, thing := range things {
		t.Run(name, func(t *testing.T) {
			for slice, over := 0, false; !over; slice += 5 {
				for _, whole := range []bool{false, true} {
					m, c := begun(t)
					for range slice {
						m.turn(c)
					}
					over = !m.j.Rewriting()
					thing(m, c)
					m.writeEvents()
					for whole && m.j.Rewriting() {
						m.writeEvents()
					}
					m.survives()
				}
			}
		})
	}
}

// Those that came back keep their order, also if they are in several slices and
// the one that was to be copied next is delivered and finished.
func TestGeneration_KeepsTheOrderOfThoseThatCameBack(t *testing.T) {
	for gone := range 100 {
		m, c := begun(t)
		for i, seq := range m.take(c, 2*gone) { // one that came back, one fresh one
			err := c.Finish(seq, 1)
			if err != nil {
				t.Fatal(i, err)
			}
		}
		for m.writeEvents(); m.j.Rewriting(); {
			m.writeEvents()
		}
		want := m.order()
		m.disk.Kill()
		m.open()
		// What was in flight comes back too, behind them.
		if got := m.order(); len(got) < len(want) || !slices.Equal(got[:len(want)], want) || len(want) < 100 {
			t.Fatalf("%d finished: they come back as %v, want %v first", gone, got, want)
		}
	}
}

// order is the sequences of those that came back to the first cursor.
func (m *slowly) order() (seqs []uint64) {
	m.t.Helper()
	if _, err := m.j.Cursors()[0].Peek(journal.Requeued, 1000, 1<<30, func(p *journal.Pending) { seqs = append(seqs, p.Seq) }); err != nil {
		m.t.Fatal(err)
	}
	return seqs
}

// TestGeneration_HandsOverWhatWasBeyondTheFrontier: a topic that goes on gives its
// channels what was published for later meanwhile, also if that was not copied.
func TestGeneration_HandsOverWhatWasBeyondTheFrontier(t *testing.T) {
	for wait := range 60 {
		m := newSlowly(t)
		c := m.j.CreateCursor("c", journal.CursorOptions{})
		m.publish(300)
		m.j.Hold(true)
		m.writeEvents()
		m.publish(2400)
		m.churn(c)
		for range wait {
			m.writeEvents()
		}
		m.publish(10)
		switch wait % 3 {
		case 0:
			m.j.Hold(false)
		case 1:
			m.j.CreateCursor("d", journal.CursorOptions{})
			m.writeEvents()
			m.j.Hold(false)
		case 2: // it stays as it is
		}
		for m.writeEvents(); m.j.Rewriting(); {
			m.publish(1)
			m.writeEvents()
		}
		m.survives()
	}
}

// TestGeneration_KnowsMovedStragglers: a message whose record is copied to the tail
// before its turn keeps its attempts and its time.
func TestGeneration_KnowsMovedStragglers(t *testing.T) {
	m := newSlowly(t)
	m.segments = 4 << 10
	m.disk.Kill()
	m.open()
	busy := m.j.CreateCursor("busy", journal.CursorOptions{})
	slow := m.j.CreateCursor("slow", journal.CursorOptions{})
	late := m.j.CreateCursor("late", journal.CursorOptions{})
	m.writeEvents()
	const n = 1500
	for i := range n {
		m.j.Append(m.now, 0, fmt.Appendf(nil, "message %d", i))
		if err := m.j.Commit(); err != nil { // segments end between commits
			t.Fatal(err)
		}
	}
	for i := range n {
		// Of a hundred messages slow keeps one, delivered twice, half of them for later.
		for _, seq := range append(m.take(busy, 1), m.take(slow, 1)...) {
			c := slow
			if busy.InFlight() > 0 {
				c = busy
			}
			err := error(nil)
			if c == slow && i%100 == 0 {
				err = c.Requeue(seq, 1, int64(i%200)*10_000)
			} else {
				err = c.Finish(seq, 1)
			}
			if err != nil {
				t.Fatal(err)
			}
		}
	}
	m.publish(3000) // for busy to be slow with
	m.churn(busy)
	before := m.j.Segments()
	for _, seq := range m.take(late, n) {
		if err := late.Finish(seq, 1); err != nil {
			t.Fatal(err)
		}
	}
	m.writeEvents() // copies them
	m.writeEvents() // writes where they are
	if err := m.j.Sync()(); err != nil {
		t.Fatal(err)
	}
	m.writeEvents() // removes what they were in
	if !m.j.Rewriting() || m.j.Segments() > before-5 {
		t.Fatalf("%d segments of %d are left, and the new cursor file goes on: %v", m.j.Segments(), before, m.j.Rewriting())
	}
	for m.j.Rewriting() {
		m.writeEvents()
	}
	m.survives()
}

// TestGeneration_ThatFailsCostsNothing: a disk that is full, or fails, while a new
// cursor file is written leaves the old one, which goes on.
func TestGeneration_ThatFailsCostsNothing(t *testing.T) {
	for _, op := range []string{"create", "truncate", "write", "rename"} {
		t.Run(op, func(t *testing.T) {
			m := newSlowly(t)
			c := m.j.CreateCursor("c", journal.CursorOptions{})
			m.writeEvents()
			m.faultOp, m.fault = op, syscall.ENOSPC
			if op == "write" {
				m.fault = journaltest.Torn(syscall.ENOSPC)
			}
			m.publish(3000)
			for range 400 {
				m.turn(c)
			}
			if got := m.files(); !slices.Equal(got, []string{"1"}) {
				t.Fatalf("cursor files %v, want the first alone", got)
			}
			n := strings.Count(m.log.String(), "a new cursor file cannot be written now")
			if n == 0 || n > 20 {
				t.Errorf("the operator is told %d times, want now and then", n)
			}
			m.fault = nil
			m.churn(c)
			for m.j.Rewriting() {
				m.turn(c)
			}
			if got := m.files(); !slices.Contains(got, "2") {
				t.Errorf("cursor files %v, want the second too", got)
			}
			m.survives()
			if got := m.files(); slices.ContainsFunc(got, func(s string) bool { return strings.HasSuffix(s, ".tmp") }) {
				t.Errorf("cursor files %v after a start", got)
			}
		})
	}
}

func TestGeneration_HalfMadeIsDropped(t *testing.T) {
	m, c := begun(t)
	m.turn(c)
	m.turn(c)
	if got := m.files(); !slices.Equal(got, []string{"1", "2.tmp"}) {
		t.Fatalf("cursor files %v", got)
	}
	m.survives()
	if got := m.files(); !slices.Equal(got, []string{"1"}) {
		t.Errorf("cursor files %v after a start, want the first alone", got)
	}
}

func TestGeneration_CloseWritesItInOnePiece(t *testing.T) {
	m, c := begun(t)
	m.turn(c)
	want := m.outstanding()
	if err := m.j.Close(); err != nil {
		t.Fatal(err)
	}
	if got := m.files(); slices.ContainsFunc(got, func(s string) bool { return strings.HasSuffix(s, ".tmp") }) {
		t.Errorf("cursor files %v after Close", got)
	}
	m.open()
	m.same(want)
}

// What a disk has dropped when a fsync failed may be a part of the new file too.
func TestGeneration_BeginsAgainAfterAFailedSync(t *testing.T) {
	m, c := begun(t)
	if err := m.j.Sync()(); err != nil {
		t.Fatal(err)
	}
	m.turn(c)
	m.disk.FailNext("sync", nil)
	if err := m.j.Sync()(); err == nil {
		t.Fatal("a fsync failed, and Sync says nothing of it")
	}
	m.turn(c)
	if err := m.j.Sync()(); err != nil {
		t.Fatal(err)
	}
	if m.j.Rewriting() {
		t.Error("the new file goes on")
	}
	m.writeEvents()
	want := m.outstanding()
	m.disk.PowerCut(rand.New(rand.NewPCG(3, 3)))
	m.open()
	m.same(want)
}

// A new file has no place in memory: not a second copy of what is outstanding.
func TestGeneration_TakesLittleMemory(t *testing.T) {
	const n = 200_000
	j, _, err := journal.Open(journal.Options{FS: journal.OSDir(t.TempDir()), NeverSync: true})
	if err != nil {
		t.Fatal(err)
	}
	c := j.CreateCursor("c", journal.CursorOptions{})
	if err := j.WriteEvents(); err != nil {
		t.Fatal(err)
	}
	for i := range n {
		j.Append(1, int64(1000+i), []byte("x"))
	}
	if err := errors.Join(j.Commit(), j.WriteEvents()); err != nil {
		t.Fatal(err)
	}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	slices := 0
	for ; j.Rewriting(); slices++ {
		if err := j.WriteEvents(); err != nil {
			t.Fatal(err)
		}
	}
	runtime.ReadMemStats(&after)
	if took := after.TotalAlloc - before.TotalAlloc; slices < 20 || took > 1<<20 {
		t.Errorf("%d slices took %d bytes of memory, want 20 at least and 1 MiB at most", slices, took)
	}
	if err := j.Close(); err != nil || c.Deferred() != n {
		t.Errorf("%v, %d deferred", err, c.Deferred())
	}
}
