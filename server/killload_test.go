package server

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nsqloop/nsqloop/internal/wire"
)

// The load that servers are killed under: publishes of every kind to several
// topics, and consumers who finish, requeue with a delay, or do not answer. The
// channel consumed has all of that; nobody reads the channel kept until the end.
const (
	consumed = "c"
	kept     = "audit"
)

var killTopics = []string{"t", "u", "v"}

// ledger is what is known for certain about each message. A body begins with
// its topic and its number.
type ledger struct {
	mu       sync.Mutex
	next     int
	acked    map[string]bool
	finished map[string]bool      // for sure
	answered map[string]bool      // a FIN was sent: it may be finished
	due      map[string]time.Time // not to be delivered before, by DPUB
	later    map[string]time.Time // the same, to the channel consumed, by a REQ that was taken for sure
	deferred int                  // publishes with a delay that were acknowledged
	requeued int                  // requeues that were taken for sure
	again    int                  // deliveries of messages that were in flight at a kill
	wrong    []string
}

func newLedger() *ledger {
	return &ledger{
		acked: map[string]bool{}, finished: map[string]bool{}, answered: map[string]bool{},
		due: map[string]time.Time{}, later: map[string]time.Time{},
	}
}

// fail notes what must not be. It is called with the lock.
func (l *ledger) fail(body, what string) {
	if len(l.wrong) < 20 {
		l.wrong = append(l.wrong, body[:min(len(body), 10)]+" "+what)
	}
}

// body makes the next body. It is called with the lock.
func (l *ledger) body(topic string, dice *rand.Rand) string {
	l.next++
	return fmt.Sprintf("%s%08d %s", topic, l.next, strings.Repeat("x", dice.IntN(300)))
}

// batch makes commands, and for each the bodies that its OK is for.
func (l *ledger) batch(dice *rand.Rand) (in []byte, each [][]string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for range 1 + dice.IntN(40) {
		topic := killTopics[dice.IntN(len(killTopics))]
		switch dice.IntN(8) {
		case 0:
			var bodies []string
			var all [][]byte
			for range 1 + dice.IntN(20) {
				b := l.body(topic, dice)
				bodies, all = append(bodies, b), append(all, []byte(b))
			}
			in, each = wire.AppendMPub(in, topic, all), append(each, bodies)
		case 1:
			b, delay := l.body(topic, dice), time.Duration(dice.IntN(1500))*time.Millisecond
			l.due[b] = time.Now().Add(delay)
			in, each = wire.AppendDPub(in, topic, delay, []byte(b)), append(each, []string{b})
		default:
			b := l.body(topic, dice)
			in, each = wire.AppendPub(in, topic, []byte(b)), append(each, []string{b})
		}
	}
	return in, each
}

// publisher publishes in pipelined batches and notes each OK.
func (l *ledger) publisher(c *raw, dice *rand.Rand) {
	for {
		in, each := l.batch(dice)
		if _, err := c.Write(in); err != nil {
			return
		}
		for _, bodies := range each {
			t, data, err := c.frame()
			if err != nil {
				return
			}
			if t != wire.FrameResponse || string(data) != wire.OK {
				continue
			}
			l.mu.Lock()
			for _, b := range bodies {
				l.acked[b] = true
				if !l.due[b].IsZero() {
					l.deferred++
				}
			}
			l.mu.Unlock()
		}
	}
}

// taken is an answer that was sent: a FIN, or a REQ until a time.
type taken struct {
	body string
	due  time.Time
}

// sure notes that answers were taken, and written down.
func (l *ledger) sure(replies []taken) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, r := range replies {
		if r.due.IsZero() {
			l.finished[r.body] = true
		} else {
			l.later[r.body] = r.due
			l.requeued++
		}
	}
}

// arrived looks at a delivery to a channel.
func (l *ledger) arrived(channel string, m *wire.Message) (body string) {
	body = string(m.Body)
	now := time.Now()
	l.mu.Lock()
	defer l.mu.Unlock()
	if now.Before(l.due[body]) {
		l.fail(body, fmt.Sprintf("was published with a delay and comes %v early", l.due[body].Sub(now)))
	}
	if channel == consumed {
		if l.finished[body] {
			l.fail(body, "was finished and comes again")
		}
		if now.Before(l.later[body]) {
			l.fail(body, fmt.Sprintf("was requeued and comes %v early", l.later[body].Sub(now)))
		}
		if m.Attempts > 1 {
			l.again++
		}
	}
	return body
}

