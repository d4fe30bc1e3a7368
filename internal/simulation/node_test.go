package simulation

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"strings"
	"syscall"
	"time"

	"github.com/nsqloop/nsqloop/loop"
	"github.com/nsqloop/nsqloop/loop/looptest"
	"github.com/nsqloop/nsqloop/server"
	"github.com/nsqloop/nsqloop/server/journal/journaltest"
)

// directLoop lets the driver of the world call what waits for a loop: while
// direct is set, what is posted runs now, each in a turn, after what was posted
// before.
type directLoop struct {
	*looptest.Loop
	direct bool
	posted []func()
	runs   bool      // one of them, directly
	hangUp func()    // of the request that is being served
	slow   time.Time // until then what is given to Go takes longer
	by     time.Duration
}

// Go is loop.Loop's: on a slow disk, a fsync takes its time.
func (l *directLoop) Go(work func() (then func())) {
	if l.slow.Before(l.Now()) {
		l.Loop.Go(work)
		return
	}
	l.After(l.by, func() { l.Loop.Go(work) })
}

func (l *directLoop) Post(f func()) error {
	if l.direct && !l.runs && l.Halted() {
		return loop.ErrClosed
	}
	l.posted = append(l.posted, f)
	if !l.direct {
		err := l.Loop.Post(l.next)
		if err != nil {
			l.posted = l.posted[:len(l.posted)-1]
		}
		return err
	}
	if l.runs {
		return nil
	}
	l.runs = true
	for len(l.posted) > 0 {
		if l.Halted() {
			l.next() // as a callback goes on in which the process ends: somebody waits for it
		} else {
			l.Do(l.next)
		}
	}
	l.runs = false
	return nil
}

// next runs what was posted first, unless that has been done directly.
func (l *directLoop) next() {
	if len(l.posted) > 0 {
		f := l.posted[0]
		l.posted = l.posted[1:]
		f()
	}
}

// outside runs f, which may wait for the loop, between the world's steps.
func (l *directLoop) outside(f func()) {
	l.direct = true
	defer func() { l.direct = false }()
	f()
}

// call sends a request to a handler that may wait for the loop.
func (l *directLoop) call(h http.Handler, req *http.Request) *httptest.ResponseRecorder {
	rec := httptest.NewRecorder()
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	req, l.hangUp = req.WithContext(ctx), cancel
	req.Host = "127.0.0.1:4151"
	l.outside(func() { h.ServeHTTP(rec, req) })
	return rec
}

// node is a machine with an nsqd: its disk outlives the process.
type node struct {
	s      *system
	index  int
	name   string // of its loop, and its host
	disk   *journaltest.Disk
	loop   *directLoop // nil while it is down
	server *server.Server
	api    http.Handler
	rand   *rand.Rand
	away   time.Duration // how long it stays down next time
	flaw   flaw
	countdown
}

// flaw is what is wrong with a disk, besides what the disk itself is told. It
// outlives the process.
type flaw struct {
	reads   int    // the one of so many from here fails
	op, in  string // fails, with names that have in in them; "": none
	lasting int    // steps that will end that
}

// meets says whether an operation meets the flaw.
func (f *flaw) meets(op, name string) bool {
	if op == "read" && f.reads > 0 {
		f.reads--
		return f.reads == 0
	}
	return f.op != "" && op == f.op && strings.Contains(name, f.in)
}

// countdown ends the process in the middle of an operation of its disk.
type countdown struct {
	left  int  // operations; 0: none is counted
	power bool // with a power cut
	over  bool // it has come to that, and nothing reaches the disk any more
	died  time.Time
}

func newNode(s *system, i int) *node {
	r := rand.New(rand.NewPCG(s.plan.seed, 0x6469736b+uint64(i)))
	n := &node{s: s, index: i, name: fmt.Sprint("nsqd", i), rand: r}
	n.disk = journaltest.New(r)
	return n
}

func (n *node) addr() string { return n.name + ":4150" }

