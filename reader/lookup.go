package reader

import (
	"slices"

	"github.com/nsqloop/nsqloop/client/lookup"
)

// discover makes the poller that asks the nsqlookupds which nsqds have the
// topic. What they name is connected to. A connection never closes because of
// an answer: only TCP says whether an nsqd is there.
func (r *Reader) discover() *lookup.Poller {
	return lookup.NewPoller(r.loop, lookup.PollerOptions{
		Query:      lookup.Producers(r.o.Topic),
		Interval:   r.o.LookupdPollInterval,
		Jitter:     r.o.LookupdPollJitter,
		OnAnswer:   r.onNamed,
		OnInterval: r.onPollInterval,
		OnError:    r.report,
		HTTPClient: r.o.HTTPClient,
		Secret:     r.o.LookupdSecret,
		Logger:     r.log,
	})
}

// named are the addresses in an answer, after the filter.
func (r *Reader) named(all lookup.Answer) []string {
	addrs := all.Addrs()
	if r.o.Filter != nil {
		addrs = r.o.Filter(addrs)
	}
	return addrs
}

// onNamed connects to what is new.
func (r *Reader) onNamed(all lookup.Answer) {
	for _, addr := range r.named(all) {
		n := r.node(addr)
		n.found, n.missed = true, 0
	}
}

// onPollInterval counts the nodes that the answers since the last poll have
// not named, and forgets those without connection that were missing too often.
func (r *Reader) onPollInterval(all lookup.Answer) {
	named := r.named(all)
	for _, n := range slices.Clone(r.nodes) {
		if !n.found {
			continue
		}
		n.missed++
		if slices.Contains(named, n.addr) {
			n.missed = 0
		}
		if !n.wanted() {
			r.forget(n)
		}
	}
}
