package simulation

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/nsqloop/nsqloop/loop/looptest"
	"github.com/nsqloop/nsqloop/server"
	"github.com/nsqloop/nsqloop/writer"
)

// plan is what a seed decides before anything runs. What happens is a list of
// steps, so that a failing plan can be tried again with fewer of them.
type plan struct {
	seed   uint64
	chaos  time.Duration // how long things happen; then the faults stop
	checks time.Duration // between two looks at what the nsqds say; 0: checkEvery

	nsqds    int
	lookupds int
	topics   []string
	channels []string // of every topic
	apps     []appPlan

	sync        server.Sync
	msgTimeout  time.Duration
	segment     int64 // bytes per file
	memQueue    int
	requeueLost bool // Options.RequeueOnDisconnect
	retain      int64
	faults      looptest.Faults
	minLatency  time.Duration
	maxLatency  time.Duration

	steps []step // in order of time

	// What happens at all, so that a plan without it is held to more.
	broken  bool // connections break, or fall silent
	crashes bool // programs end, in order or not
	disks   bool // disks fail, fill up or rot
	admin   bool // an operator pauses, empties and deletes
	skewed  bool // clocks are set
	lonely  bool // there is one channel, so that it is the first to be made again
}

// extra is the channel that nobody makes: a Reader's SUB does, and it goes with its
// last subscriber.
const extra = "extra#ephemeral"

// clean says that nothing is done to the system but that it is used.
func (p *plan) clean() bool { return !p.broken && !p.crashes && !p.admin && !p.disks }

// mostInFlight is how many messages a subscriber of a channel may ever have in
// flight on a connection.
func (p *plan) mostInFlight(topic, channel string) (most int) {
	for _, a := range p.apps {
		for _, r := range a.readers {
			if r.topic == topic && r.channel == channel {
				most = max(most, r.maxInFlight)
			}
		}
	}
	if p.admin {
		most = max(most, mostSet)
	}
	return most
}

// mostSet is the highest max in flight that an operator sets.
const mostSet = 12

// appPlan is a program with Writers and Readers on one loop.
type appPlan struct {
	writers []writerPlan
	readers []readerPlan
}

// writerPlan is one Writer.
type writerPlan struct {
	nsqds    []int // in its order
	failFast bool
	window   int
	timeout  time.Duration
	retry    writer.Retry
	policy   writer.Policy
	batch    int
}

// readerPlan is one Reader.
type readerPlan struct {
	topic, channel string
	lookup         bool // asks the nsqlookupds, else it knows all nsqds
	maxInFlight    int
	fails          float64 // part of the deliveries that the handler fails
	later          float64 // part that it answers later
	forgets        float64 // part that it never answers
	twice          float64 // part that it answers twice
	touches        float64 // part that it touches first
}

// step is something that happens, and to whom.
type step struct {
	at   time.Duration
	kind stepKind

	app, who int // the program, and its Writer or Reader
	nsqd     int // or the nsqlookupd
	topic    string
	channel  string

	messages int           // of a publish
	size     int           // bytes of each body
	delay    time.Duration // of a deferred publish
	last     time.Duration // how long it lasts
	n        int           // operations, bytes or places, by kind
	draw     uint64        // what is left to chance
}

func (s step) String() string {
	text := fmt.Sprintf("%9.4f  %v", s.at.Seconds(), s.kind)
	switch s.kind {
	case publish:
		text += fmt.Sprintf(" app%d.w%d to %s: %d of %d bytes, delay %v", s.app, s.who, s.topic, s.messages, s.size, s.delay)
	case httpPublish:
		text += fmt.Sprintf(" nsqd%d %s: %d of %d bytes, delay %v", s.nsqd, s.topic, s.messages, s.size, s.delay)
	case cut, part, deaf, resetAfter, slow:
		text += fmt.Sprintf(" app%d nsqd%d, %v, %d", s.app, s.nsqd, s.last, s.n)
	case appKill, appStop, setMaxInFlight, pauseReader:
		text += fmt.Sprintf(" app%d.%d, %v, %d", s.app, s.who, s.last, s.n)
	default:
		text += fmt.Sprintf(" %d %s/%s, %v, %d, %#x", s.nsqd, s.topic, s.channel, s.last, s.n, s.draw)
	}
	return text
}

