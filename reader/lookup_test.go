package reader

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nsqloop/nsqloop/internal/mocklookupd"
	"github.com/nsqloop/nsqloop/loop/looptest"
)

func TestReader_FindsThroughLookupd_180_183_188_190(t *testing.T) {
	w := newWorld(t, looptest.Options{})
	b := w.broker("nsqd")
	b.send("before")
	w.lookups.Name("lookup:4161", b.addr)
	w.reader(Options{Topic: "my.topic", Channel: "c", Lookupds: []string{"lookup:4161", "http://lookup:4161/other?x=1"}})
	w.within(time.Second, "the message", func() bool { return b.finished() == 1 })
	if got := strings.Join(w.lookups.Asked, " "); !strings.Contains(got, "http://lookup:4161/lookup?topic=my.topic") ||
		!strings.Contains(got, "http://lookup:4161/other?topic=my.topic&x=1") {
		t.Errorf("asked %s", got)
	}
}

func TestReader_UnionOfAllLookupds_182_184_185_186_187(t *testing.T) {
	w := newWorld(t, looptest.Options{})
	for i := range 5 {
		w.broker(fmt.Sprintf("nsqd%d", i))
	}
	w.lookups.Name("l1:4161", "nsqd0:4150", "nsqd1:4150")
	w.lookups.Name("l2:4161", "nsqd1:4150", "nsqd2:4150")
	w.lookups.Answers["l3:4161"] = func() (int, string) { return 500, "oops" }
	w.lookups.Answers["l4:4161"] = func() (int, string) { // before nsqlookupd 1.0
		return 200, `{"status_code":200,"status_txt":"OK","data":` + mocklookupd.Producers("nsqd3:4150") + `}`
	}
	w.lookups.Name("l5:4161")
	w.lookups.Answers["l6:4161"] = func() (int, string) { return 404, `{"message":"TOPIC_NOT_FOUND"}` }
	r := w.reader(Options{Lookupds: []string{"l1:4161", "l2:4161", "http://l3:4161/", "http://l4:4161", "http://l5:4161/lookup", "l6:4161"}})
	w.connected(r, 4)
	w.Run(10 * time.Minute)
	for i, b := range w.brokers {
		if want := min(1, 4-i); b.mock.Accepted != want {
			t.Errorf("nsqd%d has %d connections, want %d", i, b.mock.Accepted, want)
		}
	}
	if r.stats.Errors != 1 {
		t.Errorf("%d errors reported, want 1: a failing nsqlookupd once, an unknown topic never", r.stats.Errors)
	}
}

func TestReader_PollTimes_190_191(t *testing.T) {
	var delays []time.Duration
	for seed := range uint64(20) {
		w := newWorld(t, looptest.Options{Seed: seed + 1})
		start := w.Now()
		var polls []time.Duration
		w.lookups.Answers["l:4161"] = func() (int, string) {
			polls = append(polls, w.Now().Sub(start))
			return 200, mocklookupd.Producers("nowhere:4150") // nobody: more polls, see 192
		}
		w.reader(Options{Lookupds: []string{"l:4161"}, LookupdPollInterval: 10 * time.Second})
		w.Run(40 * time.Second)
		if len(polls) < 3 || polls[0] > 10*time.Millisecond {
			t.Fatalf("polled at %v", polls)
		}
		delay := polls[1] - 10*time.Second
		if delay < 0 || delay > 3*time.Second+10*time.Millisecond {
			t.Errorf("second poll at %v, want 10 to 13 s", polls[1])
		}
		if gap := polls[2] - polls[1]; gap < 9990*time.Millisecond || gap > 10010*time.Millisecond {
			t.Errorf("third poll %v after the second, want 10 s", gap)
		}
		delays = append(delays, delay)
	}
	slices.Sort(delays)
	if delays[0] > time.Second || delays[19] < 2*time.Second {
		t.Errorf("the jitter is not spread over 0 to 3 s: %v", delays)
	}
}

func TestReader_NoJitter_191(t *testing.T) {
	w := newWorld(t, looptest.Options{})
	n := 0
	w.lookups.Answers["l:4161"] = func() (int, string) { n++; return 200, mocklookupd.Producers("nowhere:4150") }
	w.reader(Options{Lookupds: []string{"l:4161"}, LookupdPollJitter: -1, LookupdPollInterval: 10 * time.Second})
	w.Run(10*time.Second + 10*time.Millisecond)
	if n != 2 {
		t.Errorf("%d polls, want one at once and one after the interval", n)
	}
}

