package reader

import (
	"errors"
	"fmt"
	"iter"

	"github.com/nsqloop/nsqloop/loop"
)

// Messages makes a Reader whose messages come out of a range, for a program
// that would rather have a for statement than a handler:
//
//	r, messages, err := reader.Messages(l, reader.Options{...})
//	...
//	for m := range messages {
//		m.Answer(bill(m))
//	}
//
// The options are those of New, without Handler, Batch and Workers. Each
// message is answered by the body of the loop, with Answer, Finish, Requeue or
// Discard, or later by whoever it was passed on to; what nobody answers comes
// again when its time is over. So a message is answered before a break or a
// return: until its time is over it would hold up Shutdown, which gives back
// what still waits, but not what the program has.
//
// The loop has to be running, by Start or by a Run elsewhere; until it is, the
// range waits.
//
// The range ends when the reader does: by Close, by Shutdown, or with the loop.
// It may be left and entered again, and by several goroutines at once, which
// then share the messages; what waits meanwhile is at most MaxInFlight. Leaving
// it does not end the reader. On the loop, which it would stop, it yields
// nothing and logs an error.
func Messages(l loop.Loop, o Options) (*Reader, iter.Seq[*Message], error) {
	if o.Handler != nil || o.Batch.Handler != nil || o.Workers != 0 {
		return nil, nil, errors.New("reader options: Handler, Batch, Workers: want none of them: the range takes their place")
	}
	o.Handler = func(*Message) error { return Pending } // the queue is asked instead
	o, err := o.withDefaults()
	if err != nil {
		return nil, nil, fmt.Errorf("reader options: %w", err)
	}
	w := newWorkers(0)
	r, err := newReader(l, o, w, nil)
	if err != nil {
		return nil, nil, err
	}
	return r, w.each, nil
}

// each yields the messages that come until the workers are to end.
func (w *workers) each(yield func(*Message) bool) {
	if w.reader.loop.OnLoop() {
		w.reader.log.Error("messages are ranged over on the loop, which would wait for itself")
		return
	}
	for {
		j, ok := w.pop()
		if !ok {
			return
		}
		if !j.m.Responded() && !yield(j.m) {
			return
		}
	}
}
