package reader

import "sync"

// workers run the handler on goroutines of their own, for handlers that block.
// This is the one file of the package that starts goroutines: a handler that
// blocks cannot run on the loop, which must go on reading, answering
// heartbeats and sending answers meanwhile.
//
// The queue is bounded by max in flight, for only messages in flight are in
// it.
type workers struct {
	reader *Reader
	n      int

	// Of the loop.
	started bool
	batch   []*Message // pushed in this turn

	// lock guards what follows. Messages cross to the workers under one lock
	// per turn, not through a chan with one hand-over per message.
	lock    sync.Mutex
	wake    sync.Cond
	queue   []*Message // from next on
	next    int
	idle    int // workers that wait
	running int // workers that have not ended
	stopped bool
	ended   chan struct{} // closed when the last one has ended
}

func newWorkers(r *Reader, n int) *workers {
	w := &workers{reader: r, n: n, ended: make(chan struct{})}
	w.wake.L = &w.lock
	return w
}

// push gives a message to the workers, at the end of the turn. With the first
// one they start.
func (w *workers) push(m *Message) {
	if len(w.batch) == 0 {
		w.reader.loop.AtTurnEnd(w.flush)
	}
	w.batch = append(w.batch, m)
	if !w.started {
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
	w.queue = append(w.queue, w.batch...)
	for range min(w.idle, len(w.batch)) {
		w.wake.Signal()
	}
	w.lock.Unlock()
	clear(w.batch)
	w.batch = w.batch[:0]
}

// work is one worker.
func (w *workers) work() {
	for {
		m := w.pop()
		if m == nil {
			break
		}
		if m.Responded() {
			continue // lost or expired while it waited
		}
		a, ok := conclusion(m, w.reader.call(m))
		if ok && m.state.CompareAndSwap(stateOpen, stateAnswered) {
			w.reader.mail(a)
		}
	}
	w.lock.Lock()
	defer w.lock.Unlock()
	if w.running--; w.running == 0 {
		close(w.ended)
	}
}

// pop waits for the next message; nil when the workers are to end.
func (w *workers) pop() *Message {
	w.lock.Lock()
	defer w.lock.Unlock()
	for w.next == len(w.queue) && !w.stopped {
		w.idle++
		w.wake.Wait()
		w.idle--
	}
	if w.next == len(w.queue) {
		return nil
	}
	m := w.queue[w.next]
	w.queue[w.next] = nil
	w.next++
	return m
}

// takeBack returns the messages that no worker has started.
func (w *workers) takeBack() []*Message {
	w.lock.Lock()
	defer w.lock.Unlock()
	back := append(w.queue[w.next:len(w.queue):len(w.queue)], w.batch...)
	w.queue, w.next = nil, 0
	w.batch = w.batch[:0]
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