type stepKind int

const (
	publish stepKind = iota
	httpPublish

	// Faults of the network.
	cut        // all connections between a program and an nsqd are reset
	part       // they do not hear each other for a while
	deaf       // the program does not read for a while
	resetAfter // one connection is reset after n bytes more
	silent     // all connections of an nsqd fall silent, without an end

	// Faults of processes. All nsqds come back after a while, on what the disk
	// has kept.
	kill        // now
	killAt      // in the middle of the nth operation of the disk from here
	powerCut    // with what was not synced kept, torn or lost
	powerCutAt  // the same in the middle of an operation
	stop        // in order
	lookupdKill // and back after a while
	appKill
	appStop
	skew // somebody sets the clock

	// Faults of disks.
	diskFull // for a while
	writeFails
	syncFails
	everyFails // every nth operation, for a while
	rot        // bytes change, at the next kill

	// What an operator does.
	pauseTopic // for a while
	pauseChannel
	emptyTopic
	emptyChannel
	deleteTopic // made again after a while
	deleteChannel
	setMaxInFlight
	pauseReader // for a while

	// What makeMore adds.
	slow      // the program reads only now and then, for a while
	away      // an nsqd and the nsqlookupds do not hear each other for a while
	deaden    // nobody gets an answer of the nsqlookupds' HTTP for a while
	tombstone // an nsqd is hidden from those who look for a topic
	rewind    // a channel is to deliver again what is on disk
	slowDisk  // fsyncs take long, for a while
	readFails // the nth one from here
	otherFails

	// What makeFiles adds.
	fileFails // files of one kind, for a while; the others are well

	// What makeDrops adds.
	cursorSyncFails // fsyncs of cursor files or of the roster, for a while; they drop what was not synced

	// What makeUncut adds.
	cutFails // nothing is cut off the files of messages, for a while

	stepKinds
)

func (k stepKind) String() string {
	return [...]string{"publish", "http publish", "cut", "part", "deaf", "reset after", "silent", "kill", "kill at", "power cut",
		"power cut at", "stop", "nsqlookupd kill", "app kill", "app stop", "skew", "disk full", "write fails", "sync fails",
		"every nth fails", "rot", "pause topic", "pause channel", "empty topic", "empty channel", "delete topic",
		"delete channel", "set max in flight", "pause reader", "slow", "away", "deaden", "tombstone", "rewind", "slow disk",
		"read fails", "other fails", "file fails", "cursor sync fails", "cut fails"}[k]
}

// chance draws what a plan needs.
type chance struct{ *rand.Rand }

func (c chance) between(a, b int) int { return a + c.IntN(b-a+1) }

func (c chance) seconds(a, b float64) time.Duration {
	return time.Duration((a + (b-a)*c.Float64()) * float64(time.Second))
}

func (c chance) one(in float64) bool { return c.Float64() < in }

// pick returns one of all.
func pick[T any](c chance, all ...T) T { return all[c.IntN(len(all))] }

// makePlan draws a plan.
func makePlan(seed uint64) *plan {
	p := makeBase(seed)
	if *baseFlag {
		return p
	}
	p.makeMore(chance{rand.New(rand.NewPCG(seed, 0x6d6f7265))})
	p.makeOnce(chance{rand.New(rand.NewPCG(seed, 0x6f6e6365))})
	p.makeFiles(filesChance(seed))
	p.makeDrops(chance{rand.New(rand.NewPCG(seed, 0x64726f70))})
	p.makeAsking(chance{rand.New(rand.NewPCG(seed, 0x61736b))})
	p.makeUncut(chance{rand.New(rand.NewPCG(seed, 0x756e637574))})
	return p
}

