package server

import (
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sort"

	"github.com/nsqloop/nsqloop/internal/wire"
	"github.com/nsqloop/nsqloop/server/journal"
)

// topic is a journal and the channels that read it.
//
// What is appended belongs to a generation; writing the journal ends one.
// Whoever awaits the outcome of a publish remembers its generation, and learns
// it when durable has passed that.
type topic struct {
	s         *Server
	name      string
	j         *journal.Journal
	log       *slog.Logger
	channels  []*channel // sorted by name
	ephemeral bool
	onDisk    bool // its journal is in files
	deleted   bool
	storing   bool // a publish of many messages, until whose end the running generation goes on
	doubtful  bool // its journal has lost what it knew of its cursors

	generation uint64   // of what is appended next
	durable    uint64   // generations below it have been kept, or their publishers told otherwise
	waiters    []waiter // for HTTP; in order of generation
	marks      []*mark  // of publishers whose publishes have numbers

	ahead    bool // to be committed before channels deliver: that may give them messages
	answered bool // what its cursors have to write must not wait: messages were answered

	taps  []*tap
	tapAt journal.Spot // behind what the taps were given

	used  bool // since the last sweep of idle
	awake bool // in idle.topics

	dirty    bool // in turn.dirty
	awaited  bool // in turn.awaited
	trailing bool // in turn.trailing
	unsynced bool // in fsync.topics
	syncing  bool // a fsync of it is running

	maker      *origin // nil: the server itself, or before it started
	delays     bool    // the number of deferred messages may have changed
	held       int64   // in the budget
	heldDelays int64   // the part of it that is for deferred messages

	newMessages uint64 // of the running generation
	newBytes    uint64
	messages    uint64 // stored since the start
	bytes       uint64
}

// waiter awaits the outcome of a publish that did not come from a client's
// connection.
type waiter struct {
	generation uint64
	done       func(error)
}

// append puts one message into the journal's tail. The body is copied. due is
// when it may be delivered, 0 for at once.
func (t *topic) append(now, due int64, body []byte) {
	t.j.Append(now, due, body)
	t.delays = t.delays || due > 0
	t.newMessages++
	t.newBytes += uint64(len(body))
	t.ahead = true
	t.touch()
}

// touch has the journal written at the end of the turn.
func (t *topic) touch() {
	if !t.dirty {
		t.s.turn.write(t)
	}
}

// publish appends messages and calls done once they are kept, or with the
// reason why they are not: exactly once, later, on the loop. The bodies are
// copied: when publish returns, or when taken is closed if it is not nil, which
// it is before done is called.
func (t *topic) publish(bodies [][]byte, due int64, done func(error)) (taken <-chan struct{}) {
	if t.deleted || t.s.closed {
		t.s.l.AtTurnEnd(func() { done(errGone) })
		return nil
	}
	if due == 0 && t.s.larges.areLarge(bodies) {
		return t.s.larges.publish(t, bodies, done)
	}
	now := t.s.now()
	for _, body := range bodies {
		t.append(now, due, body)
	}
	t.await(done)
	return nil
}

// await has done called when the running generation is kept or refused.
func (t *topic) await(done func(error)) {
	t.waiters = append(t.waiters, waiter{t.generation, done})
	t.touch() // there may have been no body
	t.s.turn.await(t)
}

// commit writes the messages of the running generation and ends it. If they
// cannot be written, their publishers are told so at the end of the turn. While a
// publish is stored in pieces nothing is committed: it, and what others publish
// meanwhile, comes after whatever asks for that.
func (t *topic) commit() error {
	if t.storing {
		return nil
	}
	wrote := t.onDisk && t.j.Uncommitted() > 0
	err := t.j.Commit()
	t.endGeneration(wrote, err)
	return err
}

// endGeneration ends the running generation, whose messages were committed, or
// refused because of err. wrote says whether there are any in a file.
func (t *topic) endGeneration(wrote bool, err error) {
	if err != nil {
		t.lowerMarks()
		t.s.turn.fail(t, t.generation, t.generation+1, err)
	} else {
		if len(t.taps) > 0 {
			t.handOver()
		}
		t.messages += t.newMessages
		t.bytes += t.newBytes
	}
	if err != nil || wrote {
		t.s.noteWrite(err)
	}
	t.newMessages, t.newBytes = 0, 0
	t.generation++
	t.s.fsync.cover(t, wrote)
	if t.ahead {
		t.ahead = false
		for _, ch := range t.channels {
			ch.wake()
		}
	}
}

// writeEvents writes what has happened to messages: deliveries, answers, and
// what an operator did. If that fails it is tried again.
func (t *topic) writeEvents() error {
	t.answered = false
	if !t.j.Dirty() {
		return nil
	}
	err := t.j.WriteEvents()
	if err != nil || t.j.Rewriting() {
		t.s.turn.writeLater(t)
	}
	if err != nil || t.onDisk {
		t.s.noteWrite(err)
		t.s.fsync.cover(t, true)
	}
	return err
}

// settle tells the waiters whose generation is over.
func (t *topic) settle() {
	n := 0
	for n < len(t.waiters) && t.waiters[n].generation < t.durable {
		n++
	}
	told := slices.Clone(t.waiters[:n]) // done may publish again
	t.waiters = slices.Delete(t.waiters, 0, n)
	for _, w := range told {
		w.done(nil)
	}
}

// fail tells the waiters of the generations from first up to, but not, end
// that their messages are not kept.
func (t *topic) fail(first, end uint64, err error) {
	kept := t.waiters[:0]
	for _, w := range t.waiters {
		if w.generation < first || w.generation >= end {
			kept = append(kept, w)
			continue
		}
		refusal := t.refusal(w.generation, err)
		t.s.l.AtTurnEnd(func() { w.done(refusal) }) // not before the caller of publish has its answer
	}
	clear(t.waiters[len(kept):])
	t.waiters = kept
}

