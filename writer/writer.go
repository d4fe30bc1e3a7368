package writer

import (
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/nsqloop/nsqloop/client"
	"github.com/nsqloop/nsqloop/internal/backoff"
	"github.com/nsqloop/nsqloop/loop"
)

// run is how many publishes of a turn go to one nsqd before the next one gets
// some: enough that each connection's write carries many.
const run = 64

// Writer publishes to a set of nsqds. Its methods may be called from any
// goroutine.
type Writer struct {
	loop loop.Loop
	o    Options
	log  *slog.Logger
	mail mailbox

	// What follows belongs to the loop.

	epoch time.Time // when it started
	conns []*conn   // in the order of the options
	ready []*conn   // those of them that can be used
	turn  int       // index in ready: whose turn it is
	left  int       // publishes left of its run

	waiting ring[publish] // accepted, for want of a connection with room not sent
	spare   []publish     // the mailbox's other buffer

	outcomes      []outcome // of publishes that have ended, not yet reported
	reported      int       // how many of outcomes are
	reporting     bool
	scheduled     bool  // onTurnEnd will run
	freed         int64 // publishes and bytes that have ended since the last release
	freedBytes    int64
	deadline      loop.Timer // of the oldest publish with one
	deadlineArmed bool
	looker        loop.Timer // for connections that owe answers
	looking       bool
	unseen        unseen

	pings    []*ping
	draining []func()      // what to call when nothing is pending any more
	leaving  bool          // the loop is shutting down
	closed   bool          // everything was ended
	stopped  chan struct{} // closed when the last connection is

	loopStopped bool // the loop has stopped

	remove func() // takes back the loop's OnShutdown and OnStop

	counts counts

	drainFunc   func() // w.drain, w.onTurnEnd: made once
	turnEndFunc func()
}

// New starts a Writer on l. The connections are dialled as soon as the loop
// runs; publishes may be called at once. The error names the option that is
// wrong, or is loop.ErrClosed.
func New(l loop.Loop, o Options) (*Writer, error) {
	o, err := o.withDefaults()
	if err != nil {
		return nil, fmt.Errorf("writer options: %w", err)
	}
	w := &Writer{loop: l, o: o, log: o.Logger.With("writer", o.Name), stopped: make(chan struct{})}
	w.drainFunc, w.turnEndFunc = w.drain, w.onTurnEnd
	for _, addr := range o.NSQDs {
		w.conns = append(w.conns, &conn{w: w, addr: addr, log: w.log.With("nsqd", addr)})
	}
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
	if w.closed {
		return
	}
	for _, c := range w.conns {
		c.redial = backoff.NewReconnect(backoff.ReconnectOptions{
			Initial: w.o.ReconnectDelay,
			Max:     w.o.MaxReconnectDelay,
		}, w.loop.Now, w.loop.Rand())
		c.dial()
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
			switch {
			case p.wait != nil:
				p.wait.settle(p.err)
			case p.done != nil:
				p.done(Result{Topic: p.topic, Messages: max(p.messages(), 1), Err: p.err})
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
		switch {
		case p.err != nil:
			w.refuse(p)
		case w.closed:
			w.end(p, errClosed)
		case w.waiting.len() == 0 && w.send(p):
		default:
			w.wait(p)
		}
	}
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
	if len(w.ready) > 0 {
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

// dialling reports whether a connection is being made.
func (w *Writer) dialling() bool {
	return slices.ContainsFunc(w.conns, func(c *conn) bool { return c.client != nil })
}

// hopeless is why no connection is to be expected; nil when one is.
func (w *Writer) hopeless() error {
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
}

// send hands p to a connection with room, and reports whether it did or p
// needs none any more.
func (w *Writer) send(p *publish) bool {
	c := w.pick()
	if c == nil {
		return false
	}
	if p.wait == nil {
		c.send(p)
		return true
	}
	if !p.wait.begin() {
		w.left++ // nobody waits for it any more
		w.end(p, errClosed)
		return true
	}
	c.send(p)
	p.wait.state.Store(waitSent)
	return true
}

// pick is the connection for the next publish: round robin in runs over those
// that are ready, passing over those without room. nil when there is none.
func (w *Writer) pick() *conn {
	if len(w.ready) == 0 {
		return nil
	}
	for range len(w.ready) + 1 {
		c := w.ready[w.turn]
		if w.left > 0 && c.hasRoom() {
			w.left--
			return c
		}
		w.turn, w.left = w.turn+1, run
		if w.turn == len(w.ready) {
			w.turn = 0
		}
	}
	return nil
}

// pump sends what waits, as far as there is room.
func (w *Writer) pump() {
	for w.waiting.len() > 0 && len(w.ready) > 0 && w.send(w.waiting.at(0)) {
		w.waiting.pop()
	}
}
