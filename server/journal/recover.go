package journal

import (
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"log/slog"
	"slices"
	"sort"
	"strings"
)

// Recovery is what Open found.
type Recovery struct {
	Segments int      // segment files
	Messages int64    // records found by reading, behind the last cursor block
	Torn     int64    // bytes cut off behind the last whole record: a write that was never acknowledged
	Corrupt  int64    // records that were damaged, and skipped
	SetAside []string // files that could not be used, under the names they have now
	Fresh    bool     // there was no journal
	Doubtful bool     // not all that was written of the cursors could be read: some may be missing
}

// volatileSegment is the size of a segment that is only in memory: small, so
// that what was read is soon free.
const volatileSegment = 1 << 20

// Open opens the journal in a directory, or begins a new one. What is damaged
// is skipped, counted, reported and set aside. A disk that cannot be read is
// another matter: Open fails, and changes nothing that another try would miss.
func Open(o Options) (*Journal, Recovery, error) {
	j := &Journal{
		fs: o.FS, pool: o.Blocks, log: o.Log, firstSeq: o.FirstSeq,
		segBytes: cmp.Or(o.SegmentBytes, 100<<20), maxBody: cmp.Or(o.MaxBody, maxBody),
		neverSync: o.NeverSync, volatile: o.Volatile,
		retain:   retention{age: o.RetainAge, bytes: o.RetainBytes},
		clearing: clearing{later: o.Later},
	}
	if j.pool == nil {
		j.pool = new(Blocks)
	}
	if j.volatile && o.SegmentBytes == 0 {
		j.segBytes = volatileSegment
	}
	j.events = newEventLog(j.segBytes)
	names, err := o.FS.List()
	if err != nil {
		return nil, Recovery{}, fmt.Errorf("open journal: %w", err)
	}
	var rec Recovery
	if err := j.findSegments(names, &rec); err != nil {
		return nil, rec, err
	}
	j.begin(o.FirstSeq)
	p := &replay{j: j}
	if err := j.readCursorFiles(names, p, &rec); err != nil {
		return nil, rec, err
	}
	rec.Doubtful = j.events.stale
	// A snapshot taken in slices has new ones before those that it copied later.
	// Here as elsewhere in these rooms package sort is meant: for types of our
	// own the generic functions add 10 kB to the program, each time.
	sort.Slice(j.deferred, func(a, b int) bool { return j.deferred[a].seq < j.deferred[b].seq })
	if len(j.segments) > 0 {
		j.events.leave(j) // a process died between the first segment and that
	}
	logged := len(j.deferred)
	if err := j.readOn(&rec); err != nil {
		return nil, rec, err
	}
	if len(j.deferred) > logged && !j.volatile {
		// The next block's end is behind these records, so that nobody would
		// look for them again: a snapshot tells the log of them first.
		j.events.stale = true
	}
	if j.detained {
		// Who detained it is gone, and the log must learn that it is over.
		j.detained, j.events.stale = false, true
	}
	p.handOver() // deferred records that the log did not know
	for _, c := range p.cursors {
		if err := c.resolve(); err != nil {
			return nil, rec, fmt.Errorf("open journal: %w", err)
		}
	}
	j.settleIn(p)
	j.review()
	rec.Segments, rec.Corrupt = len(j.segments), j.corrupt
	j.unproven = !j.neverSync && len(names) > 0
	for _, s := range j.segments {
		s.found = j.unproven
	}
	rec.Fresh = len(j.segments) == 0 && j.events.generation == 0
	return j, rec, nil
}

// begin puts the ends at the start of the first segment.
func (j *Journal) begin(first uint64) {
	at := place{seq: first}
	if len(j.segments) > 0 {
		at = place{j.segments[0].first, j.segments[0].base}
		// The topic's number is in the high bits of every sequence.
		j.firstSeq = first
	}
	j.end, j.tail, j.front = at, at, at
}

// settleIn makes the replayed state the journal's own.
func (j *Journal) settleIn(p *replay) {
	j.tail = j.end
	if j.follows() {
		j.front = j.end
	}
	for _, c := range p.cursors {
		if c.read.seq > j.front.seq || c.read.pos > j.front.pos {
			c.read = j.front
		}
		c.messages = 0
		c.silent = j.volatile
		if left := int64(j.front.seq - c.read.seq); c.deferredAhead < 0 || c.deferredAhead > left {
			c.deferredAhead = min(max(c.deferredAhead, 0), left) // the log and the segments do not agree
		}
		c.logged = c.read
		c.passed, c.runLength, c.dirty = 0, 0, false
	}
	j.countBehind()
	j.events.buf, j.events.dirty = nil, nil
	j.reclaimable = true
}

