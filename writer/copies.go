package writer

import (
	"fmt"

	"github.com/nsqloop/nsqloop/client"
	"github.com/nsqloop/nsqloop/internal/wire"
)

// copies is a call of PublishAll. Each copy is a publish of its own.
type copies struct {
	results []Result
	at      []string // the nsqd where each is, or was confirmed; "" while it waits
	left    int      // copies that have not ended
	refused bool     // there never were any
	done    func([]Result)
}

// PublishAll publishes one message to n nsqds, all of them different, so that
// it outlives any n-1 of them; a reader of them all receives it n times. done,
// which may be nil, is called on the loop exactly once, after PublishAll has
// returned and when every copy has ended, with a Result for each. A copy waits
// until it finds an nsqd that has no other one, as long as Timeout allows. When
// fewer than n nsqds are known, and no nsqlookupd that could name more, the
// copies that are too many end in ErrTooFewNSQDs. The body belongs to the
// Writer until done is called. Against MaxPending all copies count as one.
func (w *Writer) PublishAll(topic string, body []byte, n int, done func([]Result)) {
	p := publish{topic: topic, body: body, size: len(body), err: w.checkBody(body)}
	if n < 1 {
		p.err = refused(&client.Error{Code: wire.CodeInvalid, Detail: fmt.Sprintf("%d copies: want at least 1", n)})
	}
	n = max(n, 1)
	p.copies = &copies{results: make([]Result, n), at: make([]string, n), left: n, done: done}
	w.put(&p)
}

// takes reports whether an nsqd has, or may have, another copy than p.
func (a *copies) takes(c *conn, p *publish) bool {
	for i, at := range a.at {
		if at == c.addr && i != int(p.copy) {
			return true
		}
	}
	return false
}

// refuse gives all copies the same end.
func (a *copies) refuse(r Result) {
	for i := range a.results {
		a.results[i] = r
	}
	a.left, a.refused = 0, true
}

// report calls done.
func (a *copies) report(w *Writer) {
	if a.done != nil {
		a.done(a.results)
		return
	}
	for i := range a.results {
		if w != nil && a.results[i].Err != nil {
			w.unseen.add(w, &a.results[i])
		}
	}
}

// spread sends the copies, or lets them wait.
func (w *Writer) spread(p *publish) {
	tooFew := notSent(ErrTooFewNSQDs)
	for i := range p.copies.results {
		q := *p
		q.copy = int32(i)
		switch err := w.pointless(); {
		case err != nil:
			w.end(&q, err)
		case i >= len(w.conns) && !w.mayFindMore():
			w.end(&q, tooFew)
		case w.sendTo(w.chooseFor(&q), &q):
		case w.o.FailFast && i >= len(w.ready):
			w.end(&q, notSentAfter(client.ErrNotConnected, w.lastErr()))
		default:
			w.choosy = append(w.choosy, q)
		}
	}
}
