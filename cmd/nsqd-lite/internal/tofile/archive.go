package tofile

import (
	"fmt"
	"time"

	"github.com/nsqloop/nsqloop/loop"
	"github.com/nsqloop/nsqloop/reader"
)

// archive writes one topic. Its state belongs to the loop, but for output,
// which is lent to the job that writes: there is one at a time.
type archive struct {
	a     *Archiver
	l     loop.Loop
	topic string
	r     *reader.Reader
	out   *output

	waiting []*reader.Message // not written yet
	written []*reader.Message // written and not synced
	busy    bool              // a job runs
	next    wish              // for the job after it
	idle    loop.Timer
	ended   []func() // to be called when nothing is left to do
	ending  bool
}

// wish is what a job does besides writing what waits.
type wish struct {
	sync  bool
	tick  bool // rotate if it is time, also without a message
	close bool
}

// job is what is handed to the goroutine that writes, and what it hands back.
type job struct {
	wish
	bodies  [][]byte
	now     time.Time
	written int // of bodies
	synced  int // of those written before and bodies, from the front
	before  int // written and not synced when the job began
}

// newArchive starts to consume topic.
func newArchive(a *Archiver, topic string) (*archive, error) {
	naming, err := newNaming(&a.o, topic)
	if err != nil {
		return nil, err
	}
	w := &archive{a: a, l: a.l, topic: topic, out: &output{o: &a.o, naming: naming}}
	o := a.o.Consumer
	o.Topic, o.Handler = topic, w.take
	closing := w.l.OnShutdown(func(done func()) { w.finish(wish{close: true}, done) })
	if w.r, err = reader.New(a.l, o); err != nil {
		closing()
		return nil, err
	}
	// Before the reader waits for its messages, they are synced.
	w.l.OnShutdown(func(done func()) {
		w.ending = true
		w.finish(wish{sync: true}, done)
	})
	w.idle = w.l.After(a.o.idle(), w.onIdle)
	w.idle.Stop()
	w.l.Every(a.o.SyncInterval, func() { w.do(wish{sync: true, tick: true}) })
	return w, nil
}

// take is the reader's handler.
func (w *archive) take(m *reader.Message) error {
	w.waiting = append(w.waiting, m)
	w.do(wish{})
	return reader.Pending
}

// onIdle syncs what would otherwise wait for the interval: whoever looks at the
// file, or at the channel's depth, sees that all is well.
func (w *archive) onIdle() { w.do(wish{sync: true}) }

// finish calls done when all that was taken is written, and more is done.
func (w *archive) finish(more wish, done func()) {
	w.ended = append(w.ended, done)
	w.do(more)
}

// do starts a job, or has the running one followed by another.
func (w *archive) do(more wish) {
	w.next.sync = w.next.sync || more.sync
	w.next.tick = w.next.tick || more.tick
	w.next.close = w.next.close || more.close
	if w.busy || w.a.failed {
		return
	}
	j := &job{wish: w.next, now: w.l.Now(), before: len(w.written)}
	pending := len(w.waiting) + len(w.written)
	j.sync = j.sync || w.ending || pending >= w.a.o.Consumer.MaxInFlight || pending > 0 && w.r.Starved()
	for _, m := range w.waiting {
		j.bodies = append(j.bodies, m.Body)
	}
	w.next, w.busy = wish{}, true
	w.idle.Stop()
	w.l.Go(func() func() {
		err := w.out.run(j)
		return func() { w.done(j, err) }
	})
}

// done takes a job's result.
func (w *archive) done(j *job, err error) {
	w.busy = false
	w.written = append(w.written, w.waiting[:j.written]...)
	n := copy(w.waiting, w.waiting[j.written:])
	clear(w.waiting[n:])
	w.waiting = w.waiting[:n]
	for _, m := range w.written[:j.synced] {
		m.Finish()
	}
	n = copy(w.written, w.written[j.synced:])
	clear(w.written[n:])
	w.written = w.written[:n]
	if err != nil {
		w.a.fail(fmt.Errorf("topic %s: %w", w.topic, err))
		return
	}
	if len(w.waiting) > 0 || w.next != (wish{}) {
		w.do(wish{})
		return
	}
	if len(w.written) > 0 {
		w.idle.Reset(w.a.o.idle())
	}
	ended := w.ended
	w.ended = nil
	for _, f := range ended {
		f()
	}
}

// run does a job. It must not be called from two goroutines at once.
func (out *output) run(j *job) error {
	for _, body := range j.bodies {
		if out.due(j.now) {
			if err := out.next(j); err != nil {
				return err
			}
			j.sync = true // so that a new file is never without its first message
		}
		if err := out.write(body); err != nil {
			return err
		}
		j.written++
	}
	if j.tick && out.due(j.now) {
		if out.o.SkipEmptyFiles {
			j.close = true
		} else if err := out.next(j); err != nil {
			return err
		}
	}
	if !j.sync && !j.close {
		return out.flush()
	}
	if err := out.sync(); err != nil {
		return err
	}
	j.synced = j.before + j.written
	if j.close {
		return out.close()
	}
	return nil
}

// next goes on with the next file; the last one keeps all that it was given.
func (out *output) next(j *job) error {
	if err := out.rotate(j.now); err != nil {
		return err
	}
	j.synced = j.before + j.written
	return nil
}