// start starts the nsqd on the disk as it is.
func (n *node) start() error {
	p := n.s.plan
	n.countdown = countdown{}
	n.disk.Fail(n.operation)
	n.loop = &directLoop{Loop: n.s.world.Loop(n.name)}
	o := server.Options{
		TCPAddress: ":4150", BroadcastAddress: n.name, BroadcastHTTPPort: 4151, Sync: p.sync, MsgTimeout: p.msgTimeout,
		MaxBytesPerFile: p.segment, MemQueueSize: p.memQueue, RequeueOnDisconnect: p.requeueLost,
		LookupdTCPAddresses: n.s.lookupdAddrs(), RetainBytes: p.retain,
	}
	var err error
	if n.server, err = server.NewOnDisk(n.loop, o, n.disk); err != nil {
		n.loop.Close()
		n.server, n.loop = nil, nil
		return fmt.Errorf("start %s: %w", n.name, err)
	}
	n.api = n.server.Handler()
	n.s.say("%s is up", n.name)
	return nil
}

// operation is told of each operation of the disk before it is done.
func (n *node) operation(op, name string) error {
	if n.over {
		return journaltest.ErrCrashed
	}
	if err := n.count(op, name); err != nil {
		return err
	}
	if n.flaw.meets(op, name) {
		return syscall.EIO
	}
	return nil
}

// count ends the process when the countdown is over.
func (n *node) count(op, name string) error {
	if n.left == 0 || op == "read" || op == "size" || op == "list" {
		return nil
	}
	if n.left--; n.left > 0 {
		return nil
	}
	n.over, n.died = true, n.s.world.Now()
	n.s.say("%s dies before %s of %s", n.name, op, name)
	n.loop.Halt()
	if n.loop.hangUp != nil {
		n.loop.hangUp() // the answer will not come
	}
	n.s.todo = append(n.s.todo, func() error { return n.down(n.power) })
	return journaltest.Torn(journaltest.ErrCrashed)
}

// down ends the process, and with a power cut what was only in memory.
func (n *node) down(power bool) error {
	if n.loop == nil {
		return nil
	}
	n.s.world.Crash(n.loop.Loop)
	n.loop, n.server = nil, nil
	n.hangUp()
	how := kill
	if power {
		how = powerCut
		n.s.tally.faults[powerCut]++
		n.disk.PowerCut(n.rand)
		n.s.say("%s has lost power", n.name)
	} else {
		n.s.tally.faults[kill]++
		n.disk.Kill()
		n.s.say("%s was killed", n.name)
	}
	at := n.s.world.Now()
	if n.over {
		at = n.died // the driver may have been busy since
	}
	n.s.model.down(n, at, how)
	n.s.soon(n.away, n.restart)
	return nil
}

// stop ends the process in order.
func (n *node) stop() error {
	if n.loop == nil {
		return nil
	}
	began := n.s.world.Now()
	err := n.loop.Shutdown(time.Minute)
	switch {
	case n.over: // it died on the way, and the driver knows what to do
		return nil
	case err != nil:
		return fmt.Errorf("stop %s: %w", n.name, err)
	}
	n.loop, n.server = nil, nil
	n.hangUp()
	n.s.tally.faults[stop]++
	n.s.say("%s was stopped", n.name)
	n.s.model.down(n, began, stop)
	n.s.soon(n.away, n.restart)
	return nil
}

// rot changes bytes of the disk while nobody looks, in a file that draw decides.
func (n *node) rot(draw uint64, hits int) {
	r := rand.New(rand.NewPCG(draw, 1))
	files := n.disk.Files()
	for range hits {
		if len(files) == 0 {
			return
		}
		path := files[r.IntN(len(files))]
		size := int64(len(n.disk.Content(path)))
		if size == 0 {
			continue
		}
		off := r.Int64N(size)
		switch r.IntN(4) {
		case 0, 1:
			n.disk.FlipBit(path, off)
		case 2:
			n.disk.ZeroPage(path, off)
		case 3:
			n.disk.Cut(path, off)
		}
		n.s.tally.faults[rot]++
		n.s.say("%s: %s rots at %d of %d", n.name, path, off, size)
		n.s.model.rotted(n, path)
	}
}