// findSegments lists the segments, and removes what a crash left behind.
func (j *Journal) findSegments(names []string, rec *Recovery) error {
	for _, name := range names {
		if strings.HasSuffix(name, tempSuffix) {
			if err := j.fs.Remove(name); err != nil {
				j.report(slog.LevelWarn, "remove a file that was not finished", "file", name, "err", err)
			}
			continue
		}
		base, first, ok := parseSegmentName(name)
		if !ok {
			continue
		}
		s := &segment{base: base, first: first, end: base}
		if err := j.inspect(s, name, rec); err != nil {
			return err
		}
	}
	sort.Slice(j.segments, func(a, b int) bool { return j.segments[a].base < j.segments[b].base })
	for i, s := range j.segments[:max(len(j.segments)-1, 0)] {
		s.end = min(s.end, j.segments[i+1].base)
	}
	return nil
}

// inspect adds a segment with what its file says, unless it is one that this
// version cannot read. A damaged header is no harm: the name says the same.
func (j *Journal) inspect(s *segment, name string, rec *Recovery) error {
	f, err := j.fs.Open(name, false)
	if err != nil {
		return fmt.Errorf("open segment %s: %w", name, err)
	}
	defer f.Close()
	size, err := f.Size()
	if err != nil {
		return fmt.Errorf("open segment %s: %w", name, err)
	}
	var header [fileHeader]byte
	if n, err := f.ReadAt(header[:], 0); err != nil && !errors.Is(err, io.EOF) {
		return fmt.Errorf("read segment %s: %w", name, err)
	} else if version, ok := headerVersion(header[:n], segmentMagic); ok && version != formatVersion {
		j.setAsideFile(name, fmt.Sprintf("it has version %d of the format, and this program knows version %d", version, formatVersion), rec)
		return nil
	}
	if size > fileHeader {
		s.end = s.base + size - fileHeader
	}
	j.segments = append(j.segments, s)
	return nil
}

// setAsideFile renames a file that cannot be used, so that it is kept and not
// met again.
func (j *Journal) setAsideFile(name, why string, rec *Recovery) {
	aside := name + ".aside"
	if err := j.fs.Rename(name, aside); err != nil {
		j.report(slog.LevelError, "set a file aside", "file", name, "err", err)
		return
	}
	rec.SetAside = append(rec.SetAside, aside)
	j.report(slog.LevelError, "a file was set aside", "file", aside, "why", why)
}

// readCursorFiles replays the newest cursor file that is whole enough. The error is
// that of a disk that can't be read: to go on would be to forget the cursors.
func (j *Journal) readCursorFiles(names []string, p *replay, rec *Recovery) error {
	var generations []uint64
	for _, name := range names {
		if g, ok := parseCursorName(name); ok {
			generations = append(generations, g)
		}
	}
	sort.Slice(generations, func(a, b int) bool { return generations[a] > generations[b] })
	for i, g := range generations {
		j.events.generation = max(j.events.generation, g)
		used, err := j.readCursorFile(g, p, rec)
		if err != nil {
			return fmt.Errorf("read cursor file %s: %w", cursorName(g), err)
		}
		if used {
			for _, old := range generations[i+1:] {
				j.events.outdated = append(j.events.outdated, cursorName(old))
			}
			return nil
		}
		j.events.stale = true
	}
	if len(generations) == 0 && len(j.segments) > 0 && !j.volatile {
		j.report(slog.LevelError, "the cursor file is missing: all messages on disk wait for the first channel")
		j.events.stale = true
	}
	return nil
}

