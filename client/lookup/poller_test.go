package lookup

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nsqloop/nsqloop/loop/looptest"
)

// world is a poller and the nsqlookupds that it asks, in virtual time.
type world struct {
	*looptest.World
	l       *looptest.Loop
	answers map[string]func() (status int, body string) // by host
	asked   []string                                    // URLs
	times   []time.Duration                             // of each request
	start   time.Time
	told    []string // what OnAnswer was told
	errors  []error
	p       *Poller
}

func (w *world) RoundTrip(req *http.Request) (*http.Response, error) {
	w.asked = append(w.asked, req.URL.String())
	w.times = append(w.times, w.Now().Sub(w.start))
	answer := w.answers[req.URL.Host]
	if answer == nil {
		return nil, errors.New("connection refused")
	}
	status, body := answer()
	return &http.Response{StatusCode: status, Status: fmt.Sprint(status), Body: io.NopCloser(strings.NewReader(body)), Request: req}, nil
}

func newWorld(t *testing.T, o PollerOptions, addrs ...string) *world {
	w := &world{World: looptest.Test(t, looptest.Options{}), answers: map[string]func() (int, string){}}
	w.l, w.start = w.Loop("asks"), w.Now()
	o.HTTPClient = &http.Client{Transport: w}
	o.OnError = func(err error) { w.errors = append(w.errors, err) }
	o.OnAnswer = func(a Answer) { w.told = append(w.told, strings.Join(append(a.Addrs(), a.Topics...), " ")) }
	servers, err := ParseAll(addrs)
	if err != nil {
		t.Fatal(err)
	}
	w.l.Do(func() {
		w.p = NewPoller(w.l, o)
		for _, s := range servers {
			w.p.Add(s)
		}
	})
	return w
}

// says makes the nsqlookupd at host answer.
func (w *world) says(host, body string) {
	w.answers[host] = func() (int, string) { return 200, body }
}

// named is what the poller knows.
func (w *world) named() string {
	var a Answer
	w.l.Do(func() { a = w.p.Named() })
	return strings.Join(append(a.Addrs(), a.Topics...), " ")
}

func producersAt(hosts ...string) string {
	var all []string
	for _, h := range hosts {
		all = append(all, fmt.Sprintf(`{"broadcast_address":%q,"tcp_port":4150,"topics":["x"]}`, h))
	}
	return `{"producers":[` + strings.Join(all, ",") + `]}`
}

// Statements 184, 185, 186 and 195: the union, and what was named by one that
// fails now.
func TestPoller_UnionHoldsWhileOneFails_184_185_186_195(t *testing.T) {
	w := newWorld(t, PollerOptions{Query: Producers("t"), Interval: 10 * time.Second},
		"l1:4161", "http://l1:4161/lookup", "http://l2:4161/", "http://l3:4161/deep/lookup")
	w.says("l1:4161", producersAt("a", "b"))
	w.says("l2:4161", producersAt("b", "c"))
	w.Run(time.Second)
	if got, want := w.named(), "a:4150 b:4150 c:4150"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if n := len(w.asked); n != 3 {
		t.Errorf("asked %d times, want 3: the same address in two notations is one\n%s", n, w.asked)
	}
	w.answers["l2:4161"] = func() (int, string) { return 500, "oops" }
	w.says("l1:4161", producersAt("a"))
	w.Run(time.Minute)
	if got, want := w.named(), "a:4150 b:4150 c:4150"; got != want {
		t.Errorf("while one fails: got %q, want %q", got, want)
	}
	if len(w.errors) != 2 {
		t.Errorf("%d errors, want one for each that fails: %v", len(w.errors), w.errors)
	}
	w.says("l2:4161", producersAt())
	w.Run(time.Minute)
	if got, want := w.named(), "a:4150"; got != want {
		t.Errorf("afterwards: got %q, want %q", got, want)
	}
}

