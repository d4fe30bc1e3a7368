package server

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nsqloop/nsqloop/internal/wire"
	"github.com/nsqloop/nsqloop/server/journal/journaltest"
)

// somePublisher is the id of the publisher of these tests.
const somePublisher = "00000000000000aa"

// join has a client say which publisher it is, and returns the token.
func (p *peer) join(id string) string {
	p.w.t.Helper()
	p.identify(`{"feature_negotiation":true,"lite_publisher":"` + id + `"}`)
	got := p.frames()
	var reply wire.IdentifyReply
	if len(got) != 1 || json.Unmarshal([]byte(got[0]), &reply) != nil {
		p.w.t.Fatalf("IDENTIFY is answered with %q", got)
	}
	return reply.LitePublisher
}

// as connects as a publisher that must be remembered.
func (w *world) as(id string) *peer {
	w.t.Helper()
	p := w.dial()
	if p.join(id) == "" {
		w.t.Fatal("the publisher is not remembered")
	}
	return p
}

// numbered are publishes as they leave a publisher: "topic number body" for a
// PUB, "topic number body body ..." for an MPUB, "topic number +body" for a DPUB.
func numbered(publishes ...string) (out []byte) {
	for _, text := range publishes {
		words := strings.Fields(text)
		var n uint64
		if _, err := fmt.Sscan(words[1], &n); err != nil {
			panic(err)
		}
		var bodies [][]byte
		for _, word := range words[2:] {
			bodies = append(bodies, []byte(word))
		}
		switch {
		case len(bodies) > 1:
			out = wire.AppendNumberedMPub(out, words[0], n, bodies)
		case bodies[0][0] == '+':
			out = wire.AppendNumberedDPub(out, words[0], time.Hour, n, bodies[0])
		default:
			out = wire.AppendNumberedPub(out, words[0], n, bodies[0])
		}
	}
	return out
}

// stored says how many messages the topics have: "t2 u1".
func (w *world) stored() string {
	var all []string
	for _, t := range w.s.topics {
		all = append(all, fmt.Sprint(t.name, t.messages))
	}
	return strings.Join(all, " ")
}

// Transcripts of a publisher over several connections: what each sends, what it is
// answered, and what is stored then.
func TestPublisher_Transcripts(t *testing.T) {
	for _, row := range []struct {
		name  string
		conns [][]string // publishes of each connection, in one piece
		want  []string   // answers to each
		store string
		again uint64 // messages that were there already
	}{
		{"once", [][]string{{"t 1 a", "t 2 b"}}, []string{"OK OK"}, "t2", 0},
		{"known", [][]string{{"t 1 a", "t 2 b"}, {"t 1 a", "t 2 b", "t 3 c"}}, []string{"OK OK", "OK OK OK"}, "t3", 2},
		{"known, and a gap", [][]string{{"t 1 a", "t 4 b"}, {"t 4 b", "t 9 c"}}, []string{"OK OK", "OK OK"}, "t3", 1},
		{"twice on a connection", [][]string{{"t 1 a", "t 1 a"}}, []string{"OK OK"}, "t1", 1},
		{"below what is there", [][]string{{"t 5 a"}, {"t 3 late"}}, []string{"OK", "OK"}, "t1", 1},
		{"topics count by themselves", [][]string{{"t 5 a", "u 3 b"}, {"u 4 c", "t 5 a"}}, []string{"OK OK", "OK OK"}, "t1 u2", 1},
		{"deferred", [][]string{{"t 1 +a"}, {"t 1 +a", "t 2 +b"}}, []string{"OK", "OK OK"}, "t2", 1},
		{"many, known", [][]string{{"t 1 a b c"}, {"t 1 a b c", "t 4 d"}}, []string{"OK", "OK OK"}, "t4", 3},
		{"many, partly known", [][]string{{"t 1 a", "t 2 b"}, {"t 2 b c d", "t 5 e"}}, []string{"OK OK", "OK OK"}, "t5", 1},
		{"many as one by one", [][]string{{"t 1 a b c"}, {"t 1 a", "t 2 b", "t 3 c", "t 4 d"}}, []string{"OK", "OK OK OK OK"}, "t4", 3},
		{"one by one as many", [][]string{{"t 1 a", "t 2 b"}, {"t 1 a b"}}, []string{"OK OK", "OK"}, "t2", 2},
	} {
		t.Run(row.name, func(t *testing.T) {
			w := newWorld(t, Options{})
			for i, publishes := range row.conns {
				p := w.as(somePublisher)
				p.send(numbered(publishes...))
				p.want(strings.Fields(row.want[i])...)
				p.hangUp()
			}
			if got := w.stored(); got != row.store {
				t.Errorf("stored %q, want %q", got, row.store)
			}
			if got := w.measured().repeats; got != row.again {
				t.Errorf("%d messages counted as repeated, want %d", got, row.again)
			}
		})
	}
}