// consumer answers what it gets. A wrong FIN now and then makes sure of those
// before it: its answer leaves at the end of their turn or a later one. What
// has not been made sure of counts as the last turn.
func (l *ledger) consumer(c *raw, dice *rand.Rand) {
	var sent []taken // not sure of yet
	var asked []int  // for each wrong FIN on its way: how many of them it covers
	for {
		kind, data, err := c.frame()
		if err != nil {
			return
		}
		if kind == wire.FrameError && len(asked) > 0 {
			l.sure(sent[:asked[0]])
			n := asked[0]
			sent, asked = sent[n:], asked[1:]
			for i := range asked {
				asked[i] -= n
			}
		}
		if kind != wire.FrameMessage {
			continue
		}
		m, err := wire.ReadMessage(data)
		if err != nil {
			return
		}
		body := l.arrived(consumed, &m)
		var in []byte
		switch roll := dice.IntN(100); {
		case roll == 0:
			continue // stays in flight
		case roll < 10:
			delay := time.Duration(dice.IntN(1500)) * time.Millisecond
			sent = append(sent, taken{body, time.Now().Add(delay)})
			in = wire.AppendReq(in, m.ID, delay)
		default:
			l.mu.Lock()
			l.answered[body] = true
			l.mu.Unlock()
			sent = append(sent, taken{body: body})
			in = wire.AppendFin(in, m.ID)
		}
		if len(asked) == 0 && dice.IntN(10) == 0 {
			in = append(in, "FIN 0000000000000000\n"...)
			asked = append(asked, len(sent))
		}
		if _, err := c.Write(in); err != nil {
			return
		}
	}
}

// drain takes from a channel until it has had all messages of want.
func (l *ledger) drain(t *testing.T, addr, topic, channel string, want map[string]bool) {
	t.Helper()
	c := dialRaw(t, addr, wire.AppendRdy(wire.AppendSub(nil, topic, channel), 2500))
	for n, got := len(want), 0; len(want) > 0; got++ {
		if got%1000 == 0 {
			if err := c.SetReadDeadline(time.Now().Add(time.Minute)); err != nil {
				t.Fatal(err)
			}
		}
		kind, data, err := c.frame()
		if errors.Is(err, os.ErrDeadlineExceeded) {
			t.Fatalf("%s/%s: %d of %d acknowledged messages are lost", topic, channel, len(want), n)
		}
		if err != nil {
			t.Fatal(err)
		}
		if kind != wire.FrameMessage {
			continue
		}
		m, err := wire.ReadMessage(data)
		if err != nil {
			t.Fatal(err)
		}
		delete(want, l.arrived(channel, &m))
		if _, err := c.Write(wire.AppendFin(nil, m.ID)); err != nil {
			t.Fatal(err)
		}
	}
}

// load runs publishers and consumers against addr until the connections end.
func (l *ledger) load(t *testing.T, addr string, dice *rand.Rand) (wait func()) {
	t.Helper()
	for _, topic := range killTopics {
		for _, channel := range []string{consumed, kept} {
			c := dialRaw(t, addr, wire.AppendSub(nil, topic, channel))
			if _, data, err := c.frame(); err != nil || string(data) != wire.OK {
				t.Fatalf("SUB: %q, %v", data, err)
			}
			c.Close()
		}
	}
	var wg sync.WaitGroup
	for range 2 {
		c, d := dialRaw(t, addr, nil), rand.New(rand.NewPCG(dice.Uint64(), 0))
		wg.Go(func() { l.publisher(c, d) })
	}
	for _, topic := range killTopics {
		d := rand.New(rand.NewPCG(dice.Uint64(), 0))
		c := dialRaw(t, addr, wire.AppendRdy(wire.AppendSub(nil, topic, consumed), 500))
		wg.Go(func() { l.consumer(c, d) })
	}
	return wg.Wait
}

// After kill -9, at any moment, every acknowledged message is delivered, none
// before its time, and none whose FIN was taken before the last turn comes
// again.
func TestKill_AcknowledgedIsKeptAndFinishedIsGone(t *testing.T) {
	kills := 5
	if s := os.Getenv(killsEnv); s != "" {
		n, err := strconv.Atoi(s)
		if err != nil {
			t.Fatalf("%s: %v", killsEnv, err)
		}
		kills = n
	}
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	dice := rand.New(rand.NewPCG(seed, 0))
	dir := t.TempDir()
	l := newLedger()
	for range kills {
		addr, kill := startVictim(t, dir)
		wait := l.load(t, addr, dice)
		timer := time.NewTimer(time.Duration(20+dice.IntN(150)) * time.Millisecond)
		<-timer.C
		kill()
		wait()
	}
	if len(l.acked) == 0 || len(l.finished) == 0 || l.deferred == 0 || l.requeued == 0 {
		t.Fatalf("not everything was tried: %d acknowledged, %d of them deferred; %d finished, %d requeued",
			len(l.acked), l.deferred, len(l.finished), l.requeued)
	}

	// Everything that is left is delivered now. Nobody has read the second
	// channel, which has everything.
	addr, kill := startVictim(t, dir)
	defer kill()
	l.again = 0
	for _, topic := range killTopics {
		left, all := map[string]bool{}, map[string]bool{}
		for b := range l.acked {
			if strings.HasPrefix(b, topic) {
				all[b] = true
				if !l.answered[b] {
					left[b] = true
				}
			}
		}
		l.drain(t, addr, topic, consumed, left)
		l.drain(t, addr, topic, kept, all)
	}
	t.Logf("%d kills: %d acknowledged, %d of them deferred; %d finished and %d requeued for sure; %d came once more at the end",
		kills, len(l.acked), l.deferred, len(l.finished), l.requeued, l.again)
	for _, w := range l.wrong {
		t.Error(w)
	}
}
