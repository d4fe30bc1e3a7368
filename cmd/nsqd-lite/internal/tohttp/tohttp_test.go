package tohttp

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nsqloop/nsqloop/cmd/nsqd-lite/internal/pick"
	"github.com/nsqloop/nsqloop/internal/testwait"
	"github.com/nsqloop/nsqloop/loop"
	"github.com/nsqloop/nsqloop/reader"
	"github.com/nsqloop/nsqloop/server/nsqtest"
)

// target takes requests, and answers what answer says.
type target struct {
	*httptest.Server
	mu   sync.Mutex
	got  []string
	most int // requests at once
	now  int
}

func newTarget(t *testing.T, answer func(n int) int) *target {
	t.Helper()
	x := new(target)
	x.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		x.mu.Lock()
		x.now++
		x.most = max(x.most, x.now)
		x.got = append(x.got, fmt.Sprintf("%s %s %s %s %s", r.Method, r.URL.RequestURI(), r.Header.Get("Content-Type"), r.Header.Get("X-Who"), body))
		n := len(x.got)
		x.mu.Unlock()
		w.WriteHeader(answer(n))
		x.mu.Lock()
		x.now--
		x.mu.Unlock()
	}))
	t.Cleanup(x.Close)
	return x
}

func (x *target) requests() []string {
	x.mu.Lock()
	defer x.mu.Unlock()
	return slices.Clone(x.got)
}

// send runs a Sender until the test ends.
func send(t *testing.T, s *nsqtest.Server, set func(*Options)) {
	t.Helper()
	l, err := loop.New(loop.Options{SlowCallback: -1})
	if err != nil {
		t.Fatal(err)
	}
	o := Options{
		Consumer: reader.Options{
			Topic: "t", Channel: "nsq_to_http", NSQDs: []string{s.TCPAddr()}, MaxInFlight: 200, RequeueDelay: -1, MaxBackoff: -1,
		},
		ContentType: "application/octet-stream", Mode: pick.HostPool, Concurrency: 100, Sample: 1,
		HTTP: &http.Client{Timeout: 10 * time.Second},
	}
	set(&o)
	if _, err := New(l, o); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- l.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
}

// finished waits until n messages of the channel are finished and none is left.
func finished(t *testing.T, s *nsqtest.Server, n uint64) {
	t.Helper()
	testwait.Until(t, "all finished", func() bool {
		c := s.Channel("t", "nsq_to_http")
		return c.MessageCount == n && c.Depth == 0 && c.InFlightCount == 0 && c.DeferredCount == 0
	})
}

func TestSender_Post(t *testing.T) {
	s, x := nsqtest.Start(t), newTarget(t, func(int) int { return 204 })
	send(t, s, func(o *Options) {
		o.URLs, o.Header = []string{x.URL + "/in?a=b"}, http.Header{"X-Who": {"me"}}
	})
	s.Publish("t", "hello %s world")
	finished(t, s, 1)
	if got := x.requests(); !slices.Equal(got, []string{"POST /in?a=b application/octet-stream me hello %s world"}) {
		t.Errorf("requests %q", got)
	}
}

func TestSender_Get(t *testing.T) {
	// A GET wants exactly 200.
	s, x := nsqtest.Start(t), newTarget(t, func(n int) int { return []int{204, 200}[n-1] })
	send(t, s, func(o *Options) { o.URLs, o.Get = []string{x.URL + "/?m=%s"}, true })
	s.Publish("t", "a&b c")
	finished(t, s, 1)
	want := "GET /?m=a%26b+c   "
	if got := x.requests(); !slices.Equal(got, []string{want, want}) {
		t.Errorf("requests %q", got)
	}
	if c := s.Channel("t", "nsq_to_http"); c.RequeueCount != 1 {
		t.Errorf("%d requeued, want 1", c.RequeueCount)
	}
}

// TestSender_Requeues is statement 336: a message that is answered with
// anything but 2xx is requeued, and comes again.
func TestSender_Requeues(t *testing.T) {
	s, x := nsqtest.Start(t), newTarget(t, func(n int) int { return []int{500, 302, 404, 200}[min(n-1, 3)] })
	send(t, s, func(o *Options) { o.URLs = []string{x.URL} })
	s.Publish("t", "a")
	finished(t, s, 1)
	if got := s.Channel("t", "nsq_to_http").RequeueCount; got != 3 || len(x.requests()) != 4 {
		t.Errorf("%d requeued in %d requests, want 3 in 4", got, len(x.requests()))
	}
}

// TestSender_Modes: who gets what.
func TestSender_Modes(t *testing.T) {
	for _, row := range []struct {
		mode pick.Mode
		n    [2]int // requests, when the first of two addresses fails once
	}{
		{pick.RoundRobin, [2]int{2, 2}}, // the requeued one goes to the second, or the first, whose turn it is
		{pick.HostPool, [2]int{1, 3}},
		{pick.EpsilonGreedy, [2]int{1, 3}},
		{pick.All, [2]int{4, 3}},
	} {
		s := nsqtest.Start(t)
		first := newTarget(t, func(n int) int {
			if n == 1 {
				return 503
			}
			return 200
		})
		second := newTarget(t, func(int) int { return 200 })
		send(t, s, func(o *Options) {
			o.URLs, o.Mode, o.Concurrency, o.Consumer.MaxInFlight = []string{first.URL, second.URL}, row.mode, 1, 1
		})
		for i, body := range []string{"a", "b", "c"} {
			s.Publish("t", body)
			finished(t, s, uint64(i)+1)
		}
		if got := [2]int{len(first.requests()), len(second.requests())}; got != row.n {
			t.Errorf("%s: requests %v, want %v", row.mode, got, row.n)
		}
	}
}

func TestSender_Sample(t *testing.T) {
	s, x := nsqtest.Start(t), newTarget(t, func(int) int { return 200 })
	send(t, s, func(o *Options) { o.URLs, o.Sample = []string{x.URL}, 0 })
	s.Publish("t", "a", "b")
	finished(t, s, 2)
	if got := x.requests(); len(got) != 0 {
		t.Errorf("requests %q", got)
	}
}

func TestSender_Concurrency(t *testing.T) {
	s := nsqtest.Start(t)
	x := newTarget(t, func(int) int { return 200 })
	send(t, s, func(o *Options) { o.URLs, o.Concurrency = []string{x.URL}, 3 })
	bodies := make([]string, 100)
	for i := range bodies {
		bodies[i] = fmt.Sprint(i)
	}
	s.Publish("t", bodies...)
	finished(t, s, 100)
	got := len(x.requests())
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.most > 3 || got != 100 {
		t.Errorf("%d requests, %d at once, want 100 and at most 3", got, x.most)
	}
}

func TestOptions_Check(t *testing.T) {
	l, err := loop.New(loop.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	for want, set := range map[string]func(*Options){
		"no address":     func(o *Options) { o.URLs = nil },
		"at once":        func(o *Options) { o.Concurrency = 0 },
		"sample 2":       func(o *Options) { o.Sample = 2 },
		"has 0 %s":       func(o *Options) { o.Get = true },
		"want http://":   func(o *Options) { o.URLs = []string{"localhost:80"} },
		"Channel: E_BAD": func(o *Options) { o.Consumer.Channel = "a b" },
	} {
		o := Options{URLs: []string{"http://h/"}, Concurrency: 1, Sample: 1, Consumer: reader.Options{Topic: "t", Channel: "c", NSQDs: []string{"h:1"}}}
		set(&o)
		if _, err := New(l, o); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want %s", err, want)
		}
	}
}