// Of an MPUB of which a part is there, it is the rest that is stored.
func TestPublisher_TheRestOfAnMPub(t *testing.T) {
	w := newWorld(t, Options{})
	p := w.as(somePublisher)
	p.send(numbered("t 1 a", "t 2 b", "t 2 b c d"))
	p.want("OK", "OK", "OK")
	var got []string
	for _, m := range w.subscribe("t", "c", 9).messages(4) {
		got = append(got, string(m.Body))
	}
	if want := []string{"a", "b", "c", "d"}; !slices.Equal(got, want) {
		t.Errorf("stored %q, want %q", got, want)
	}
}

// A number that is missing or bad ends the connection; nobody else has any.
func TestPublisher_Numbers(t *testing.T) {
	for _, row := range []struct{ line, want string }{
		{"PUB t", "E_INVALID PUB insufficient number of parameters"},
		{"MPUB t", "E_INVALID MPUB insufficient number of parameters"},
		{"DPUB t 5", "E_INVALID DPUB insufficient number of parameters"},
		{"PUB t x", "E_INVALID PUB could not parse number x"},
		{"PUB t 0", "E_INVALID PUB could not parse number 0"},
		{"DPUB t 5 -1", "E_INVALID DPUB could not parse number -1"},
		{"MPUB t 4611686018427387904", "E_INVALID MPUB could not parse number 4611686018427387904"},
	} {
		w := newWorld(t, Options{})
		p := w.as(somePublisher)
		p.sendString(row.line + "\n\x00\x00\x00\x01x")
		p.wantClosed(row.want)
	}
	w := newWorld(t, Options{})
	for _, body := range []string{`{}`, `{"feature_negotiation":true}`, `{"lite_publisher":"` + somePublisher + `"}`} {
		p := w.dial()
		p.identify(body)
		if got := p.frames(); strings.Contains(got[0], "lite_publisher") {
			t.Errorf("%s is answered with %s", body, got)
		}
		p.sendString("PUB t 1\n\x00\x00\x00\x01xPUB t 1\n\x00\x00\x00\x01xPUB t x\n\x00\x00\x00\x01x")
		p.want("OK", "OK", "OK")
	}
	if got := w.stored(); got != "t9" {
		t.Errorf("stored %q, want t9", got)
	}
}

func TestPublisher_Identify(t *testing.T) {
	w := newWorld(t, Options{})
	for _, id := range []string{"00000000000000A0", "aa", somePublisher + "0", " 0000000000000aa"} {
		p := w.dial()
		p.identify(`{"feature_negotiation":true,"lite_publisher":"` + id + `"}`)
		p.wantClosed("E_BAD_BODY IDENTIFY lite_publisher is invalid: want 16 lower-case hexadecimal digits")
	}
	p := w.dial()
	p.pub("t", "without a number")
	p.want("OK")
	token := p.join(somePublisher)
	if again := p.join(somePublisher); token == "" || again != token {
		t.Errorf("a second IDENTIFY is answered with the token %q, and the first was with %q", again, token)
	}
	p.send(numbered("t 1 a", "t 1 a"))
	p.want("OK", "OK")
	if got := w.stored(); got != "t2" {
		t.Errorf("stored %q, want t2", got)
	}
	p.identify(`{"feature_negotiation":true,"lite_publisher":"00000000000000bb"}`)
	p.wantClosed("E_BAD_BODY IDENTIFY lite_publisher is another than before")
}

