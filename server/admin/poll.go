package admin

import (
	"context"
	"net/http"
	"net/url"
	"time"

	"github.com/nsqloop/nsqloop/loop"
	"github.com/nsqloop/nsqloop/server"
)

// How often the servers are asked: while somebody looks, and while nobody does.
// A poll that took long is followed by a pause so many times as long: ten
// thousand topics that nobody looks at must not keep a machine busy.
const (
	pollEach      = time.Second
	pollIdle      = 5 * time.Second
	pausePerPoll  = 4
	pauseWhenIdle = 50

	// watchedFor is for how many seconds somebody who polls counts as looking.
	watchedFor = 6

	// plainFor is how many polls an nsqd that has no /lite routes is not
	// asked for them again.
	plainFor = 300
)

// poller asks all servers again and again. It belongs to the loop.
type poller struct {
	timer  loop.Timer
	busy   bool
	wanted bool // at once, after the one that is running
	last   time.Time
	took   time.Duration
	plain  map[string]int // nsqds by base that have no /lite routes, and for how many polls they need not be asked
	fold   *fold
}

func (p *poller) stop() {
	if p.timer != nil {
		p.timer.Stop()
	}
}

// begin starts polling.
func (a *Admin) begin() {
	a.poller.plain = map[string]int{}
	a.poller.fold = newFold(a.l.Now())
	a.poller.timer = a.l.Every(pollEach, a.tick)
	a.poll()
}

// tick polls when it is time to.
func (a *Admin) tick() {
	p := &a.poller
	each, pause := pollIdle, time.Duration(pauseWhenIdle)
	if a.streams.Load() > 0 || a.watched.Load() > 0 {
		each, pause = pollEach, pausePerPoll
		a.watched.Store(max(0, a.watched.Load()-1))
	}
	// Half a tick of tolerance: a tick may come early by what the last came late.
	if since := a.l.Now().Sub(p.last); since >= each-pollEach/2 && since >= pause*p.took {
		a.poll()
	}
}

// hurry has the servers asked at once, after a change or when somebody comes.
// It may be called from any goroutine.
func (a *Admin) hurry() {
	_ = a.l.Post(func() { // what has stopped does not hurry
		if a.poller.busy {
			a.poller.wanted = true
			return
		}
		a.poll()
	})
}

// poll asks all servers once.
func (a *Admin) poll() {
	p := &a.poller
	if p.busy || a.stopped {
		return
	}
	p.busy, p.wanted, p.last = true, false, a.l.Now()
	skip := map[string]bool{}
	for base, n := range p.plain {
		if n > 1 {
			p.plain[base], skip[base] = n-1, true
		} else {
			delete(p.plain, base)
		}
	}
	a.l.Go(func() func() {
		s := a.cluster.sample(a.ctx, skip)
		return func() { a.polled(s) }
	})
}

// polled makes a view of what the servers said.
func (a *Admin) polled(s *sample) {
	p := &a.poller
	p.busy, p.took = false, a.l.Now().Sub(p.last)
	if a.stopped {
		return
	}
	for _, base := range s.plain {
		p.plain[base] = plainFor
	}
	before := a.view.Load()
	a.view.Store(p.fold.next(before, s, a.l.Now()))
	close(before.done)
	if p.wanted {
		a.poll()
	}
}

// sample is what all servers said in one poll.
type sample struct {
	places   []*place
	stats    []server.Stats // of places; without Version when it did not answer
	lites    []*liteStats   // of places; nil when it has none
	errs     []error        // of places
	out      outcome        // of finding the places
	lookupds []string       // hosts
	known    []string       // topics that nsqlookupds know
	plain    []string       // bases without /lite routes
	asks     bool           // nsqlookupds
}

// liteStats is what nsqd-lite says beyond nsqd's statistics.
type liteStats struct {
	LiteVersion string `json:"lite_version"`
	DataPath    string `json:"data_path"`
	Sync        string `json:"sync"`
	Connections int    `json:"connections"`
	Goroutines  int    `json:"goroutines"`
	DiskFree    int64  `json:"disk_free"`
	DiskTotal   int64  `json:"disk_total"`
	Topics      []struct {
		Topic          string `json:"topic"`
		JournalBytes   int64  `json:"journal_bytes"`
		CorruptRecords int64  `json:"corrupt_records"`
		Channels       []struct {
			Channel     string `json:"channel"`
			FinishCount uint64 `json:"finish_count"`
			Oldest      int64  `json:"oldest"`
		} `json:"channels"`
	} `json:"topics"`
}

// sample asks all servers. Those whose bases are in skip are not asked for
// what only nsqd-lite has.
func (c *cluster) sample(ctx context.Context, skip map[string]bool) *sample {
	s := &sample{asks: c.asksLookupds()}
	for _, base := range *c.lookupds.Load() {
		s.lookupds = append(s.lookupds, hostOf(base))
	}
	s.places, s.out = c.places(ctx)
	n := len(s.places)
	s.stats, s.lites, s.errs = make([]server.Stats, n), make([]*liteStats, n), make([]error, n)
	plain := make([]bool, n)
	each(n, func(i int) {
		base := s.places[i].base
		s.errs[i] = c.up.get(ctx, base, "/stats", url.Values{"format": {"json"}}, &s.stats[i])
		if skip[base] || s.errs[i] != nil {
			return
		}
		lite := new(liteStats)
		switch err := c.up.get(ctx, base, "/lite/stats", nil, lite); {
		case err == nil:
			s.lites[i] = lite
		case refused(err, http.StatusNotFound):
			plain[i] = true
		}
	})
	for i, is := range plain {
		if is {
			s.plain = append(s.plain, s.places[i].base)
		}
	}
	if s.asks {
		s.known, _ = c.topics(ctx) // who does not answer is in out already
	}
	return s
}
