package server

import "github.com/nsqloop/nsqloop/loop"

// fsyncParts is how many fsyncs of one round run side by side: the disk merges
// them.
const fsyncParts = 8

// fsync forces written journals to the disk, off the loop, one round at a
// time. What is written while a round runs waits for the next one: so many
// publishes share one fsync, the more the slower the disk is.
type fsync struct {
	s       *Server
	topics  []*topic // written since their last fsync began
	path    bool     // which topics there are has changed since the data path was forced to the disk
	pathing bool     // that is being done
	running int      // parts of the round that have not come back
	began   int64    // when the round did, unix nanoseconds
	timer   loop.Timer
	armed   bool
}

// fsyncJob is the fsync of one journal.
type fsyncJob struct {
	t          *topic
	generation uint64 // the first that is not covered
	sync       func() error
	err        error
}

// cover is told that a generation of t is over, and whether it wrote anything
// to a file.
func (f *fsync) cover(t *topic, wrote bool) {
	if wrote && !t.unsynced && f.s.o.Sync != SyncNever {
		t.unsynced = true
		f.topics = append(f.topics, t)
	}
	if f.s.o.Sync != SyncAlways || !t.unsynced && !t.syncing {
		t.durable = t.generation
	}
}

// pathChanged is told that the list of topics in the data path has changed.
func (f *fsync) pathChanged() { f.path = f.s.o.Sync != SyncNever && f.s.path != nil }

// endTurn begins a round, or sees to it that one begins in time.
func (f *fsync) endTurn() {
	if len(f.topics) == 0 && !f.path || f.s.closed {
		return
	}
	if f.s.o.Sync == SyncAlways {
		f.begin()
		return
	}
	if f.armed {
		return
	}
	f.armed = true
	if f.timer == nil {
		f.timer = f.s.l.After(f.s.o.SyncTimeout, f.onTimer)
	} else {
		f.timer.Reset(f.s.o.SyncTimeout)
	}
}

func (f *fsync) onTimer() {
	f.armed = false
	f.begin()
}

// begin starts a round unless one is running, whose end will start the next. The
// data path comes first: without the directory of its topic no message is safe.
func (f *fsync) begin() {
	if f.running > 0 || f.s.closed {
		return
	}
	if f.path {
		f.path, f.pathing = false, true
		f.running++
		f.s.l.Go(func() (then func()) {
			err := f.s.path.sync()
			return func() { f.pathDone(err) }
		})
		return
	}
	jobs := f.take()
	if len(jobs) == 0 {
		f.s.turn.settle() // the journals had forced it to the disk by themselves
	}
	f.began = f.s.now()
	size := (len(jobs) + fsyncParts - 1) / fsyncParts
	for len(jobs) > 0 {
		part := jobs[:min(size, len(jobs))]
		jobs = jobs[len(part):]
		f.running++
		f.s.l.Go(func() (then func()) {
			for i := range part {
				part[i].err = part[i].sync()
			}
			return func() { f.done(part) }
		})
	}
}

// take makes the jobs of a round.
func (f *fsync) take() []fsyncJob {
	var jobs []fsyncJob
	for _, t := range f.topics {
		t.unsynced = false
		if t.deleted || t.syncing {
			continue // two fsyncs of one journal must not overlap
		}
		t.syncing = true
		jobs = append(jobs, fsyncJob{t: t, generation: t.generation, sync: t.j.Sync()})
	}
	clear(f.topics)
	f.topics = f.topics[:0]
	return jobs
}

// pathDone goes on with the topics, or tells their publishers why not, on the loop.
func (f *fsync) pathDone(err error) {
	f.running--
	f.pathing = false
	switch {
	case f.s.closed:
	case err == nil:
		f.begin()
	default:
		f.path = true
		f.refuse(err)
		f.s.turn.settle()
	}
}

// refuse ends a round before it has begun: the data path could not be forced to the
// disk.
func (f *fsync) refuse(err error) {
	f.s.noteWrite(err)
	for _, t := range f.topics {
		t.unsynced = false
		f.finishJob(&fsyncJob{t: t, generation: t.generation, err: err})
	}
	clear(f.topics)
	f.topics = f.topics[:0]
}

// done ends a part of a round, on the loop.
func (f *fsync) done(part []fsyncJob) {
	f.running--
	if f.s.closed {
		return
	}
	for i := range part {
		f.finishJob(&part[i])
	}
	f.s.turn.settle()
	if f.running > 0 {
		return
	}
	f.s.measures.syncs.add(f.s.now() - f.began)
	if f.s.o.Sync == SyncAlways {
		f.begin()
	}
}

// finishJob tells the publishers what has become of their messages. A fsync
// that failed is not tried again: the system may have dropped the pages, and
// would then report success. Its publishers are told, and must publish again,
// and so are those of what was written while it ran, which may be among what was
// dropped.
func (f *fsync) finishJob(job *fsyncJob) {
	t := job.t
	t.syncing = false
	if t.deleted {
		return
	}
	settled := job.generation
	if job.err != nil {
		settled = t.generation
		f.s.noteWrite(job.err)
		t.doubtMarks(t.durable, settled)
		f.s.turn.fail(t, t.durable, settled, job.err)
		f.s.larges.refuse(t, job.err) // a part of it may be among what was dropped
	}
	t.durable = max(t.durable, settled)
	if job.err == nil && t.j.Dirty() {
		f.s.turn.writeLater(t) // files may go that waited for it
	}
}

// now forces t to the disk and waits, for the rare change that an operator
// asked for. If a fsync of it is running, the change is in the round that
// follows: two must not overlap.
func (f *fsync) now(t *topic) error {
	if !t.onDisk || t.syncing {
		return nil
	}
	if f.path || f.pathing {
		err := f.s.path.sync()
		if f.path = err != nil; f.path {
			f.s.noteWrite(err)
			return err
		}
	}
	err := t.j.Sync()()
	if err != nil {
		// Among what the disk may have dropped are messages that wait for a round.
		f.finishJob(&fsyncJob{t: t, generation: t.generation, err: err})
		f.s.turn.schedule()
	}
	return err
}

// finish forces everything to the disk before the server stops. What a running
// round covers is not waited for, and whether it is kept is open: HTTP's
// publishers are told that the server exits, and those on connections get no
// answer before theirs closes. An error would say that nothing was kept.
func (f *fsync) finish() {
	if f.timer != nil {
		f.timer.Stop()
	}
	if f.s.o.Sync == SyncNever {
		return
	}
	for _, t := range f.s.topics {
		if t.syncing && f.running > 0 {
			t.fail(t.durable, t.generation, errGone)
		}
	}
	if f.path || f.pathing {
		if err := f.s.path.sync(); err != nil {
			f.refuse(err)
		}
	}
	jobs := f.take()
	sideBySide(len(jobs), func(i int) { jobs[i].err = jobs[i].sync() })
	for i := range jobs {
		f.finishJob(&jobs[i])
	}
}
