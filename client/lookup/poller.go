package lookup

import (
	"log/slog"
	"net/http"
	"slices"
	"time"

	"github.com/nsqloop/nsqloop/loop"
)

const (
	// pollGap is the least time between a poll and one that comes before its
	// turn.
	pollGap = time.Second

	// DefaultInterval is how often NSQ's clients ask.
	DefaultInterval = time.Minute

	// DefaultJitter is how much of an interval go-nsq varies its polls by.
	DefaultJitter = 0.3
)

// PollerOptions say what a Poller asks, how often, and whom it tells. All
// functions run on the loop.
type PollerOptions struct {
	// Query is what is asked. It has no default.
	Query Query

	// Interval is how often the servers are asked. 0 means DefaultInterval.
	// Jitter times a random part of it delays the polls after the first,
	// once, so that programs that started together do not ask in step.
	Interval time.Duration
	Jitter   float64

	// OnAnswer is called for each answer with what all servers name together,
	// without waiting for those of the others.
	OnAnswer func(all Answer)

	// OnInterval, when not nil, is called before each of the regular polls
	// with what the answers since the last one have come to.
	OnInterval func(all Answer)

	// OnError, when not nil, is called when a server fails, and not again
	// until it has answered.
	OnError func(error)

	HTTPClient *http.Client // makes the requests; see Server.Ask
	Secret     string       // sent as a bearer token, when not empty

	// Logger receives servers that fail and that answer again.
	Logger *slog.Logger
}

// Poller asks a set of nsqlookupds the same question again and again. Each poll
// asks all of them; what they name together is the answer, and what one named
// last holds while it does not answer.
//
// Polls come at the interval, when Soon is called, and, while nothing is named
// at all, in between: after a second at first, then each after a tenth of the
// time that it has been so. All methods are for the loop.
type Poller struct {
	loop    loop.Loop
	o       PollerOptions
	servers []*server
	regular loop.Timer // the first of the regular polls, then all of them
	early   loop.Timer // a poll that Soon asked for; nil when none is due
	quick   loop.Timer // a poll because nothing is named; nil when none is due
	began   time.Time  // when the last poll began
	nothing time.Time  // since when nothing is named; zero when something is
	stopped bool
}

// server is one nsqlookupd of a Poller.
type server struct {
	at      Server
	asking  bool   // a query is under way
	named   Answer // its last answer
	failing bool   // the last query failed
	removed bool
}

// NewPoller returns a Poller that asks nobody yet.
func NewPoller(l loop.Loop, o PollerOptions) *Poller {
	if o.Interval == 0 {
		o.Interval = DefaultInterval
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return &Poller{loop: l, o: o}
}

// Add asks a new server, and with the first one starts the polls. Adding one
// that is there has no effect.
func (p *Poller) Add(at Server) {
	if p.stopped || slices.ContainsFunc(p.servers, func(s *server) bool { return s.at == at }) {
		return
	}
	s := &server{at: at}
	p.servers = append(p.servers, s)
	if p.regular == nil {
		p.began = p.loop.Now()
		p.nothing = p.began
		jitter := p.loop.Rand().Float64() * p.o.Jitter * float64(p.o.Interval)
		p.regular = p.loop.After(time.Duration(jitter), func() {
			p.regular = p.loop.Every(p.o.Interval, p.onInterval)
		})
	}
	p.ask(s)
}

// Remove forgets a server and what it named.
func (p *Poller) Remove(at Server) {
	i := slices.IndexFunc(p.servers, func(s *server) bool { return s.at == at })
	if i >= 0 {
		p.servers[i].removed = true
		p.servers = slices.Delete(p.servers, i, i+1)
	}
}

// Stop ends the polls. Answers that come later are ignored.
func (p *Poller) Stop() {
	p.stopped = true
	for _, t := range []loop.Timer{p.regular, p.early, p.quick} {
		if t != nil {
			t.Stop()
		}
	}
}

// Soon polls out of turn, because an nsqd was lost for example: at once, or
// when the last poll is a second old.
func (p *Poller) Soon() {
	if p.early != nil || p.stopped || len(p.servers) == 0 {
		return
	}
	p.early = p.loop.After(max(0, pollGap-p.loop.Now().Sub(p.began)), func() {
		p.early = nil
		p.poll()
	})
}

// Named is what all servers named last, without duplicates.
func (p *Poller) Named() Answer {
	var answers []Answer
	for _, s := range p.servers {
		answers = append(answers, s.named)
	}
	return union(answers)
}

func (p *Poller) onInterval() {
	if p.o.OnInterval != nil {
		p.o.OnInterval(p.Named())
	}
	p.poll()
}

// poll asks every server that is not being asked.
func (p *Poller) poll() {
	p.began = p.loop.Now()
	for _, s := range p.servers {
		p.ask(s)
	}
}

func (p *Poller) ask(s *server) {
	if s.asking {
		return
	}
	s.asking = true
	s.at.Ask(p.loop, p.o.HTTPClient, p.o.Query, p.o.Secret, func(a Answer, err error) {
		s.asking = false
		if !p.stopped && !s.removed {
			p.onAnswer(s, a, err)
		}
	})
}

// onAnswer tells of an answer, or once of a failure.
func (p *Poller) onAnswer(s *server, a Answer, err error) {
	defer p.hurry()
	if err != nil {
		if !s.failing {
			s.failing = true
			p.o.Logger.Warn("nsqlookupd does not answer", "lookupd", s.at.String(), "err", err)
			if p.o.OnError != nil {
				p.o.OnError(err)
			}
		}
		return
	}
	if s.failing {
		s.failing = false
		p.o.Logger.Info("nsqlookupd answers again", "lookupd", s.at.String())
	}
	s.named = a
	p.o.OnAnswer(p.Named())
}

// hurry plans the next poll out of turn while nothing is named.
func (p *Poller) hurry() {
	if slices.ContainsFunc(p.servers, func(s *server) bool { return !s.named.empty() }) {
		p.nothing = time.Time{}
		return
	}
	now := p.loop.Now()
	if p.nothing.IsZero() {
		p.nothing = now
	}
	if p.quick != nil || p.stopped {
		return
	}
	d := max(now.Sub(p.nothing)/10, pollGap)
	if d >= p.o.Interval {
		return
	}
	// As for the regular polls: those who wait for the same thing spread out.
	d += time.Duration(p.loop.Rand().Float64() * p.o.Jitter * float64(d))
	p.quick = p.loop.After(d, func() {
		p.quick = nil
		if !p.nothing.IsZero() {
			p.poll()
		}
	})
}