// A token is the same while nothing is forgotten: for ten minutes without a
// connection, however long there is one.
func TestPublisher_Window(t *testing.T) {
	w := newWorld(t, Options{})
	token := func(after time.Duration) string {
		w.sleep(after)
		p := w.dial()
		defer p.hangUp()
		return p.join(somePublisher)
	}
	first := token(0)
	for i, row := range []struct {
		after time.Duration
		same  bool
	}{{0, true}, {publisherWindow - 1, true}, {publisherWindow, false}, {publisherWindow + 30*time.Second, false}, {publisherWindow - 1, true}} {
		got := token(row.after)
		if same := got == first; same != row.same || got == "" {
			t.Errorf("%d: after %v the token is %q, and was %q", i, row.after, got, first)
		}
		first = got
	}
	p := w.as(somePublisher)
	p.identify(`{"feature_negotiation":true,"heartbeat_interval":-1}`)
	w.sleep(3 * publisherWindow)
	p.frames()
	p.hangUp()
	if got := token(time.Minute); got != first {
		t.Error("it was forgotten while it had a connection")
	}
	used := w.s.budget.used.Load()
	w.sleep(publisherWindow + publisherSweep)
	if n := len(w.s.publishers.all); n != 0 || used-w.s.budget.used.Load() != publisherCost {
		t.Errorf("%d publishers are left, and %d bytes were given back; want 0 and %d", n, used-w.s.budget.used.Load(), publisherCost)
	}
}

// The marks are memory that is given back, and no other publisher's.
func TestPublisher_CountsWhatItHolds(t *testing.T) {
	w := newWorld(t, Options{DataPath: t.TempDir()})
	w.publish("t", "x")
	w.publish("u", "x")
	used := w.s.budget.used.Load()
	for _, id := range []string{somePublisher, "00000000000000bb"} {
		p := w.as(id)
		p.send(numbered("t 1 x", "u 2 x"))
		p.want("OK", "OK")
		p.hangUp()
	}
	if got, want := w.s.budget.used.Load()-used, int64(2*publisherCost+4*markCost); got != want || w.stored() != "t3 u3" {
		t.Errorf("%d bytes are held, and %s is stored; want %d and t3 u3", got, w.stored(), want)
	}
	w.sleep(publisherWindow + publisherSweep)
	if got := w.s.budget.used.Load() - used; got != 0 || len(w.s.topic("t").marks) != 0 {
		t.Errorf("%d bytes are held when both are forgotten", got)
	}
}

// Nobody is forgotten to make room; one address takes half of it at most.
func TestPublisher_Limit(t *testing.T) {
	w := newWorld(t, Options{})
	w.s.publishers.most = 2
	first := w.as("0000000000000001")
	for i, row := range []struct {
		from, id string
		ok       bool
	}{
		{"10.0.0.1", "0000000000000002", false}, {"10.0.0.2", "0000000000000003", true}, {"10.0.0.3", "0000000000000004", false},
		{"10.0.0.2", "0000000000000003", true},
	} {
		p := w.dialFrom(row.from)
		if ok := p.join(row.id) != ""; ok != row.ok {
			t.Errorf("%d: remembered is %v, want %v", i, ok, row.ok)
		}
		if !row.ok {
			p.sendString("PUB t\n\x00\x00\x00\x01x") // without a number
			p.want("OK")
		}
		p.hangUp()
	}
	first.hangUp()
	w.sleep(publisherWindow + publisherSweep)
	w.as("0000000000000002")

	w = newWorld(t, Options{MaxMemory: minMemory})
	w.s.budget.add(minMemory - w.s.budget.used.Load() - publisherCost - connCost + 1)
	if p := w.dial(); p.join(somePublisher) != "" {
		t.Error("it is remembered without memory")
	}
}

// Without room for a mark a publish is refused, and can be sent again.
func TestPublisher_NoRoomForAMark(t *testing.T) {
	w := newWorld(t, Options{MaxMemory: minMemory, DataPath: t.TempDir()})
	w.publish("t", "x")
	p := w.as(somePublisher)
	held := minMemory - w.s.budget.used.Load() - markCost + 1
	w.s.budget.add(held)
	p.send(numbered("t 1 a"))
	p.wantClosed("E_PUB_FAILED PUB failed " + errNoMemory.Error())
	w.s.budget.add(-held)
	p = w.as(somePublisher)
	p.send(numbered("t 1 a"))
	p.want("OK")
	if got := w.stored(); got != "t2" {
		t.Errorf("stored %q, want t2", got)
	}
}