// readCursorFile replays one cursor file. used is false when not even the
// snapshot at its start can be used.
func (j *Journal) readCursorFile(generation uint64, p *replay, rec *Recovery) (used bool, err error) {
	name := cursorName(generation)
	b, err := ReadFile(j.fs, name)
	if err != nil {
		return false, err
	}
	if version, ok := headerVersion(b, cursorMagic); ok && version != formatVersion {
		j.setAsideFile(name, fmt.Sprintf("it has version %d of the format, and this program knows version %d", version, formatVersion), rec)
		return false, nil
	}
	at := fileHeader
	for {
		payload, size := openBlock(b, at)
		if size == 0 {
			break
		}
		if p.block(payload) != nil {
			j.report(slog.LevelError, "a cursor file holds an event that makes no sense; what follows is not used", "file", name, "offset", at)
			j.events.stale = true
			break
		}
		at += size
	}
	if at == fileHeader {
		j.setAsideFile(name, "its first block is damaged", rec)
		p.reset()
		return false, nil
	}
	j.events.size, j.events.snapshot = int64(at), int64(at)
	j.events.found, j.events.foundSum = int64(at), crc32.Checksum(b[:at], castagnoli)
	if at != len(b) {
		// The last write was cut off, which is ordinary, or there is damage.
		j.events.stale = true
		j.report(slog.LevelWarn, "the end of a cursor file is not whole: answers given last may be asked for again", "file", name, "bytes", len(b)-at)
	}
	return true, nil
}

// reset forgets what a file that proved useless has done.
func (p *replay) reset() {
	p.cursors = nil
	p.j.cursors = nil
	p.j.deferred = nil
	p.j.held, p.j.detained = false, false
	for _, s := range p.j.segments {
		s.refs = 0
	}
	p.j.begin(p.j.firstSeq)
}

// openBlock returns the payload of the block at b[at:] and its whole size, 0
// when there is no intact one.
func openBlock(b []byte, at int) (payload []byte, size int) {
	if len(b)-at < blockHeader {
		return nil, 0
	}
	n := int(binary.LittleEndian.Uint32(b[at+4:]))
	if n == 0 || n > len(b)-at-blockHeader {
		return nil, 0
	}
	block := b[at : at+blockHeader+n]
	if !intact(block) {
		return nil, 0
	}
	return block[blockHeader:], len(block)
}

// ReadFile reads a whole file of a directory. The bytes belong to the caller.
func ReadFile(dir FS, name string) ([]byte, error) {
	f, err := dir.Open(name, false)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	size, err := f.Size()
	if err != nil {
		return nil, err
	}
	b := make([]byte, size)
	n, err := f.ReadAt(b, 0)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	return b[:n], nil
}

// readOn reads the records behind the end that the cursor file knew, and finds
// the journal's real end.
func (j *Journal) readOn(rec *Recovery) error {
	known := j.end
	for i, s := range j.segments {
		if s.end <= j.end.pos && i < len(j.segments)-1 {
			continue
		}
		if j.end.pos < s.base {
			// A segment before this one is missing or cut.
			j.lost(j.end.seq, s.first, "a piece of the journal is missing", "segment", s.name())
			j.end = place{max(s.first, j.end.seq), s.base}
		}
		if err := j.readSegment(s, rec); err != nil {
			return err
		}
	}
	// Sequences and positions never go back, even if records that the cursor
	// file knew are gone: the next segment begins behind them.
	j.end.seq, j.end.pos = max(j.end.seq, known.seq), max(j.end.pos, known.pos)
	j.tail = j.end
	j.scratch.drop()
	return nil
}

// readSegment reads the records of a segment from the journal's end on.
func (j *Journal) readSegment(s *segment, rec *Recovery) error {
	last := s == j.tailSegment()
	for j.end.pos < s.end {
		var r record
		err := j.readRecord(j.end.pos, &j.scratch, &r)
		if err == nil && r.flags&flagMoved == 0 && r.seq < j.end.seq {
			err = errCorrupt
		}
		switch {
		case err == nil:
			if r.flags&flagMoved == 0 {
				rec.Messages++
				if r.due != 0 {
					j.deferred = append(j.deferred, deferral{place{r.seq, j.end.pos}, r.due})
				}
				j.end.seq = r.seq + 1
			}
			j.end.pos += int64(r.size)
		case !errors.Is(err, errCorrupt):
			return err
		default:
			next, found, err := j.findRecord(s, place{j.end.seq, j.end.pos + 1})
			if err != nil {
				return err // what can't be read now must not be cut off
			}
			if !found && last {
				return j.cutTorn(s, rec)
			}
			if !found {
				next = place{max(j.end.seq, j.after(s)), s.end}
			}
			j.keepDamage(s, j.end.pos, next.pos, rec)
			const msg = "damaged records were skipped"
			if next.seq > j.end.seq {
				j.lost(j.end.seq, next.seq, msg, "segment", s.name(), "position", j.end.pos)
			} else {
				j.damaged(1, msg, "segment", s.name(), "position", j.end.pos)
			}
			j.end = next
		}
	}
	return nil
}

