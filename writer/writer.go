package writer

import (
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nsqloop/nsqloop/client"
	"github.com/nsqloop/nsqloop/client/lookup"
	"github.com/nsqloop/nsqloop/loop"
)

// Writer publishes to a set of nsqds. Its methods may be called from any
// goroutine.
type Writer struct {
	loop loop.Loop
	o    Options
	log  *slog.Logger
	mail mailbox
	life atomic.Int32 // lifeNew, then one of the others

	// What follows belongs to the loop.

	epoch     time.Time // when it started
	conns     []*conn   // in the order of the options, then of becoming known
	discovery *lookup.Poller
	ready     []*conn      // those of conns that are connected: see setReady
	choose    func() *conn // which of them: see chooser
	turn      int          // index in ready: whose turn it is
	left      int          // publishes left of its run

	waiting      ring[publish] // accepted, for want of a connection with room not sent
	choosy       []publish     // the same, of those that cannot go just anywhere or are tried again
	spare        []publish     // the mailbox's other buffer
	spareBatches [][]publish
	bodies       [][]byte // of a batch

	seq         uint64 // publishes ever taken up
	outstanding int    // those of them that have not ended

	outcomes   []outcome // of publishes that have ended, not yet reported
	reported   int       // how many of outcomes are
	heard      int       // of how many results of the next one OnResult was told
	events     []func()  // what the program is to be told beside: see emit
	reporting  bool
	answered   int   // goroutines that got an outcome in this turn
	scheduled  bool  // onTurnEnd will run
	freed      int64 // publishes and bytes that have ended since the last release
	freedBytes int64
	deadline   loop.Timer // of the publish that ends first
	deadlineAt int64      // Writer.now: when it fires; 0: it does not run
	looker     loop.Timer // for connections that owe answers
	looking    bool
	unseen     unseen

	readies  []chan error // of WaitReady: have room for the answer
	flushes  []*flush
	draining []func()      // what to call when nothing is pending any more
	leaving  bool          // the loop is shutting down
	stopping bool          // the loop is in its last turn
	closed   bool          // everything was ended
	stopped  chan struct{} // closed when the last connection is

	loopStopped bool // the loop has stopped

	remove   func() // takes back the loop's OnShutdown and OnStop
	stopOnce sync.Once

	counts counts

	// config guards the addresses that were added, so that adding and
	// removing can say at once, on any goroutine, whether they are in order.
	config   sync.Mutex
	nsqds    []string
	lookupds []lookup.Server

	drainFunc   func() // w.drain, w.onTurnEnd: made once
	turnEndFunc func()
}

// The lives of a Writer. Whoever waits for the loop asks first whether it has begun:
// one that nobody starts would let them wait for ever.
const (
	lifeNew     int32 = iota // start has not run
	lifeRunning              // it has
	lifeEnded                // Shutdown came before it, with nothing to do
)

// New starts a Writer on l. The connections are dialled as soon as the loop
// runs; publishes may be called at once. The error names the option that is
// wrong, or is loop.ErrClosed.
//
// When the loop shuts down, the latest made drains first. So a Writer that
// handlers of a Reader publish with is made before that Reader, and ends when
// the last handler has returned.
func New(l loop.Loop, o Options) (*Writer, error) {
	o, err := o.withDefaults()
	if err != nil {
		return nil, fmt.Errorf("writer options: %w", err)
	}
	w := &Writer{loop: l, o: o, log: o.Logger.With("writer", o.Name), stopped: make(chan struct{})}
	w.drainFunc, w.turnEndFunc = w.drain, w.onTurnEnd
	w.choose = w.chooser()
	w.nsqds = slices.Clone(o.NSQDs)
	if w.lookupds, err = lookup.ParseAll(o.Lookupds); err != nil {
		return nil, fmt.Errorf("writer options: Lookupds: %w", err)
	}
	w.discovery = w.discover()
	drain, stop := l.OnShutdown(w.onLoopShutdown), l.OnStop(w.onLoopStopped)
	w.remove = func() { drain(); stop() }
	if err := l.Post(w.start); err != nil {
		w.remove()
		return nil, fmt.Errorf("writer: %w", err)
	}
	return w, nil
}