func TestReader_NodesComeAndGo_192_193_195(t *testing.T) {
	w := newWorld(t, looptest.Options{})
	a, b := w.broker("a"), w.broker("b")
	w.lookups.Name("l:4161", a.addr)
	r := w.reader(Options{Lookupds: []string{"l:4161"}})
	w.connected(r, 1)
	w.lookups.Name("l:4161", b.addr) // a has vanished, b appeared
	w.within(79*time.Second, "b", func() bool { return len(r.ready.slots) == 2 })
	w.Run(10 * time.Minute)
	if a.open() != 1 || a.mock.Accepted != 1 {
		t.Error("a live connection was dropped because of an answer")
	}
	delete(w.lookups.Answers, "l:4161") // refuses
	w.Run(10 * time.Minute)
	b.on(b.mock.Stop)
	w.Run(10 * time.Minute)
	b.on(b.start)
	w.within(time.Minute, "b, whom the failing lookupd named last", func() bool { return len(r.ready.slots) == 2 })
}

func TestReader_LostNodeIsPolledForAndRedialled_194(t *testing.T) {
	w := newWorld(t, looptest.Options{})
	b := w.broker("nsqd")
	w.lookups.Name("l:4161", b.addr)
	r := w.reader(Options{Lookupds: []string{"l:4161"}})
	w.connected(r, 1)
	w.Run(10 * time.Second)
	asked := len(w.lookups.Asked)
	b.on(b.mock.Stop)
	w.Run(100 * time.Millisecond)
	if len(w.lookups.Asked) != asked+1 {
		t.Errorf("%d polls after the loss, want one at once", len(w.lookups.Asked)-asked)
	}
	// It restarts, and has not registered again yet.
	w.lookups.Name("l:4161")
	w.Run(5 * time.Second)
	b.on(b.start)
	w.within(1100*time.Millisecond, "it is back", func() bool { return len(r.ready.slots) == 1 })
}

// TestReader_UnnamedNodeThatBlinksIsKept_194 loses a connection to an nsqd that
// nsqlookupd has long stopped to name.
func TestReader_UnnamedNodeThatBlinksIsKept_194(t *testing.T) {
	w := newWorld(t, looptest.Options{})
	b := w.broker("nsqd")
	w.lookups.Name("l:4161", b.addr)
	r := w.reader(Options{Lookupds: []string{"l:4161"}})
	w.connected(r, 1)
	w.lookups.Name("l:4161")
	w.Run(10 * time.Minute)
	b.on(b.mock.Cut)
	w.until("the loss", func() bool { return len(r.ready.slots) == 0 })
	w.within(time.Second, "it is back", func() bool { return len(r.ready.slots) == 1 })
}

func TestReader_LostNodeThatIsNotNamedIsForgotten_194(t *testing.T) {
	w := newWorld(t, looptest.Options{})
	b := w.broker("nsqd")
	w.lookups.Name("l:4161", b.addr)
	r := w.reader(Options{Lookupds: []string{"l:4161"}})
	w.connected(r, 1)
	w.lookups.Name("l:4161")
	b.on(b.mock.Stop)
	w.Run(4 * time.Minute)
	if len(r.nodes) != 0 {
		t.Errorf("still known: %+v", r.snapshot().NSQDs)
	}
	b.on(b.start)
	w.Run(5 * time.Minute)
	if b.mock.Accepted != 0 {
		t.Error("it was dialled though nobody names it")
	}
	w.lookups.Name("l:4161", b.addr)
	w.within(79*time.Second, "it is back", func() bool { return len(r.ready.slots) == 1 })
}

func TestReader_MixedOrigins_198(t *testing.T) {
	w := newWorld(t, looptest.Options{})
	direct, found := w.broker("direct"), w.broker("found")
	w.lookups.Name("l:4161", found.addr)
	r := w.reader(Options{NSQDs: []string{direct.addr}, Lookupds: []string{"l:4161"}})
	w.connected(r, 2)
	direct.on(direct.mock.Stop)
	w.Run(10 * time.Minute)
	direct.on(direct.start)
	w.within(time.Minute, "the direct one again", func() bool { return len(r.ready.slots) == 2 })
	if s := r.snapshot(); !s.NSQDs[0].Direct || s.NSQDs[1].Direct {
		t.Errorf("got %+v", s.NSQDs)
	}
}

