package middleware

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/nsqloop/nsqloop/reader"
)

// DedupeOptions say which messages are the same, and for how long. The zero
// value is in order.
type DedupeOptions struct {
	// Key is what messages that are the same have in common, such as an id in
	// the body. "" is no key: the message is handled. nil means the nsqd and
	// the id that it gave the message, which finds what nsqd delivers again,
	// but not what was published twice. It runs where the handler does.
	Key func(m *reader.Message) string

	// Window is how long a message that was processed is remembered. 0 means
	// 10 minutes.
	Window time.Duration

	// Size is how many are remembered; past it the oldest is forgotten. 0
	// means 10,000, which take two megabytes or so.
	Size int

	// OnDuplicate, if set, is called with each message that is not handled
	// because it was before, where the handler would have run.
	OnDuplicate func(m *reader.Message)
}

// errRunning is why a message comes again later.
var errRunning = errors.New("the same message is being processed")

// Dedupe discards messages that were processed before: those whose handler
// returned nil or, having returned reader.Pending, finished them. That the
// answer was too late, or was lost, makes no difference: the work was done. A
// message that comes while the handler still has the same one is requeued
// without backoff, and handled later if the other one fails.
//
// It remembers in this process only: two programs that consume one channel, or
// one that was restarted, know nothing of each other. It makes duplicates rare,
// not impossible.
func Dedupe(o DedupeOptions) Middleware {
	if o.Window == 0 {
		o.Window = 10 * time.Minute
	}
	if o.Size <= 0 {
		o.Size = 10_000
	}
	d := &dedupe{o: o, running: map[key]bool{}, processed: map[key]time.Time{}}
	return func(next reader.Handler) reader.Handler {
		return func(m *reader.Message) error { return d.handle(m, next) }
	}
}

// key tells messages apart: by the program's key, or by nsqd and id.
type key struct {
	text string
	id   reader.MessageID
}

// dedupe is the memory of a Dedupe. Its maps are what the program asks for; the
// lock is there because workers share it.
type dedupe struct {
	o DedupeOptions

	lock      sync.Mutex
	running   map[key]bool      // what a handler has
	processed map[key]time.Time // when it came
	order     []key             // of processed, the oldest first, from next on
	next      int
}

func (d *dedupe) handle(m *reader.Message, next reader.Handler) (err error) {
	k := key{text: m.NSQD, id: m.ID}
	if d.o.Key != nil {
		if k = (key{text: d.o.Key(m)}); k.text == "" {
			return next(m)
		}
	}
	switch known, running := d.begin(k, m.Received()); {
	case known:
		if d.o.OnDuplicate != nil {
			d.o.OnDuplicate(m)
		}
		return reader.Discard(nil)
	case running:
		return reader.WithoutBackoff(fmt.Errorf("%w: %v", errRunning, m.ID))
	}
	returned := false
	defer func() {
		if !returned { // it panics
			d.end(k, m.Received(), false)
		}
	}()
	err = next(m)
	returned = true
	switch {
	case errors.Is(err, reader.Pending), err == nil && answered(m):
		m.OnEnd(func(how reader.End) { d.end(k, m.Received(), how == reader.Finished) })
	default:
		d.end(k, m.Received(), err == nil)
	}
	return err
}

// answered says whether a handler has answered by itself. A message can also
// have ended because its time was over, or its connection.
func answered(m *reader.Message) bool {
	if !m.Responded() {
		return false
	}
	cause := context.Cause(m.Context())
	return cause != context.DeadlineExceeded && cause != reader.ErrLost
}

// begin says what is known of k, and notes it as running when nothing is.
func (d *dedupe) begin(k key, now time.Time) (known, running bool) {
	d.lock.Lock()
	defer d.lock.Unlock()
	for d.next < len(d.order) && now.Sub(d.processed[d.order[d.next]]) > d.o.Window {
		d.forget()
	}
	if _, known = d.processed[k]; known {
		return true, false
	}
	if d.running[k] {
		return false, true
	}
	d.running[k] = true
	return false, false
}

// end notes that the handler has k no longer.
func (d *dedupe) end(k key, at time.Time, processed bool) {
	d.lock.Lock()
	defer d.lock.Unlock()
	delete(d.running, k)
	if !processed {
		return
	}
	if len(d.processed) == d.o.Size {
		d.forget()
	}
	d.processed[k] = at
	d.order = append(d.order, k)
}

// forget drops the oldest of what is remembered.
func (d *dedupe) forget() {
	delete(d.processed, d.order[d.next])
	d.next++
	if d.next > len(d.order)/2 { // half of it is dead
		d.order = append(d.order[:0], d.order[d.next:]...)
		d.next = 0
	}
}