// start dials. It runs on the loop.
func (w *Writer) start() {
	w.epoch = w.loop.Now()
	if w.life.Swap(lifeRunning) == lifeEnded {
		w.closed = true
	}
	if w.closed {
		return
	}
	for _, addr := range w.o.NSQDs {
		w.addDirect(addr)
	}
	servers, _ := lookup.ParseAll(w.o.Lookupds) // New has read them
	for _, at := range servers {
		w.discovery.Add(at)
	}
}

// Publish publishes one message. done, which may be nil, is called on the loop
// with the outcome, exactly once, after Publish has returned. The body belongs
// to the Writer until then.
func (w *Writer) Publish(topic string, body []byte, done func(Result)) {
	p := publish{topic: topic, body: body, size: len(body), done: done, err: w.checkBody(body)}
	w.put(&p)
}

// MultiPublish publishes several messages to one topic: nsqd takes all of them
// or none. done and the ownership of bodies are as in Publish.
func (w *Writer) MultiPublish(topic string, bodies [][]byte, done func(Result)) {
	p := publish{kind: kindMPub, topic: topic, bodies: bodies, size: totalSize(bodies), done: done, err: w.checkBodies(bodies)}
	w.put(&p)
}

// DeferredPublish publishes one message that nsqd delivers no earlier than
// delay from when it takes it, in whole milliseconds rounded up. done and the
// ownership of body are as in Publish.
func (w *Writer) DeferredPublish(topic string, delay time.Duration, body []byte, done func(Result)) {
	p := publish{kind: kindDPub, topic: topic, delay: delay, body: body, size: len(body), done: done, err: w.checkDeferred(delay, body)}
	w.put(&p)
}

// checkBody and its sisters are the checks that nsqd would make, and close the
// connection over.
func (w *Writer) checkBody(body []byte) error {
	if n := len(body); n > 0 && n <= w.o.MaxMsgSize {
		return nil // small enough to be inlined, as nearly all bodies pass
	}
	return refused(client.CheckBody(body, w.o.MaxMsgSize))
}

func (w *Writer) checkBodies(bodies [][]byte) error {
	return refused(client.CheckBodies(bodies, w.o.MaxMsgSize, w.o.MaxBodySize))
}

func (w *Writer) checkDeferred(delay time.Duration, body []byte) error {
	if err := client.CheckDelay(delay, w.o.MaxDelay); err != nil {
		return refused(err)
	}
	return w.checkBody(body)
}

func refused(err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("publish: %w", err)
}

func totalSize(bodies [][]byte) int {
	n := 0
	for _, b := range bodies {
		n += len(b)
	}
	return n
}

// put enters p in the mailbox, and tells the loop when it does not know yet
// that there is something.
func (w *Writer) put(p *publish) {
	if w.mail.add(&w.o, p) {
		w.tell()
	}
}

// tell has the loop look into the mailbox. When the loop has stopped, what is
// there ends on a goroutine of its own.
func (w *Writer) tell() {
	if err := w.loop.Post(w.drainFunc); err != nil {
		w.loop.Go(func() func() {
			w.refuseAll()
			return nil
		})
	}
}

// refuseAll ends what is in the mailbox of a loop that has stopped. Only one
// runs at a time: whoever comes meanwhile finds the mailbox posted.
func (w *Writer) refuseAll() {
	w.mail.close()
	for {
		batch := w.mail.take(nil)
		if len(batch) == 0 {
			return
		}
		for i := range batch {
			p := &batch[i]
			if p.err == nil {
				p.err = errClosed
			}
			r := Result{Topic: p.topic, Messages: max(p.messages(), 1), Err: p.err}
			switch {
			case p.copies != nil:
				p.copies.refuse(r)
				p.copies.report(nil)
			case p.wait != nil:
				p.wait.settle(p.err)
			case p.done != nil:
				p.done(r)
			}
		}
	}
}