func TestReader_Filter_200(t *testing.T) {
	w := newWorld(t, looptest.Options{})
	a, b := w.broker("a"), w.broker("b")
	w.lookups.Name("l1:4161", a.addr)
	w.lookups.Name("l2:4161", b.addr, a.addr)
	var most []string
	r := w.reader(Options{Lookupds: []string{"l1:4161", "l2:4161"}, Filter: func(all []string) []string {
		if len(all) > len(most) {
			most = slices.Clone(all)
		}
		return slices.DeleteFunc(all, func(addr string) bool { return addr == a.addr })
	}})
	w.connected(r, 1)
	w.Run(5 * time.Minute)
	if a.mock.Accepted != 0 || b.mock.Accepted != 1 {
		t.Errorf("connections: a %d, b %d; want 0 and 1", a.mock.Accepted, b.mock.Accepted)
	}
	slices.Sort(most)
	if fmt.Sprint(most) != fmt.Sprint([]string{a.addr, b.addr}) {
		t.Errorf("the filter saw %v", most)
	}
}

func TestReader_AddAndRemoveLookupd_202_204(t *testing.T) {
	w := newWorld(t, looptest.Options{})
	a, b := w.broker("a"), w.broker("b")
	w.lookups.Name("l1:4161", a.addr)
	w.lookups.Name("l2:4161", b.addr)
	r := w.reader(Options{NSQDs: []string{a.addr}})
	w.connected(r, 1)
	if err := errors.Join(r.AddLookupd("l1:4161"), r.AddLookupd("http://l1:4161/lookup"), r.AddLookupd("l2:4161")); err != nil {
		t.Fatal(err)
	}
	w.connected(r, 2)
	if len(w.lookups.Asked) != 2 {
		t.Errorf("asked %v: adding twice has an effect", w.lookups.Asked)
	}
	if err := r.RemoveLookupd("l3:4161"); !errors.Is(err, ErrNotThere) {
		t.Errorf("removing an unknown one: %v", err)
	}
	if err := r.RemoveLookupd("l1:4161"); err != nil {
		t.Error(err)
	}
	if err := r.RemoveLookupd("l2:4161"); !errors.Is(err, ErrLastLookupd) {
		t.Errorf("removing the last: %v, want ErrLastLookupd", err)
	}
	w.lookups.Asked = nil
	w.Run(5 * time.Minute)
	for _, url := range w.lookups.Asked {
		if strings.Contains(url, "l1:") {
			t.Errorf("asked %s after it was removed", url)
		}
	}
	if len(w.lookups.Asked) < 4 {
		t.Errorf("the other one was asked %d times in five minutes", len(w.lookups.Asked))
	}
}

// TestReader_QuickPollsWhileThereIsNothing_192 starts a reader before its topic
// exists: after a minute without it, it is found within 6 s and not within 60.
func TestReader_QuickPollsWhileThereIsNothing_192(t *testing.T) {
	w := newWorld(t, looptest.Options{})
	b := w.broker("nsqd")
	w.lookups.Name("l:4161")
	r := w.reader(Options{Lookupds: []string{"l:4161"}, LookupdPollJitter: -1})
	w.Run(62 * time.Second)
	w.lookups.Name("l:4161", b.addr)
	w.within(7*time.Second, "the new topic", func() bool { return len(r.ready.slots) == 1 })
	asked := len(w.lookups.Asked)
	w.Run(55 * time.Second)
	if n := len(w.lookups.Asked) - asked; n > 1 {
		t.Errorf("%d polls within a minute of the find, want the regular one", n)
	}
}

func TestReader_LookupdSecret_181(t *testing.T) {
	w := newWorld(t, looptest.Options{})
	b := w.broker("nsqd")
	w.lookups.Answers["l1:4161"] = func() (int, string) { return 404, `{"message":"TOPIC_NOT_FOUND"}` }
	w.lookups.Name("l2:4161", b.addr)
	r := w.reader(Options{Lookupds: []string{"l1:4161", "l2:4161"}, LookupdSecret: "s3cret"})
	w.connected(r, 1)
	for _, h := range w.lookups.Headers {
		if got := h.Get("Authorization"); got != "Bearer s3cret" {
			t.Errorf("Authorization: got %q", got)
		}
	}
}

// TestReader_NamesAreResolvedOnEachDial_199 moves an nsqd to another machine.
func TestReader_NamesAreResolvedOnEachDial_199(t *testing.T) {
	w := newWorld(t, looptest.Options{})
	b := w.broker("nsqd")
	r := w.reader(Options{MaxInFlight: 3})
	w.connected(r, 1)
	w.Crash(b.l.(*looptest.Loop))
	w.Run(5 * time.Second)
	moved := newBroker(t, w.Loop("nsqd"), ":4150")
	moved.addr = "nsqd:4150"
	moved.send("x")
	w.until("a message from the new one", func() bool { return moved.finished() == 1 })
}