// While nothing is named the polls are close together, and further apart the
// longer it lasts; never further than the interval.
func TestPoller_HurriesWhileNothingIsNamed(t *testing.T) {
	w := newWorld(t, PollerOptions{Query: Producers("t")}, "l:4161")
	w.answers["l:4161"] = func() (int, string) { return 404, "{}" }
	w.Run(20 * time.Minute)
	last := time.Duration(0)
	for i, at := range w.times[1:] {
		if gap, most := at-last, max(1010*time.Millisecond, at/10+10*time.Millisecond); gap > most {
			t.Errorf("poll %d at %v, %v after the one before; want at most %v", i+1, at, gap, most)
		}
		last = at
	}
	if n := len(w.times); n < 40 || n > 80 {
		t.Errorf("%d polls in 20 minutes, want some 60", n)
	}
	w.says("l:4161", producersAt("a"))
	w.Run(time.Minute)
	n := len(w.times)
	w.Run(10 * time.Minute)
	if got := len(w.times) - n; got != 10 {
		t.Errorf("%d polls in ten minutes with an answer, want 10", got)
	}
}

func TestPoller_Soon(t *testing.T) {
	w := newWorld(t, PollerOptions{Query: Nodes()}, "l:4161")
	w.says("l:4161", producersAt("a"))
	w.Run(100 * time.Millisecond)
	soon := func() { w.l.Do(func() { w.p.Soon(); w.p.Soon() }) }
	soon()
	w.Run(5 * time.Second)
	soon()
	w.Run(5 * time.Second)
	if len(w.times) != 3 || w.times[1] < time.Second || w.times[1] > 1010*time.Millisecond || w.times[2] > 5110*time.Millisecond {
		t.Errorf("polled at %v, want 0 s, 1 s and 5.1 s", w.times)
	}
}

func TestPoller_TopicsAndNodes(t *testing.T) {
	topics := newWorld(t, PollerOptions{Query: Topics()}, "l1:4161", "http://l2:4161/deep/lookup?a=b")
	topics.says("l1:4161", `{"topics":["one","two","not a topic"]}`)
	topics.says("l2:4161", `{"status_code":200,"status_txt":"OK","data":{"topics":["two","three#ephemeral"]}}`)
	topics.Run(time.Second)
	if got, want := topics.named(), "one two three#ephemeral"; got != want {
		t.Errorf("topics: got %q, want %q", got, want)
	}
	slices.Sort(topics.asked)
	if got, want := strings.Join(topics.asked, " "), "http://l1:4161/topics http://l2:4161/deep/topics?a=b"; got != want {
		t.Errorf("asked %s, want %s", got, want)
	}
	nodes := newWorld(t, PollerOptions{Query: Nodes()}, "l1:4161")
	nodes.says("l1:4161", producersAt("a", "b"))
	nodes.Run(time.Second)
	if got, want := nodes.named()+" from "+nodes.asked[0], "a:4150 b:4150 from http://l1:4161/nodes"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestPoller_RemoveAndStop(t *testing.T) {
	w := newWorld(t, PollerOptions{Query: Producers("t"), Interval: time.Second}, "l1:4161", "l2:4161")
	w.says("l1:4161", producersAt("a"))
	w.says("l2:4161", producersAt("b"))
	w.Run(time.Minute)
	w.l.Do(func() {
		w.p.Remove(Server{"http://l1:4161/lookup"})
		w.p.Remove(Server{"http://l1:4161/lookup"})
	})
	w.Run(time.Minute)
	if got, want := w.named(), "b:4150"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	w.l.Do(w.p.Soon)
	w.l.Do(w.p.Stop)
	told := len(w.told)
	w.Run(time.Second) // what was asked before is answered, and nobody hears it
	asked := len(w.asked)
	w.l.Do(w.p.Soon)
	w.l.Do(func() { w.p.Add(Server{"http://l3:4161/lookup"}) })
	w.Run(time.Minute)
	if len(w.told) != told || len(w.asked) != asked {
		t.Errorf("after Stop: told %d times more, asked %v", len(w.told)-told, w.asked[asked:])
	}
}