// after is the first sequence of the segment behind s, which is not the last.
func (j *Journal) after(s *segment) uint64 { return j.segments[slices.Index(j.segments, s)+1].first }

// cutTorn cuts off what is behind the last whole record: the process or the
// machine stopped in the middle of a write.
func (j *Journal) cutTorn(s *segment, rec *Recovery) error {
	rec.Torn += s.end - j.end.pos
	j.report(slog.LevelWarn, "the last write was not finished and is cut off", "segment", s.name(), "bytes", s.end-j.end.pos)
	f, err := j.open(s)
	if err != nil {
		return err
	}
	s.end = j.end.pos
	if err := f.Truncate(s.offset(j.end.pos)); err != nil {
		j.uncut = true // it is tried again before the next write
		j.report(slog.LevelWarn, "cut a segment", "segment", s.name(), "err", err)
	}
	return nil
}

// keepDamage copies damaged bytes, at most 1 MiB of them, into a file of their
// own for whoever wants to look.
func (j *Journal) keepDamage(s *segment, from, to int64, rec *Recovery) {
	f, err := j.open(s)
	if err != nil {
		return // what is being reported anyway
	}
	b := make([]byte, min(to-from, 1<<20))
	n, _ := f.ReadAt(b, s.offset(from)) // as much as can be read
	name := fmt.Sprintf("corrupt.%016x", from)
	out, err := j.fs.Open(name, true)
	if err != nil {
		j.report(slog.LevelWarn, "keep damaged bytes", "file", name, "err", err)
		return
	}
	defer out.Close()
	if _, err := out.WriteAt(b[:n], 0); err != nil {
		j.report(slog.LevelWarn, "keep damaged bytes", "file", name, "err", err)
		return
	}
	rec.SetAside = append(rec.SetAside, name)
}

// resync returns the place of the next intact record behind a damaged one,
// the frontier or the end when there is none.
func (j *Journal) resync(from place) (place, error) {
	limit := j.end
	if from.pos < j.front.pos {
		limit = j.front
	}
	for _, s := range j.segments {
		if s.end <= from.pos+1 {
			continue
		}
		next, ok, err := j.findRecord(s, place{from.seq, max(from.pos+1, s.base)})
		if err != nil {
			return place{}, err
		}
		if ok && next.pos < limit.pos && next.seq < limit.seq {
			return next, nil
		}
		if ok {
			break
		}
	}
	return limit, nil
}

// findRecord looks for an intact record in a segment from a position on, with
// a sequence that is not before from.seq. The error is that of a disk that can't
// be read.
func (j *Journal) findRecord(s *segment, from place) (at place, found bool, err error) {
	const window = 1 << 20
	var ra, one readAhead
	// More records than this cannot stand between, but a piece of the
	// journal may be missing before the segment.
	latest := max(from.seq, s.first) + uint64(s.end-s.base)/recordHeader + 1
	for pos := from.pos; pos+recordHeader <= s.end; {
		n := int(min(window, s.end-pos))
		if err := ra.fill(j, s, pos, n); errors.Is(err, errCorrupt) {
			break // the file is shorter than it was
		} else if err != nil {
			return place{}, false, err
		}
		b := ra.holds(pos, n)
		for i := 0; i+recordHeader <= len(b); i++ {
			seq := binary.LittleEndian.Uint64(b[i+8:])
			if seq < from.seq || seq > latest {
				continue
			}
			size := peekSize(b[i:])
			if size > recordSize(j.maxBody, 1) || pos+int64(i+size) > s.end {
				continue
			}
			if i+size <= len(b) {
				// Nearly always: no further read, however often it looks
				// like a record and is none.
				if binary.LittleEndian.Uint32(b[i+4:])&flagMoved == 0 && intact(b[i:i+size]) {
					return place{seq, pos + int64(i)}, true, nil
				}
				continue
			}
			var r record
			err := j.readStored(pos+int64(i), &one, &r)
			if err == nil && r.flags&flagMoved == 0 {
				return place{seq, pos + int64(i)}, true, nil
			} else if err != nil && !errors.Is(err, errCorrupt) {
				return place{}, false, err
			}
		}
		pos += int64(n - recordHeader + 1)
	}
	return place{}, false, nil
}