// When a publisher connects again, what is left of its old connection is not
// carried out: it may have been given up already.
func TestPublisher_EndsItsOldConnection(t *testing.T) {
	w := newWorld(t, Options{})
	old := w.as(somePublisher)
	old.send(numbered("t 1 a"))
	p := w.as(somePublisher)
	if !old.closed() || len(w.s.conns) != 1 {
		t.Errorf("the old connection is still there, of %d", len(w.s.conns))
	}
	old.send(numbered("t 2 b"))
	p.send(numbered("t 1 a", "t 2 b"))
	p.want("OK", "OK")
	if got := w.stored(); got != "t2" {
		t.Errorf("stored %q, want t2", got)
	}
	old.hangUp() // is told late
	if w.s.publishers.all[0].conn != p.c {
		t.Error("the end of the old connection is taken for that of the new one")
	}
}

// With AUTH on, nobody is remembered who has not shown who he is.
func TestPublisher_Auth(t *testing.T) {
	o, _ := granting(may("t", `[".*"]`, `["publish"]`))
	w := newWorld(t, o)
	p := w.as(somePublisher)
	p.hangUp()
	if len(w.s.publishers.all) != 0 {
		t.Error("somebody without AUTH is remembered")
	}
	p = w.dial()
	token := p.join(somePublisher)
	p.auth("s")
	p.frames()
	p.send(numbered("t 1 a"))
	p.want("OK")
	p.hangUp()
	w.as(somePublisher).hangUp() // breaks before AUTH
	p = w.dial()
	if got := p.join(somePublisher); got != token {
		t.Error("it is forgotten because a connection broke before AUTH")
	}
	p.send(numbered("t 1 a"))
	p.wantClosed("E_AUTH_FIRST AUTH required before PUB")
	p = w.as(somePublisher)
	p.auth("s")
	p.frames()
	p.send(numbered("u 2 a"))
	p.wantClosed("E_UNAUTHORIZED AUTH failed for PUB on \"u\" \"\"")
}

// What could not be written is taken back, with the numbers: it is stored when it is
// sent again. What repeats it in the same turn is refused as well, and what
// repeats an earlier one is confirmed.
func TestPublisher_CommitFails(t *testing.T) {
	d := journaltest.New(rand.New(rand.NewPCG(1, 1)))
	w := newWorldOn(t, Options{}, d)
	p := w.as(somePublisher)
	p.send(numbered("t 1 a", "u 2 b"))
	p.want("OK", "OK")
	d.Fail(func(op, name string) error {
		if op == "write" && strings.HasPrefix(name, "topic+t/") {
			return errFull
		}
		return nil
	})
	p.send(numbered("u 3 c", "t 1 a", "t 4 d", "t 1 a", "t 4 d", "t 5 e f", "u 7 g"))
	got := p.frames()
	if len(got) != 3 || got[0] != "OK" || got[1] != "OK" || !strings.HasPrefix(got[2], "E_PUB_FAILED PUB failed ") || strings.Contains(got[2], wire.MayBeKept) || !p.closed() {
		t.Errorf("answered %q", got)
	}
	d.Fail(nil)
	p = w.as(somePublisher)
	p.send(numbered("u 3 c", "t 4 d", "t 5 e f", "u 7 g", "t 8 h"))
	p.want("OK", "OK", "OK", "OK", "OK")
	if got := w.stored(); got != "t5 u3" {
		t.Errorf("stored %q, want t5 u3", got)
	}
}

// Nothing is carried out behind a publish that is refused, though the refusal has to
// wait for the answers before it: a higher number would make the lower one look
// as if it were here.
func TestPublisher_BehindARefusalThatWaits(t *testing.T) {
	d := journaltest.New(rand.New(rand.NewPCG(1, 1)))
	w := newWorldOn(t, Options{Sync: SyncAlways}, d)
	p := w.as(somePublisher)
	p.send(numbered("t 1 a", "u 2 b"))
	p.want("OK", "OK")
	w.l.slow = true
	p.send(numbered("u 3 c")) // its fsync takes time
	d.Fail(failing("write", errFull))
	p.send(numbered("t 4 d"))
	d.Fail(nil)
	p.send(numbered("t 5 e"))
	p.want()
	w.l.slow = false
	w.do(w.l.work)
	if got := p.frames(); len(got) != 2 || got[0] != "OK" || !strings.HasPrefix(got[1], "E_PUB_FAILED") || !p.closed() {
		t.Errorf("answered %q", got)
	}
	p = w.as(somePublisher)
	p.send(numbered("t 4 d", "t 5 e"))
	p.want("OK", "OK")
	if got := w.stored(); got != "t3 u2" {
		t.Errorf("stored %q, want t3 u2", got)
	}
}

