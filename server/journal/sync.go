package journal

import (
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"slices"
)

// Sync returns the work that makes everything committed and written so far
// survive the loss of power. The function may run on any goroutine, once,
// while the journal goes on, but must have returned before the next one runs.
// It returns the first error, after which nothing is known about the files.
func (j *Journal) Sync() func() error {
	j.syncs++
	number, doubt := j.syncs, j.doubt
	j.doubt = nil
	again, err := j.prove()
	if err != nil {
		j.syncing.Add(1)
		return func() error { j.syncing.Add(-1); return fmt.Errorf("sync: %w", err) }
	}
	sealed := j.unsynced
	j.unsynced = nil
	files := slices.Clone(sealed)
	if s := j.tailSegment(); s != nil && s.file != nil {
		files = append(files, s.file)
	}
	if j.events.file != nil {
		files = append(files, j.events.file)
	}
	names := j.newNames
	j.newNames, j.unflushed = false, false
	j.syncing.Add(1)
	var old []string
	if !j.unproven { // or the one in use may yet prove to be lost
		old, j.events.outdated = j.events.outdated, nil
	}
	fs := j.fs
	return func() error {
		defer j.syncing.Add(-1)
		var first error
		note := func(err error) {
			if first == nil && err != nil {
				first = fmt.Errorf("sync: %w", err)
			}
		}
		note(doubt)
		if again != nil {
			note(again())
		}
		for _, f := range files {
			note(f.Sync())
		}
		for _, f := range sealed {
			_ = f.Close()
		}
		if names {
			note(fs.SyncDir())
		}
		if first != nil {
			j.syncFailed.Store(true)
		} else {
			j.synced.Store(number)
			// Only now is the new cursor file sure to be there after a loss
			// of power, so only now may the old one go. What stays is found
			// by the next Open.
			for _, name := range old {
				_ = fs.Remove(name)
			}
		}
		return first
	}
}

// prove opens what an earlier process has written and perhaps not synced, for
// the first Sync, and for the one after a Sync that failed. What a disk has
// dropped when it failed no later fsync brings back, though it can be read as long
// as the system keeps it in memory: also by the next process, which is told
// nothing of the failure. Whoever was told of it must publish again, and the cursor
// file, of which nobody was told, is written once more before anything is promised
// that needs it: as it is, by again, which is for the goroutine that syncs; or anew,
// if it was this process that was told.
func (j *Journal) prove() (again func() error, err error) {
	failed := j.syncFailed.Load()
	if !failed && !j.unproven {
		return nil, nil
	}
	l := &j.events
	promises := j.unflushed || failed || j.awaited > 0
	if promises && (failed || l.stale) && !j.volatile {
		l.stale = true
		if err := l.flush(j); err != nil {
			j.unproven = true
			return nil, err
		}
	}
	j.syncFailed.Store(false)
	if err := j.openAll(); err != nil {
		j.unproven = true
		return nil, err
	}
	if promises && l.found > 0 {
		again = writeAgain(l.file, l.found, l.foundSum)
		l.found = 0
	}
	j.unproven, j.newNames = !promises, true
	return again, nil
}

// openAll opens all files, for a Sync.
func (j *Journal) openAll() error {
	if s := j.tailSegment(); s != nil {
		if _, err := j.open(s); err != nil {
			return err
		}
	}
	if l := &j.events; l.file == nil && l.size > 0 {
		f, err := j.fs.Open(cursorName(l.generation), false)
		switch {
		case err == nil:
			l.file = f
		case errors.Is(err, fs.ErrNotExist):
			l.taken(j)
			if err := l.flush(j); err != nil {
				return err
			}
		default:
			return fmt.Errorf("open cursor file: %w", err)
		}
	}
	return j.openSealed()
}

// openSealed opens the sealed segments, all or none.
func (j *Journal) openSealed() error {
	var files []File
	for _, s := range j.segments[:max(len(j.segments)-1, 0)] {
		f, err := j.fs.Open(s.name(), false)
		if j.isGone(err) {
			continue
		}
		if err != nil {
			for _, f := range files {
				_ = f.Close()
			}
			return fmt.Errorf("open segment %s: %w", s.name(), err)
		}
		files = append(files, f)
	}
	j.unsynced = append(j.unsynced, files...)
	return nil
}

// writeAgain returns the work that writes the first n bytes of a file where they are,
// so that the next fsync has something to do: it does nothing for what the system
// believes to be on the disk. sum is their checksum when they were read. If they are
// not the same any more the system has forgotten what the disk had dropped.
func writeAgain(f File, n int64, sum uint32) func() error {
	return func() error {
		b := make([]byte, min(n, againBytes))
		var got uint32
		for off := int64(0); off < n; {
			piece := b[:min(n-off, int64(len(b)))]
			if _, err := f.ReadAt(piece, off); err != nil {
				return fmt.Errorf("read cursor file again: %w", err)
			}
			got = crc32.Update(got, castagnoli, piece)
			if _, err := f.WriteAt(piece, off); err != nil {
				return fmt.Errorf("write cursor file again: %w", err)
			}
			off += int64(len(piece))
		}
		if got != sum {
			return errors.New("the cursor file is not what it was at the start: the disk had not kept it")
		}
		return nil
	}
}

// againBytes is how much of a file is written again in one step.
const againBytes = 256 << 10

// settle lets segments go of which an earlier process, or the file system, may know
// otherwise than the disk: those that Open found, and those whose stragglers were
// copied. Where their messages are now may stand in the cursor file alone. Once they
// are empty they wait for a Sync that begins after that was written, and succeeds.
func (j *Journal) settle() {
	synced := j.synced.Load()
	if synced >= j.awaited {
		j.awaited = 0
	}
	for _, s := range j.segments {
		switch {
		case s.refs > 0 || !s.moved && !s.found:
		case s.sure > 0 && synced >= s.sure || j.neverSync:
			s.moved, s.found, s.sure = false, false, 0
		case s.sure > 0:
		case s.moved && !j.events.isWritten():
			j.reclaimable = true // when it is
		default:
			s.sure = j.syncs + 1
			j.awaited = s.sure
		}
	}
}

// AwaitsSync reports whether segments wait for a Sync, and none is running. Perhaps
// nothing was written since the last one.
func (j *Journal) AwaitsSync() bool {
	return j.awaited > j.synced.Load() && j.syncing.Load() == 0
}

// settled reports whether segments may go that waited for a Sync.
func (j *Journal) settled() bool { return j.awaited > 0 && j.synced.Load() >= j.awaited }
