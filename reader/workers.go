package reader

import "sync"

// job is what a worker does next: one message for the handler, or several for
// that of a Batch.
type job struct {
	m     *Message
	batch []*Message // nil when m is there
}

// workers run the handler on goroutines of their own, for handlers that block.
// This is the one file of the package that starts goroutines: a handler that
// blocks cannot run on the loop, which must go on reading, answering
// heartbeats and sending answers meanwhile. Without any (n is 0) it is a queue
// for the goroutines of somebody else: see Messages.
//
// The queue is bounded by max in flight, for only messages in flight are in
// it.
type workers struct {
	reader *Reader
	n      int

	// Of the loop.
	started bool
	pushed  []job // in this turn

	// lock guards what follows. Messages cross to the workers under one lock
	// per turn, not through a chan with one hand-over per message.
	lock    sync.Mutex
	wake    sync.Cond
	queue   []job // from next on
	next    int
	idle    int // workers that wait
	running int // workers that have not ended
	stopped bool
	ended   chan struct{} // closed when the last one has ended
}

func newWorkers(n int) *workers {
	w := &workers{n: n, ended: make(chan struct{})}
	w.wake.L = &w.lock
	return w
}

// push gives a job to the workers, at the end of the turn. With the first one
// they start.
func (w *workers) push(j job) {
	if len(w.pushed) == 0 {
		w.reader.loop.AtTurnEnd(w.flush)
	}
	w.pushed = append(w.pushed, j)
	if w.n == 0 && j.m.line != nil {
		w.reader.lines.returned(j.m) // there is no handler to wait for
	}
	if !w.started && w.n > 0 {
		w.started = true
		w.running = w.n
		for range w.n {
			go w.work()
		}
	}
}

// flush hands over what was pushed in this turn.
func (w *workers) flush() {
	w.lock.Lock()
	if w.next == len(w.queue) {
		w.queue, w.next = w.queue[:0], 0
	}
	w.queue = append(w.queue, w.pushed...)
	for range min(w.idle, len(w.pushed)) {
		w.wake.Signal()
	}
	w.lock.Unlock()
	clear(w.pushed)
	w.pushed = w.pushed[:0]
}

// work is one worker.
func (w *workers) work() {
	r := w.reader
	for {
		j, ok := w.pop()
		if !ok {
			break
		}
		if j.batch != nil {
			r.callBatch(j.batch, func(a answer) { r.mail(a) })
			continue
		}
		m := j.m
		if !m.Responded() { // else it was lost, or expired, while it waited
			a, ok := conclusion(m, r.call(m))
			if ok && m.state.CompareAndSwap(stateOpen, stateAnswered) {
				r.mail(a)
			}
		}
		if m.line != nil {
			r.mail(answer{m: m, kind: handled})
		}
	}
	w.lock.Lock()
	defer w.lock.Unlock()
	if w.running--; w.running == 0 {
		close(w.ended)
	}
}

// pop waits for the next job; false when the workers are to end.
func (w *workers) pop() (job, bool) {
	w.lock.Lock()
	defer w.lock.Unlock()
	for w.next == len(w.queue) && !w.stopped {
		w.idle++
		w.wake.Wait()
		w.idle--
	}
	if w.next == len(w.queue) {
		return job{}, false
	}
	j := w.queue[w.next]
	w.queue[w.next] = job{}
	w.next++
	return j, true
}

// takeBack returns the messages that no worker has started.
func (w *workers) takeBack() []*Message {
	w.lock.Lock()
	defer w.lock.Unlock()
	var back []*Message
	for _, j := range append(w.queue[w.next:len(w.queue):len(w.queue)], w.pushed...) {
		if j.batch != nil {
			back = append(back, j.batch...)
		} else {
			back = append(back, j.m)
		}
	}
	w.queue, w.next = nil, 0
	w.pushed = w.pushed[:0]
	return back
}

// stop lets the workers end when they have nothing to do, and closes ended
// when they have.
func (w *workers) stop() {
	w.lock.Lock()
	defer w.lock.Unlock()
	if w.stopped {
		return
	}
	w.stopped = true
	w.wake.Broadcast()
	if !w.started {
		close(w.ended)
	}
}