// filesChance is what makeFiles draws from.
func filesChance(seed uint64) chance { return chance{rand.New(rand.NewPCG(seed, 0x66696c65))} }

// makeBase draws what was there first, from a source of its own, so that a seed that
// once found something still does. Most plans are small: they find most of what
// there is to find, and there can be many more of them.
func makeBase(seed uint64) *plan {
	c := chance{rand.New(rand.NewPCG(seed, 0x73696d))}
	size := pick(c, 0, 0, 0, 0, 0, 0, 1, 1, 1, 2)
	p := &plan{
		seed:        seed,
		chaos:       c.seconds(2, []float64{6, 20, 60}[size]),
		nsqds:       c.between(1, 1+size),
		lookupds:    pick(c, 0, 0, 1, 2),
		topics:      []string{"orders", "Clicks."}[:c.between(1, min(2, 1+size))],
		channels:    []string{"alpha", "beta"}[:c.between(1, 2)],
		sync:        pick(c, server.SyncInterval, server.SyncAlways, server.SyncAlways, server.SyncNever),
		msgTimeout:  c.seconds(1, 12),
		segment:     int64(pick(c, 1<<10, 4<<10, 16<<10)),
		memQueue:    pick(c, 0, 3, 10_000),
		requeueLost: c.one(0.3),
		minLatency:  time.Duration(c.between(20, 200)) * time.Microsecond,
		maxLatency:  time.Duration(c.between(200, 20_000)) * time.Microsecond,
		broken:      c.one(0.45),
		crashes:     c.one(0.55),
		disks:       c.one(0.3),
		admin:       c.one(0.35),
	}
	if p.broken {
		p.faults = looptest.Faults{Refuse: c.Float64() / 3, Timeout: c.Float64() / 8, Reset: c.Float64() / 2, Vanish: c.Float64() / 8}
	}
	p.skewed = p.crashes && c.one(0.1)
	p.lonely = len(p.channels) == 1
	p.makeApps(c, size)
	p.makeSteps(c, size)
	slices.SortStableFunc(p.steps, func(a, b step) int { return cmp.Compare(a.at, b.at) })
	return p
}

// makeApps draws the programs. Every channel of every topic has a Reader.
func (p *plan) makeApps(c chance, size int) {
	p.apps = make([]appPlan, c.between(1, 1+size))
	for i := range p.apps {
		for range c.between(1, 2) {
			w := writerPlan{nsqds: c.Perm(p.nsqds)[:c.between(1, p.nsqds)], failFast: c.one(0.2), timeout: 5 * time.Second}
			if c.one(0.3) {
				w.window, w.timeout = c.between(1, 4), c.seconds(0.5, 5)
			}
			p.apps[i].writers = append(p.apps[i].writers, w)
		}
	}
	for _, topic := range p.topics {
		for _, channel := range p.channels {
			for range c.between(1, 2) {
				a := &p.apps[c.IntN(len(p.apps))]
				a.readers = append(a.readers, readerPlan{
					topic: topic, channel: channel,
					lookup:      p.lookupds > 0 && c.one(0.7),
					maxInFlight: pick(c, 1, 2, 3, 9, 50),
					fails:       pick(c, 0, 0.1, 0.5),
					later:       pick(c, 0, 0.3, 0.8),
					forgets:     pick(c, 0, 0, 0.05),
					twice:       pick(c, 0, 0.1),
					touches:     pick(c, 0, 0.1),
				})
			}
		}
	}
}

// makeSteps draws what happens.
func (p *plan) makeSteps(c chance, size int) {
	for range c.between([]int{4, 15, 60}[size], []int{25, 80, 300}[size]) {
		p.steps = append(p.steps, p.publish(c))
	}
	kinds := p.kinds()
	if len(kinds) == 0 {
		return
	}
	for range c.between(1, []int{4, 8, 20}[size]) {
		p.steps = append(p.steps, p.fault(c, kinds))
	}
}