// now is the turn's time in nanoseconds since just before the writer started,
// so never 0. It is a difference of times, which somebody who sets the machine's
// clock does not change.
func (w *Writer) now() int64 { return int64(w.loop.Now().Sub(w.epoch)) + 1 }

// drain takes up what is in the mailbox: sends what can be sent and lets the
// rest wait.
func (w *Writer) drain() {
	batch := w.mail.take(w.spare)
	w.spare = nil
	if len(batch) == 0 {
		w.spare = batch
		return
	}
	now := w.now()
	w.left = 0 // a new turn goes on with the next nsqd
	for i := range batch {
		p := &batch[i]
		p.start = now
		if p.err != nil {
			w.refuse(p)
			continue
		}
		w.seq++
		p.seq = w.seq
		w.outstanding++
		switch {
		case p.copies != nil:
			w.spread(p)
		case w.closed:
			w.end(p, errClosed)
		case w.waiting.len() == 0 && w.sendTo(w.choose(), p):
		default:
			w.wait(p)
		}
	}
	w.sendGathered()
	w.armDeadline(now)
	clear(batch)
	if cap(batch) <= mailboxKeep {
		w.spare = batch[:0]
	}
	if len(w.draining) > 0 {
		w.atTurnEnd()
	}
}

// mailboxKeep is the number of publishes up to which a mailbox's buffer is
// kept for the next turn.
const mailboxKeep = 1 << 14

// wait lets p wait for a connection, if there is any point.
func (w *Writer) wait(p *publish) {
	if err := w.pointless(); err != nil {
		w.end(p, err)
		return
	}
	*w.waiting.push() = *p
}

// pointless is the error of a publish that had better not wait; nil when it
// may.
func (w *Writer) pointless() error {
	switch {
	case w.closed:
		return errClosed
	case len(w.ready) > 0:
		return nil
	}
	if err := w.hopeless(); err != nil {
		return notSentAfter(client.ErrNotConnected, err)
	}
	if w.o.FailFast || w.leaving && !w.dialling() {
		return notSentAfter(client.ErrNotConnected, w.lastErr())
	}
	return nil
}

// failPointless ends what waits, if there is no point in it any more.
func (w *Writer) failPointless() {
	if err := w.pointless(); err != nil {
		w.failWaiting(err)
	}
}

// mayFindMore reports whether nsqlookupd can name nsqds that are not known yet.
func (w *Writer) mayFindMore() bool { return len(w.o.Lookupds) > 0 }

// hopeless is why no connection is to be expected; nil when one is, if only
// because an nsqd may yet be added or found.
func (w *Writer) hopeless() error {
	if w.mayFindMore() {
		return nil
	}
	for _, c := range w.conns {
		if !c.hopeless {
			return nil
		}
	}
	return w.lastErr()
}

// failWaiting ends what waits.
func (w *Writer) failWaiting(err error) {
	for w.waiting.len() > 0 {
		w.end(w.waiting.at(0), err)
		w.waiting.pop()
	}
	for i := range w.choosy {
		w.end(&w.choosy[i], err)
	}
	clear(w.choosy)
	w.choosy = w.choosy[:0]
}

// sendTo hands p to a connection, if there is one, and reports whether it did
// or p needs none any more.
func (w *Writer) sendTo(c *conn, p *publish) bool {
	if c == nil {
		return false
	}
	if p.wait != nil && !p.wait.begin() {
		w.left++ // nobody waits for it any more
		w.end(p, errClosed)
		return true
	}
	if p.copies != nil {
		p.copies.at[p.copy] = c.addr
	}
	if w.o.Batch > 1 {
		if p.kind == kindPub && !p.alone && p.copies == nil {
			c.gather(p)
			return true
		}
		c.sendBatches() // what came first leaves first
	}
	c.send(p)
	return true
}

// pump sends what waits, as far as there is room.
func (w *Writer) pump() {
	if len(w.ready) == 0 {
		return
	}
	if len(w.choosy) > 0 {
		w.sendChoosy()
	}
	for w.waiting.len() > 0 && w.sendTo(w.choose(), w.waiting.at(0)) {
		w.waiting.pop()
	}
	w.sendGathered()
}
