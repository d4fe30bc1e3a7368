package reader

import (
	"slices"
	"time"

	"github.com/nsqloop/nsqloop/client"
	"github.com/nsqloop/nsqloop/loop"
)

// pollGap is the least time between a poll and one that a lost connection
// asks for.
const pollGap = time.Second

// discovery asks the nsqlookupd which nsqd have the topic. Each poll asks all
// of them; what they name together is connected to, and what one named last
// holds while it does not answer. A connection never closes because of an
// answer: only TCP says whether an nsqd is there.
type discovery struct {
	reader   *Reader
	lookupds []*lookupd
	timer    loop.Timer // the first of the regular polls, then all of them
	early    loop.Timer // a poll between two regular ones; nil when none is due
	began    int64      // when the last poll began
}

// lookupd is one nsqlookupd.
type lookupd struct {
	at      client.Lookupd
	asking  bool     // a query is under way
	named   []string // the addresses of its last answer
	failing bool     // the last query failed
	removed bool
}

// add asks a new nsqlookupd, and with the first one starts the polls. Those
// after the first are delayed by a random time, once, so that readers that
// started together do not ask in step.
func (d *discovery) add(at client.Lookupd) {
	r := d.reader
	if r.leaving {
		return
	}
	l := &lookupd{at: at}
	d.lookupds = append(d.lookupds, l)
	d.ask(l)
	if d.timer != nil {
		return
	}
	d.began = r.now()
	jitter := r.loop.Rand().Float64() * r.o.LookupdPollJitter * float64(r.o.LookupdPollInterval)
	d.timer = r.loop.After(time.Duration(jitter), func() {
		d.timer = r.loop.Every(r.o.LookupdPollInterval, d.onInterval)
	})
}

// remove forgets an nsqlookupd and what it named.
func (d *discovery) remove(at client.Lookupd) {
	i := slices.IndexFunc(d.lookupds, func(l *lookupd) bool { return l.at == at })
	if i >= 0 {
		d.lookupds[i].removed = true
		d.lookupds = slices.Delete(d.lookupds, i, i+1)
	}
}

// stop ends the polls. Answers that come later are ignored.
func (d *discovery) stop() {
	if d.timer != nil {
		d.timer.Stop()
	}
	if d.early != nil {
		d.early.Stop()
	}
}

// onInterval is a regular poll. First the nodes that the answers since the
// last one have not named are counted, and those without connection that were
// missing too often are forgotten.
func (d *discovery) onInterval() {
	named := d.named()
	for _, n := range slices.Clone(d.reader.nodes) {
		if !n.found {
			continue
		}
		n.missed++
		if slices.Contains(named, n.addr) {
			n.missed = 0
		}
		if !n.wanted() {
			d.reader.forget(n)
		}
	}
	d.poll()
}

// soon polls because a connection was lost: at once, or when the last poll is
// a second old.
func (d *discovery) soon() {
	r := d.reader
	if d.early != nil {
		return
	}
	d.early = r.loop.After(max(0, pollGap-time.Duration(r.now()-d.began)), func() {
		d.early = nil
		d.poll()
	})
}

// poll asks every nsqlookupd that is not being asked.
func (d *discovery) poll() {
	d.began = d.reader.now()
	for _, l := range d.lookupds {
		d.ask(l)
	}
}

func (d *discovery) ask(l *lookupd) {
	if l.asking {
		return
	}
	r := d.reader
	l.asking = true
	l.at.Lookup(r.loop, r.o.HTTPClient, r.o.Topic, "", func(producers []client.Producer, err error) {
		l.asking = false
		if !r.leaving && !l.removed {
			d.onAnswer(l, producers, err)
		}
	})
}

// onAnswer connects to what is new in an answer, without waiting for those of
// the other nsqlookupd. A failure is reported once, and again after a success.
func (d *discovery) onAnswer(l *lookupd, producers []client.Producer, err error) {
	r := d.reader
	if err != nil {
		if !l.failing {
			l.failing = true
			r.log.Warn("nsqlookupd does not answer", "lookupd", l.at.String(), "err", err)
			r.report(err)
		}
		return
	}
	if l.failing {
		l.failing = false
		r.log.Info("nsqlookupd answers again", "lookupd", l.at.String())
	}
	l.named = l.named[:0]
	for _, p := range producers {
		l.named = append(l.named, p.Addr())
	}
	for _, addr := range d.named() {
		n := r.node(addr)
		n.found, n.missed = true, 0
	}
}

// named is what all nsqlookupd name, without duplicates, after the filter.
func (d *discovery) named() []string {
	var all []string
	for _, l := range d.lookupds {
		for _, addr := range l.named {
			if !slices.Contains(all, addr) {
				all = append(all, addr)
			}
		}
	}
	if d.reader.o.Filter != nil {
		all = d.reader.o.Filter(all)
	}
	return all
}
