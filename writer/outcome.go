package writer

import (
	"log/slog"
	"runtime"
	"time"
)

// outcome is a publish that has ended and is to be reported.
type outcome struct {
	result Result
	done   func(Result)
	wait   *waiter
	copies *copies
}

// end records the end of p, which was accepted.
func (w *Writer) end(p *publish, err error) {
	nsqd := ""
	if p.at != nil {
		nsqd = p.at.addr
	}
	if err != nil && p.err != nil {
		err = p.finalErr(err)
	}
	r := Result{Topic: p.topic, Messages: p.messages(), NSQD: nsqd, Tries: int(p.tries), Latency: time.Duration(w.now() - p.start), Err: err}
	w.counts.add(&r, p.size)
	if a := p.copies; a != nil {
		a.results[p.copy] = r
		if a.left--; a.left > 0 {
			return
		}
	}
	w.freed++
	w.freedBytes += int64(p.size)
	w.outstanding--
	for _, f := range w.flushes {
		f.ended(p.seq)
	}
	w.record(outcome{result: r, done: p.done, wait: p.wait, copies: p.copies})
}

// refuse records the end of p, which was never accepted.
func (w *Writer) refuse(p *publish) {
	r := Result{Topic: p.topic, Messages: max(p.messages(), 1), Latency: time.Duration(w.now() - p.start), Err: p.err}
	w.counts.add(&r, 0)
	if p.copies != nil {
		p.copies.refuse(r)
	}
	w.record(outcome{result: r, done: p.done, wait: p.wait, copies: p.copies})
}

// record keeps an outcome for the end of the turn: callbacks run when the
// state is in order, and one that panics harms nothing.
func (w *Writer) record(o outcome) {
	w.outcomes = append(w.outcomes, o)
	w.atTurnEnd()
}

// atTurnEnd has onTurnEnd run once, at the end of this turn, or in the next
// turn when this one's is already running.
func (w *Writer) atTurnEnd() {
	if w.scheduled {
		return
	}
	w.scheduled = true
	if !w.reporting {
		w.loop.AtTurnEnd(w.turnEndFunc)
		return
	}
	// Within the phase it would run in the same phase: callbacks that always
	// publish what fails at once would keep the loop from turning.
	if err := w.loop.Post(w.turnEndFunc); err != nil {
		w.loop.AtTurnEnd(w.turnEndFunc) // there is no next turn, and nothing is accepted any more
	}
}

// onTurnEnd is what the writer does once per turn in which something
// happened: it moves what waits into the room that answers made, makes room in
// the mailbox, reports what has ended, and takes up what the callbacks have
// published, so that it leaves with this turn's output.
func (w *Writer) onTurnEnd() {
	w.scheduled = false
	w.reporting = true
	finished := false
	defer func() {
		w.reporting = false
		if !finished { // a callback panicked, which the loop reports: go on behind it
			w.atTurnEnd()
		}
	}()
	w.pump()
	w.release()
	w.callEvents()
	w.report()
	if !w.loopStopped {
		w.letAnswer()
		w.drain()
	}
	w.finishFlushes()
	w.finishDraining()
	if w.closed {
		w.onConnClosed()
	}
	finished = true
}

// letAnswer lets the goroutine run that waited for its publish, when nobody else does:
// one that publishes one message after the other then has the next one taken up in
// this turn, and need not wake the loop, which costs as much as all the rest. It is
// one pass through the scheduler, as gnet's loop makes before it sleeps. Of several
// goroutines most come while the loop is at work anyway.
func (w *Writer) letAnswer() {
	alone := w.answered == 1 && w.outstanding == 0
	w.answered = 0
	if alone {
		w.mail.expect()
		runtime.Gosched()
	}
}

// release makes room for what has ended.
func (w *Writer) release() {
	if w.freed == 0 {
		return
	}
	w.mail.release(&w.o, w.freed, w.freedBytes)
	w.freed, w.freedBytes = 0, 0
}

// report calls back about everything that has ended and was not reported yet.
func (w *Writer) report() {
	for w.reported < len(w.outcomes) {
		if w.o.OnResult != nil {
			w.tellOnResult()
		}
		o := &w.outcomes[w.reported]
		w.reported, w.heard = w.reported+1, 0
		switch {
		case o.copies != nil:
			o.copies.report(w)
		case o.wait != nil:
			o.wait.settle(o.result.Err)
			w.answered++
		case o.done != nil:
			o.done(o.result)
		case o.result.Err != nil:
			w.unseen.add(w, &o.result)
		}
	}
	clear(w.outcomes)
	w.outcomes = w.outcomes[:0]
	if cap(w.outcomes) > mailboxKeep {
		w.outcomes = nil
	}
	w.reported = 0
}

// tellOnResult gives Options.OnResult what it has not heard of the outcome that is
// reported next. When it panics, onTurnEnd goes on behind that result.
func (w *Writer) tellOnResult() {
	for o := &w.outcomes[w.reported]; w.heard < o.results(); {
		r := o.result
		if o.results() > 1 {
			r = o.copies.results[w.heard]
		}
		w.heard++
		w.o.OnResult(r)
	}
}

// results is how many publishes an outcome counts as.
func (o *outcome) results() int {
	if o.copies == nil || o.copies.refused {
		return 1
	}
	return len(o.copies.results)
}

// unseen are failed publishes that have no done function: a program that does
// not look at its results shall at least find them in the log. A burst is
// logged when it begins and, with the number, when nothing has been added for
// a second.
type unseen struct {
	burst int // failures in it; 0: none
	seen  int // burst at the last look
}

const unseenPause = time.Second

func (u *unseen) add(w *Writer, r *Result) {
	u.burst++
	if u.burst > 1 {
		return
	}
	w.log.Error("publish failed, and nobody looks at the result: give Publish a done function",
		"topic", r.Topic, slog.Any("err", r.Err))
	w.loop.After(unseenPause, func() { u.look(w) })
}

func (u *unseen) look(w *Writer) {
	if u.burst != u.seen {
		u.seen = u.burst
		w.loop.After(unseenPause, func() { u.look(w) })
		return
	}
	if u.burst > 1 {
		w.log.Error("publishes failed, and nobody looked at the results", "publishes", u.burst)
	}
	*u = unseen{}
}