// fails prepares the disk's next failure.
func (n *node) fails(st step) {
	switch st.kind {
	case diskFull:
		n.disk.SetCapacity(max(1, n.disk.Bytes()+int64(st.n*10)))
		n.s.after(st.last, func() { n.disk.SetCapacity(0) })
	case everyFails:
		n.disk.FailEvery(1 + st.n/4)
		n.s.after(st.last, func() { n.disk.FailEvery(0) })
	case writeFails:
		err := error(syscall.EIO)
		if st.draw%2 == 0 {
			err = journaltest.Torn(syscall.EIO)
		}
		n.disk.FailNext("write", err)
	case syncFails:
		n.disk.FailNext("sync", syscall.EIO)
	case readFails:
		n.flaw.reads = st.n
	case fileFails:
		kinds := [...][2]string{{"write", "/cursors."}, {"create", "/cursors."}, {"rename", "/cursors."}, {"write", ".log"}, {"create", ".log"}, {"write", "/roster."}}
		k := kinds[st.draw%uint64(len(kinds))]
		n.failWith(k[0], k[1], st.last)
	case cutFails:
		n.failWith("truncate", ".log", st.last)
	case cursorSyncFails:
		in := "/cursors."
		if st.draw%4 == 0 {
			in = "/roster."
		}
		n.failWith("sync", in, st.last)
	case otherFails:
		n.disk.FailNext([]string{"create", "rename", "remove", "truncate", "syncdir"}[st.n%5], syscall.EIO)
	case slowDisk:
		if n.loop != nil {
			n.loop.slow, n.loop.by = n.loop.Now().Add(st.last), time.Duration(st.n)*20*time.Millisecond
			n.s.model.syncIsSlow(n, n.loop.by, st.last)
		}
		return
	}
	n.s.model.syncMayFail(n, st)
}

// failWith has operations fail for a while, with names that have in in them.
func (n *node) failWith(op, in string, during time.Duration) {
	n.flaw.op, n.flaw.in = op, in
	n.flaw.lasting++
	n.s.after(during, func() {
		if n.flaw.lasting--; n.flaw.lasting == 0 {
			n.flaw.op = ""
		}
	})
}

// http sends a request to the nsqd; it must be up.
func (n *node) http(method, target string, body string) *httptest.ResponseRecorder {
	return n.loop.call(n.api, httptest.NewRequest(method, target, strings.NewReader(body)))
}

// stats is what the nsqd says of itself; it must be up.
func (n *node) stats() (st server.Stats, err error) {
	n.loop.outside(func() { st, err = n.server.Stats(server.StatsOptions{ExcludeMemory: true}) })
	return st, err
}

// lookupd is a machine with an nsqlookupd.
type lookupd struct {
	s    *system
	name string
	loop *directLoop // nil while it is down
	d    *server.Lookupd
	api  http.Handler
}

func (l *lookupd) start() (err error) {
	l.loop = &directLoop{Loop: l.s.world.Loop(l.name)}
	l.d, err = server.NewLookupd(l.loop, server.LookupdOptions{TCPAddress: ":4160", BroadcastAddress: l.name})
	if err != nil {
		return fmt.Errorf("start %s: %w", l.name, err)
	}
	l.api = l.d.Handler()
	return nil
}

func (l *lookupd) kill() {
	if l.loop != nil {
		l.s.world.Crash(l.loop.Loop)
		l.loop, l.d = nil, nil
		l.s.tally.faults[lookupdKill]++
		l.s.say("%s was killed", l.name)
	}
}

var errDown = errors.New("connection refused")

// RoundTrip is http.RoundTripper's, for the Readers: the requests to
// nsqlookupds. It runs between the world's steps.
func (s *system) RoundTrip(req *http.Request) (*http.Response, error) {
	if s.deadened > 0 && !s.calm {
		return nil, errDown
	}
	for _, l := range s.lookups {
		if l.name == req.URL.Hostname() && l.loop != nil {
			return l.loop.call(l.api, httptest.NewRequest(req.Method, req.URL.RequestURI(), nil)).Result(), nil
		}
	}
	return nil, errDown
}