// A repeat is confirmed no sooner than the original, which waits for a fsync; and
// not at all when that fails: it may be kept, and nobody can tell.
func TestPublisher_SyncAlways(t *testing.T) {
	d := journaltest.New(rand.New(rand.NewPCG(1, 1)))
	w := newWorldOn(t, Options{Sync: SyncAlways}, d)
	p := w.dial()
	token := p.join(somePublisher)
	p.send(numbered("t 1 a"))
	p.want("OK")
	w.l.slow = true
	p.send(numbered("t 2 b"))
	p = w.dial()
	if p.join(somePublisher) != token {
		t.Fatal("it is forgotten")
	}
	p.send(numbered("t 2 b"))
	p.want()
	w.do(w.l.work)
	p.want("OK")

	p.send(numbered("t 3 c"))
	p = w.as(somePublisher)
	p.send(numbered("t 2 b", "t 3 c", "t 4 d"))
	p.want("OK")
	d.Fail(failing("sync", errFull))
	w.do(w.l.work)
	got := p.frames()
	if len(got) != 1 || !strings.HasPrefix(got[0], "E_PUB_FAILED PUB failed "+wire.MayBeKept) || !p.closed() {
		t.Errorf("answered %q, want a refusal of what may be kept", got)
	}
	d.Fail(nil)
	w.l.slow = false
	w.do(w.l.work)
	p = w.dial()
	if got := p.join(somePublisher); got == token || got == "" {
		t.Errorf("the token is %q again, though nothing can be said of what was published", got)
	}
	p.send(numbered("t 3 c", "t 5 e"))
	p.want("E_PUB_DOUBTFUL PUB failed "+errDoubtful.Error(), "OK")
	if got := w.stored(); got != "t5" {
		t.Errorf("stored %q, want t5", got)
	}
}

// What a topic had that was deleted does not come into one of the same name; what
// is new does. One connection tells of all, in order.
func TestPublisher_TopicDeleted(t *testing.T) {
	w := newWorld(t, Options{})
	p := w.as(somePublisher)
	p.send(numbered("t 1 a", "t 2 b"))
	p.want("OK", "OK")
	w.do(func() {
		if err := w.s.deleteTopic(w.s.topic("t")); err != nil {
			t.Error(err)
		}
	})
	if n := len(w.s.publishers.all[0].all); n != 0 {
		t.Errorf("%d marks are left of a topic that is gone", n)
	}
	p.send(numbered("t 3 c"))
	p.want("OK")
	p.send(numbered("t 3 c"))
	p.want("OK")
	doubtful := " failed " + errDoubtful.Error()
	p.send(numbered("t 1 a", "u 3 x", "t 1 +a", "t 2 b", "t 2 b c", "t 3 c", "t 4 d"))
	p.want("E_PUB_DOUBTFUL PUB"+doubtful, "OK", "E_PUB_DOUBTFUL DPUB"+doubtful, "E_PUB_DOUBTFUL PUB"+doubtful,
		"E_PUB_DOUBTFUL MPUB"+doubtful, "OK", "OK")
	if got := w.stored(); got != "t2 u1" {
		t.Errorf("stored %q, want t2 u1", got)
	}
}

// Numbers cost no allocation.
func TestPublisher_AllocatesNothing(t *testing.T) {
	measure := func(join bool) float64 {
		b := newBare(t, Options{})
		c, bc := b.client()
		if join {
			b.data(c, wire.AppendIdentify(nil, []byte(`{"feature_negotiation":true,"lite_publisher":"`+somePublisher+`"}`)))
		}
		number, in, body := uint64(0), []byte(nil), []byte("x")
		return testing.AllocsPerRun(200, func() {
			in = in[:0]
			for range batch {
				if join {
					number++
				}
				in = wire.AppendNumberedPub(in, "t", number, body)
			}
			b.data(c, in)
			bc.out = bc.out[:0]
		})
	}
	if plain, joined := measure(false), measure(true); joined > plain {
		t.Errorf("%d publishes with numbers allocate %v times, and without %v times", batch, joined, plain)
	}
}