// publish draws a publish.
func (p *plan) publish(c chance) step {
	s := p.step(c, publish)
	s.app = c.IntN(len(p.apps))
	s.who = c.IntN(len(p.apps[s.app].writers))
	s.messages, s.size = 1, pick(c, 16, 16, 40, 200, 1500)
	switch c.IntN(8) {
	case 0:
		s.messages = c.between(1, 7)
	case 1, 2:
		s.delay = time.Duration(c.between(1, 10_000)) * time.Millisecond
	case 3:
		// See makeAsking for where a fsync is needed for the answer.
		if p.sync != server.SyncAlways {
			s.kind = httpPublish
		}
	}
	return s
}

// kinds is what else may happen.
func (p *plan) kinds() (kinds []stepKind) {
	if p.broken {
		kinds = append(kinds, cut, part, part, deaf, resetAfter, resetAfter, silent)
	}
	if p.crashes {
		kinds = append(kinds, kill, kill, killAt, killAt, powerCut, powerCutAt, stop, lookupdKill, appKill, appStop)
	}
	if p.disks {
		kinds = append(kinds, diskFull, diskFull, writeFails, syncFails, everyFails)
		if p.crashes {
			kinds = append(kinds, rot)
		}
	}
	if p.admin {
		kinds = append(kinds, pauseTopic, pauseChannel, emptyTopic, emptyChannel, deleteTopic, deleteChannel, setMaxInFlight, pauseReader)
	}
	if p.skewed {
		kinds = append(kinds, skew)
	}
	return kinds
}

// fault draws one of the kinds.
func (p *plan) fault(c chance, kinds []stepKind) step {
	s := p.step(c, pick(c, kinds...))
	s.app = c.IntN(len(p.apps))
	if n := len(p.apps[s.app].readers); n > 0 {
		s.who = c.IntN(n)
	}
	s.n = c.between(1, 40)
	if s.kind == skew && c.one(0.5) {
		s.last = -s.last
	}
	return s
}

// step draws what all steps have.
func (p *plan) step(c chance, kind stepKind) step {
	return step{
		at: time.Duration(c.Float64() * float64(p.chaos)), kind: kind,
		nsqd: c.IntN(p.nsqds), topic: pick(c, p.topics...), channel: pick(c, p.channels...),
		last: c.seconds(0.05, 6), draw: c.Uint64(),
	}
}

// makeOnce has half of the Writers that have the default try again what nsqd knows
// again. The model holds them to what it holds the default to: no message of
// theirs is on an nsqd twice, as every delivery of it there has the same id.
func (p *plan) makeOnce(c chance) {
	for i := range p.apps {
		for j := range p.apps[i].writers {
			if w := &p.apps[i].writers[j]; w.retry == "" && c.one(0.5) {
				w.retry = writer.RetryOnce
			}
		}
	}
}

// makeMore adds to some plans what came later.
func (p *plan) makeMore(c chance) {
	if !c.one(0.5) {
		return
	}
	for i := range p.apps {
		for j := range p.apps[i].writers {
			w := &p.apps[i].writers[j]
			w.retry = pick(c, "", "", writer.RetryUnknown, writer.RetryNone)
			w.policy = pick(c, "", writer.Sticky, writer.Nearest)
			w.batch = pick(c, 0, 0, 2, 5)
		}
	}
	var kinds []stepKind
	if p.broken {
		kinds = append(kinds, slow, slow)
		if p.lookupds > 0 {
			kinds = append(kinds, away, deaden)
		}
	}
	if p.disks {
		kinds = append(kinds, slowDisk, readFails, otherFails, otherFails)
	}
	if p.admin {
		p.retain = int64(pick(c, 0, 8<<10, 256<<10))
		kinds = append(kinds, rewind, rewind)
		if p.lookupds > 0 {
			kinds = append(kinds, tombstone)
		}
	}
	if c.one(0.3) {
		p.lonely = false
		a := &p.apps[c.IntN(len(p.apps))]
		a.readers = append(a.readers, readerPlan{topic: pick(c, p.topics...), channel: extra, lookup: p.lookupds > 0 && c.one(0.5),
			maxInFlight: c.between(1, 9), fails: pick(c, 0, 0.3), later: 0.3})
	}
	if len(kinds) == 0 {
		return
	}
	for range c.between(1, 6) {
		s := p.step(c, pick(c, kinds...))
		s.app = c.IntN(len(p.apps))
		s.n = c.between(1, 40)
		p.steps = append(p.steps, s)
	}
	slices.SortStableFunc(p.steps, func(a, b step) int { return cmp.Compare(a.at, b.at) })
}

