package journal

import (
	"log/slog"
	"sync"
	"sync/atomic"
)

// To remove a file of 100 MB holds up whoever does it for 10 to 40 ms, nearly all
// of which goes into giving back its blocks. A system does that when a file has
// neither a name nor anybody who has it open. So a file that goes loses its name
// here, which takes no time, while it is open; and to close it is work for another
// goroutine. Names go when they always did and in the same order, so that a crash
// finds nothing that it did not find before: a file without a name is gone with the
// process.
const (
	// clearAtOnce is how many files may be without a name and open before
	// finished segments stay until those are closed. So what Bytes counts is
	// there, and few descriptors are taken.
	clearAtOnce = 16

	// clearMost is that for what cannot stay: the segments, 100 GB of them, of
	// a journal that is removed. Files beyond it are removed as they are.
	clearMost = 1000
)

// clearing is what has no name any more and is not closed.
type clearing struct {
	later func(work func()) // Options.Later
	files []File            // to be handed over
	left  atomic.Int64      // handed over and not closed; the work is on another goroutine
	last  *handedOver
}

// handedOver is files that another goroutine closes, or Close.
type handedOver struct {
	l      *clearing
	files  []File
	before *handedOver // nil when that is done
	once   sync.Once
}

// close closes the files, and those before them, unless that is done, and waits
// until it is.
func (h *handedOver) close() { h.once.Do(h.closeAll) }

func (h *handedOver) closeAll() {
	if h.before != nil {
		h.before.close()
		h.before = nil
	}
	for _, f := range h.files {
		_ = f.Close() // nothing in it is wanted
		h.l.left.Add(-1)
	}
	h.files = nil
}

// open is how many files are without a name and open.
func (l *clearing) open() int { return len(l.files) + int(l.left.Load()) }

// full reports whether finished segments have to stay until some are closed.
func (l *clearing) full() bool { return l.open() >= clearAtOnce }

// unname removes a file, and keeps it open if it is to be closed later. The error
// is that of the file's not being removed.
func (l *clearing) unname(fs FS, name string) error {
	if l.later == nil || l.open() >= clearMost {
		return fs.Remove(name)
	}
	f, err := fs.Open(name, false)
	if err != nil {
		return fs.Remove(name) // it says what is wrong, and needs no descriptor
	}
	if fs.Remove(name) != nil {
		_ = f.Close()
		return fs.Remove(name) // not every system removes a file that is open
	}
	l.files = append(l.files, f)
	return nil
}

// handOver has the files closed, later.
func (l *clearing) handOver() {
	if len(l.files) == 0 {
		return
	}
	l.last = &handedOver{l: l, files: l.files, before: l.last}
	l.left.Add(int64(len(l.files)))
	l.files = nil
	l.later(l.last.close)
}

// finish closes what is not closed yet, waits for what is being closed, and has
// what is removed from now on removed as it is.
func (l *clearing) finish() {
	l.handOver()
	l.later = nil
	if l.last != nil {
		l.last.close()
		l.last = nil
	}
}

// removeSegments removes segments, until too many files are open, and returns how
// many.
func (j *Journal) removeSegments(segments []*segment) (n int) {
	for _, s := range segments {
		if j.clearing.full() {
			break
		}
		s.close()
		if err := j.clearing.unname(j.fs, s.name()); err != nil {
			j.report(slog.LevelWarn, "remove a finished segment", "segment", s.name(), "err", err)
		}
		n++
	}
	return n
}
