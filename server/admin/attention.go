package admin

import (
	"fmt"
	"strings"
	"time"
)

// alarms remembers since when something has been wrong. It belongs to the loop.
type alarms struct {
	since map[string]time.Time
	seen  map[string]bool
}

func newAlarms() *alarms { return &alarms{since: map[string]time.Time{}, seen: map[string]bool{}} }

// mark notes that something is so, and returns since when it has been.
func (a *alarms) mark(key string, now time.Time) time.Time {
	a.seen[key] = true
	if _, known := a.since[key]; !known {
		a.since[key] = now
	}
	return a.since[key]
}

// sweep forgets what is not so any more.
func (a *alarms) sweep() {
	for key := range a.since {
		if !a.seen[key] {
			delete(a.since, key)
		}
	}
	a.seen = map[string]bool{}
}

// Thresholds of what needs attention.
const (
	attentionMost = 200 // rows
	pausedLong    = time.Hour
	idleLong      = 10 * time.Second // no consumer: a restart of one takes less
	timeoutsBad   = 0.01             // of deliveries
	diskLow       = 0.1              // of the disk

)

// teller notes what a rule has found, once it has been so for a while. level is
// bad, warn or note.
type teller func(level, rule, text string, about attentionRow, after time.Duration)

// attend makes the rows of what needs attention, and the cluster's health.
func (g *folding) attend() {
	c := &g.cluster
	c.Health = "ok"
	rows := 0
	tell := func(level, rule, text string, r attentionRow, after time.Duration) {
		r.Key = rule + "|" + r.Node + "|" + r.Topic + "|" + r.Channel
		since := g.f.alarms.mark(r.Key, g.now)
		if g.now.Sub(since) < after || rows >= attentionMost {
			return
		}
		rows++
		r.Level, r.Text, r.Since = level, text, since.UnixMilli()
		if level == "bad" || level == "warn" && c.Health == "ok" {
			c.Health = level
		}
		g.draft.add(row{table: tableAttention, key: r.Key, topic: r.Topic, channel: r.Channel, node: r.Node}, r)
	}
	g.attendServers(tell)
	for key, ch := range g.channels {
		g.attendChannel(key, ch, tell)
	}
	for topic, t := range g.topics {
		switch {
		case t.Channels == 0 && t.Waiting > 0:
			tell("note", "no-channel", numbered(t.Waiting, "message waits", "messages wait")+" for a first channel", attentionRow{Topic: topic}, idleLong)
		case t.Paused > 0:
			tell("warn", "paused", "paused for more than an hour", attentionRow{Topic: topic}, pausedLong)
		}
		if t.Corrupt > 0 {
			tell("warn", "corrupt", numbered(t.Corrupt, "damaged record was", "damaged records were")+" skipped", attentionRow{Topic: topic}, 0)
		}
	}
	g.f.alarms.sweep()
}

// attendServers looks at nsqds and nsqlookupds.
func (g *folding) attendServers(tell teller) {
	c := &g.cluster
	for i, err := range g.s.out.errs {
		c.Problem = clipped(err.Error(), 300)
		tell("bad", fmt.Sprint("ask", i), "no answer: "+clipped(err.Error(), 300), attentionRow{}, 0)
	}
	if c.Nodes == 0 && len(g.s.out.errs) == 0 {
		tell("warn", "empty", "there is no nsqd", attentionRow{}, 0)
	}
	if len(c.Versions) > 1 {
		tell("note", "versions", "versions differ: "+strings.Join(c.Versions, ", "), attentionRow{}, 0)
	}
	for i, p := range g.s.places {
		node := p.Node()
		if err := g.s.errs[i]; err != nil {
			tell("bad", "silent", "does not answer: "+clipped(err.Error(), 300), attentionRow{Node: node}, 0)
			continue
		}
		if h := g.s.stats[i].Health; h != "OK" {
			tell("bad", "unwell", "is not well: "+clipped(h, 300), attentionRow{Node: node}, 0)
		}
		if lite := g.s.lites[i]; lite != nil && lite.DiskTotal > 0 && float64(lite.DiskFree) < diskLow*float64(lite.DiskTotal) {
			tell("warn", "disk", fmt.Sprintf("disk: %.1f %% free", 100*float64(lite.DiskFree)/float64(lite.DiskTotal)), attentionRow{Node: node}, 0)
		}
		if n := len(g.s.lookupds); g.s.asks && len(p.remotes) > 0 && len(p.remotes) < n {
			tell("warn", "registered", fmt.Sprintf("registered with %d of %d nsqlookupds", len(p.remotes), n), attentionRow{Node: node}, idleLong)
		}
	}
}

// attendChannel looks at a channel.
func (g *folding) attendChannel(key name, ch *channelRow, tell teller) {
	at := attentionRow{Topic: key.topic, Channel: key.channel}
	if ch.Depth > 0 && ch.Consumers == 0 {
		tell("warn", "no-consumer", numbered(ch.Depth, "message", "messages")+" and no consumer", at, idleLong)
	}
	if ch.Paused > 0 {
		tell("warn", "paused", "paused for more than an hour", at, pausedLong)
	}
	if by, rising := g.f.history.rising(key); rising && ch.Consumers > 0 {
		tell("warn", "rising", fmt.Sprintf("depth rises: %.0f more in five minutes", by), at, 0)
	}
	var out, timeouts float64
	for _, p := range g.f.history.of(key) {
		out += float64(p.out)
		timeouts += float64(p.timeouts)
	}
	if deliveries := out + timeouts; timeouts*historyStep.Seconds() >= 5 && timeouts > timeoutsBad*deliveries {
		tell("warn", "timeouts", fmt.Sprintf("timeouts: %.1f %% of deliveries", 100*timeouts/deliveries), at, 0)
	}
}

// numbered is "1 message", "2 messages".
func numbered(n int64, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprint(n, " ", many)
}