// makeFiles has files of one kind fail on some of the disks that fail, and often a
// channel made again meanwhile, and a kill in the midst of it. What is acknowledged
// then must not need what could not be written.
func (p *plan) makeFiles(c chance) {
	if !p.disks || c.one(0.5) {
		return
	}
	for range c.between(1, 2) {
		s := p.step(c, fileFails)
		p.steps = append(p.steps, s)
		part := func(kind stepKind, from, to float64) {
			x := p.step(c, kind)
			x.nsqd, x.at = s.nsqd, s.at+time.Duration((from+(to-from)*c.Float64())*float64(s.last))
			x.last = s.last / 10
			p.steps = append(p.steps, x)
		}
		if p.admin && c.one(0.5) {
			part(deleteChannel, -0.1, 0.3)
		}
		if p.crashes && c.one(0.7) {
			part(pick(c, kill, kill, rot, powerCut), -0.2, 0.3)
			part(kill, 0.3, 1)
		}
	}
	slices.SortStableFunc(p.steps, func(a, b step) int { return cmp.Compare(a.at, b.at) })
}

// makeDrops has the fsyncs of what is known of channels fail for a moment in some
// plans, while one is made again, and the power go soon after. What the disk has dropped must
// be written again before anything is acknowledged that needs it.
func (p *plan) makeDrops(c chance) {
	if !p.disks || !p.crashes || !p.admin || c.one(0.4) {
		return
	}
	s := p.step(c, cursorSyncFails)
	s.last = c.seconds(0.02, 1)
	again, end := s, s
	again.kind, again.at, again.last = deleteChannel, s.at+c.seconds(-0.3, 0.3), c.seconds(0, 0.3)
	end.kind, end.at = powerCut, s.at+s.last+c.seconds(0, 1)
	p.steps = append(p.steps, s, again, end)
	if c.one(0.5) { // and the next process is told nothing of it
		x := p.step(c, kill)
		x.nsqd, x.last = s.nsqd, s.last/10
		x.at = s.at + time.Duration(c.Float64()*float64(s.last))
		p.steps = append(p.steps, x)
	}
	slices.SortStableFunc(p.steps, func(a, b step) int { return cmp.Compare(a.at, b.at) })
}

// makeAsking has some of what is published with a fsync for each come over HTTP.
func (p *plan) makeAsking(c chance) {
	if p.sync != server.SyncAlways || c.one(0.5) {
		return
	}
	for i := range p.steps {
		if p.steps[i].kind == publish && c.one(0.2) {
			p.steps[i].kind = httpPublish
		}
	}
}

// makeUncut has some disks fill up on which nothing can be taken back either, and the
// process killed meanwhile: the next one finds what was stored of what failed.
func (p *plan) makeUncut(c chance) {
	if !p.disks || !p.crashes || c.one(0.7) {
		return
	}
	s := p.step(c, diskFull)
	s.n, s.last = c.between(1, 40), c.seconds(0.2, 2)
	cut, end := s, s
	cut.kind = cutFails
	end.kind, end.last = kill, s.last/10
	end.at += time.Duration((0.3 + 0.6*c.Float64()) * float64(s.last))
	p.steps = append(p.steps, s, cut, end)
	slices.SortStableFunc(p.steps, func(a, b step) int { return cmp.Compare(a.at, b.at) })
}