// refusal is what the publishers of a generation are told because of err. What
// was written before may have been delivered, or be found by the next start, as may
// what could not be taken back.
func (t *topic) refusal(generation uint64, err error) error {
	if generation < t.generation || errors.Is(err, journal.ErrNotTakenBack) {
		return fmt.Errorf("%w: %w", errMayBeKept, err)
	}
	return err
}

// pause stops the flow to the channels, or lets it go on. It is kept when pause
// returns.
func (t *topic) pause(on bool) error {
	t.j.Hold(on)
	t.ahead = true
	t.log.Info("topic paused", "paused", on)
	t.s.metadata.changed()
	return t.keep()
}

// paused says whether messages are held back from the channels.
func (t *topic) paused() bool { return t.j.Held() }

// empty drops what no channel has been given yet.
func (t *topic) empty() {
	t.beforeEmpty()
	t.j.Discard(t.j.End())
	t.afterEmpty()
}

// beforeEmpty has the journal hold all that came before the topic is emptied.
func (t *topic) beforeEmpty() {
	// What was appended in this turn came before.
	if err := t.commit(); err != nil {
		t.log.Warn("empty topic: journal cannot be written yet", "err", err)
	}
}

// afterEmpty keeps that the topic, or a part of it, was emptied.
func (t *topic) afterEmpty() {
	if err := t.keep(); err != nil {
		t.log.Warn("empty topic: kept in memory until the journal can be written", "err", err)
	}
}

// keep writes a change that an operator asked for before he is answered, which
// is before the turn ends.
func (t *topic) keep() error {
	t.touch() // the channels may have something to do now
	err := errors.Join(t.commit(), t.writeEvents())
	if err == nil && t.s.o.Sync == SyncAlways {
		err = t.s.fsync.now(t)
	}
	if err != nil {
		return fmt.Errorf("write journal of topic %s: %w", t.name, err)
	}
	return nil
}

// channel returns the channel of that name; nil when there is none.
func (t *topic) channel(name string) *channel {
	if i, ok := t.search(name); ok {
		return t.channels[i]
	}
	return nil
}

// createChannel returns the channel of that name and makes it first if there
// is none.
func (t *topic) createChannel(name string) (*channel, error) { return t.makeChannel(name, nil) }

// makeChannel is createChannel for somebody who may make only so many.
func (t *topic) makeChannel(name string, from *origin) (*channel, error) {
	if ch := t.channel(name); ch != nil {
		return ch, nil
	}
	if t.deleted || t.s.closed {
		return nil, errGone
	}
	if !wire.ValidName(name) {
		return nil, fmt.Errorf("create channel %q: %w", name, ErrBadName)
	}
	if err := t.s.mayMakeChannel(from); err != nil {
		return nil, err
	}
	// What was published before belongs to those who were there before.
	if err := t.commit(); err != nil {
		t.log.Warn("create channel: journal cannot be written yet", "channel", name, "err", err)
	}
	o := journal.CursorOptions{Ephemeral: wire.Ephemeral(name)}
	if o.Ephemeral {
		o.Limit = max(int64(t.s.o.MemQueueSize), 1)
	}
	ch := newChannel(t, t.j.CreateCursor(name, o))
	ch.maker = from
	from.count(0, 1)
	t.enter(ch)
	t.ahead = true
	t.s.origins.tell(from, t.log, slog.LevelInfo, "channel created", "channel", name)
	t.s.peers.register(t.name, name)
	t.s.metadata.changed()
	// A full disk must not keep consumers away: the journal writes this down
	// when it can.
	if err := t.keep(); err != nil {
		t.log.Warn("create channel: kept in memory until the journal can be written", "channel", name, "err", err)
	}
	return ch, nil
}

// deleteChannel closes the channel's subscribers and drops its messages.
func (t *topic) deleteChannel(ch *channel) {
	i, ok := t.search(ch.name)
	if !ok || t.channels[i] != ch {
		return
	}
	t.channels = slices.Delete(t.channels, i, i+1)
	ch.drop()
	t.j.DeleteCursor(ch.cur)
	ch.forget()
	t.s.origins.tell(ch.maker, t.log, slog.LevelInfo, "channel deleted", "channel", ch.name)
	t.s.metadata.changed()
	t.s.peers.unregister(t.name, ch.name)
	if err := t.keep(); err != nil {
		t.log.Warn("delete channel: journal cannot be written yet", "channel", ch.name, "err", err)
	}
	if t.ephemeral && len(t.channels) == 0 {
		t.s.turn.reap(nil, t)
	}
}

// enter puts a channel in its place.
func (t *topic) enter(ch *channel) {
	i, _ := t.search(ch.name)
	t.channels = insert(t.channels, i, ch)
	t.s.budget.add(channelCost)
}

// insert is slices.Insert of one pointer. That is another function for each type
// of slice, of a kilobyte each; this is one.
func insert[P any](s []P, i int, p P) []P {
	s = append(s, p)
	copy(s[i+1:], s[i:])
	s[i] = p
	return s
}

// search finds the place of the channel called name.
func (t *topic) search(name string) (int, bool) {
	i := sort.Search(len(t.channels), func(i int) bool { return t.channels[i].name >= name })
	return i, i < len(t.channels) && t.channels[i].name == name
}

// stopTimers ends the timers of all channels.
func (t *topic) stopTimers() {
	for _, ch := range t.channels {
		ch.stopTimer()
	}
}
