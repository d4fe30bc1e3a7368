package server

import (
	"context"
	"log/slog"
	"net/netip"
	"time"

	"github.com/nsqloop/nsqloop/loop"
)

const (
	// logPerMinute is how many bytes of log a client address causes in a
	// minute, after which what it does is only counted.
	logPerMinute = 1 << 20

	// logLine is what a line has beside its texts, about.
	logLine = 96

	// originsMost is how many addresses have an account of their own. Further
	// ones share one.
	originsMost = 1 << 16
)

// origin is the account of a client address: what all its connections together
// may do. HTTP counts as well.
type origin struct {
	prefix     netip.Prefix
	conns      int
	topics     int   // made from there, and still there
	channels   int   // the same
	publishers int   // that are remembered
	heldIn     int64 // of unfinished commands, in the budget

	minute int64 // in which it was logged about last, since 1970
	logged int   // bytes of log in that minute
	quiet  int   // lines that were left out in that minute
}

// origins are the accounts. An account lasts as long as there is something in
// it, or a minute.
type origins struct {
	l     loop.Loop
	log   *slog.Logger
	known map[netip.Prefix]*origin // ranged over only to drop what is over
	rest  origin                   // of all that are too many, and of nobody in particular
	timer loop.Timer
	armed bool
	over  bool
}

// of returns the account of an address; nil when nobody's address is known.
func (a *origins) of(remote string) *origin {
	p := guessPrefix(remote)
	o := a.known[p]
	if o != nil {
		return o
	}
	if len(a.known) >= originsMost {
		return &a.rest
	}
	if a.known == nil {
		a.known = map[netip.Prefix]*origin{}
	}
	o = &origin{prefix: p}
	a.known[p] = o
	a.watch()
	return o
}

// watch has the accounts looked at in a minute.
func (a *origins) watch() {
	switch {
	case a.armed || a.over:
		return
	case a.timer == nil:
		a.timer = a.l.After(time.Minute, a.sweep)
	default:
		a.timer.Reset(time.Minute)
	}
	a.armed = true
}

// sweep says what was left out of the log, and drops accounts in which there is
// nothing. While every account has connections and nothing else, it rests.
func (a *origins) sweep() {
	a.armed = false
	minute := a.minute()
	again := false
	for p, o := range a.known { // the order makes no difference but to the log
		a.report(o, minute)
		switch {
		case o.minute == minute:
			again = true
		case o.conns == 0 && o.topics == 0 && o.channels == 0 && o.publishers == 0:
			delete(a.known, p)
		}
	}
	a.report(&a.rest, minute)
	if again {
		a.watch()
	}
}

// stopTimer ends the looking.
func (a *origins) stopTimer() {
	a.over = true
	if a.timer != nil {
		a.timer.Stop()
	}
}

// minute counts the minutes of the clock.
func (a *origins) minute() int64 { return a.l.Now().Unix() / 60 }

// report says how much was left out of the log in a minute that is over.
func (a *origins) report(o *origin, minute int64) {
	if o.quiet > 0 && o.minute != minute {
		a.log.Warn("client causes too many lines of log: some were left out", "address", o.name(), "lines", o.quiet)
		o.quiet = 0
	}
}

// name is the address for the log.
func (o *origin) name() string {
	if !o.prefix.IsValid() {
		return "@"
	}
	return o.prefix.String()
}

// tell writes a line of log that somebody's address causes, unless it causes
// too many. Texts from the network are quoted by the log's handler, and cut by
// the caller. A nil o is the server itself.
func (a *origins) tell(o *origin, log *slog.Logger, level slog.Level, msg string, args ...any) {
	if !log.Enabled(context.Background(), level) {
		return
	}
	if o == nil || a.mayLog(o, logSize(msg, args)) {
		log.Log(context.Background(), level, msg, args...)
	}
}

// mayLog counts a line of n bytes, and says whether it may be written.
func (a *origins) mayLog(o *origin, n int) bool {
	if minute := a.minute(); o.minute != minute {
		a.report(o, minute)
		o.minute, o.logged = minute, 0
		a.watch()
	}
	if o.logged+n > logPerMinute {
		o.quiet++
		return false
	}
	o.logged += n
	return true
}

// logSize is about how long a line is. What has to be quoted is longer, four
// times at most: texts of clients have been quoted before they come here.
func logSize(msg string, args []any) int {
	n := logLine + len(msg)
	for _, arg := range args {
		switch v := arg.(type) {
		case string:
			n += len(v) + 3
		case error:
			n += len(v.Error()) + 3
		default:
			n += 24
		}
	}
	return n
}
