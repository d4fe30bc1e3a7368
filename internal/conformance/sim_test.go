package conformance

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nsqloop/nsqloop/internal/testcert"
	"github.com/nsqloop/nsqloop/loop"
	"github.com/nsqloop/nsqloop/loop/looptest"
	"github.com/nsqloop/nsqloop/server"
)

// answered is enough virtual time for anything that was sent to be answered:
// the network takes half a millisecond at most.
const answered = 5 * time.Millisecond

// simWorld is our server on virtual time, or our nsqlookupd.
type simWorld struct {
	t      testing.TB
	w      *looptest.World
	loop   postedLoop
	client *looptest.Loop
	o      server.Options
	s      *server.Server
	d      *server.Lookupd // instead of s
}

// postedLoop holds up whoever posts from outside the world until the world
// has moved on. So the two never run at the same time, and what happens does
// not depend on the scheduler.
type postedLoop struct {
	loop.Loop
	posts  chan post
	moving *atomic.Bool // the world moves, so it is the world itself that posts
}

// post is a function posted from outside.
type post struct {
	f    func()
	done chan error
}

// Post posts f; from outside, it returns when f has run.
func (l postedLoop) Post(f func()) error {
	if l.moving.Load() {
		return l.Loop.Post(f)
	}
	p := post{f, make(chan error)}
	l.posts <- p
	return <-p.done
}

// newSimWorld starts a server with the options of a transcript.
func newSimWorld(t testing.TB, options map[string]string) *simWorld {
	t.Helper()
	w := looptest.Test(t, looptest.Options{MaxLatency: 500 * time.Microsecond})
	sim := &simWorld{
		t:      t,
		w:      w,
		loop:   postedLoop{w.Loop("nsqd"), make(chan post), new(atomic.Bool)},
		client: w.Loop("client"),
	}
	if options["role"] == "nsqlookupd" {
		sim.startLookupd(options)
		return sim
	}
	sim.o = mustOptions(t, options)
	sim.start()
	t.Cleanup(func() {
		if sim.s != nil { // nil when it did not start again
			sim.outside(func() { _ = sim.s.Close() })
		}
	})
	return sim
}

// mustOptions are the server's options for nsqd's flags.
func mustOptions(t testing.TB, flags map[string]string) server.Options {
	t.Helper()
	o := server.Options{TCPAddress: ":4150", LogLevel: new(slog.LevelVar)}
	for name, value := range flags {
		var err error
		switch name {
		case "data-path":
			if value != "temporary" {
				err = fmt.Errorf("%q is not the word temporary", value)
			}
			o.DataPath = t.TempDir()
		case "tls":
			if value != "temporary" {
				err = fmt.Errorf("%q is not the word temporary", value)
			}
			ca := testcert.New(t, "authority")
			o.TLSCert, o.TLSKey, _ = ca.Files(ca.Issue("nsqd", "nsqd"))
		case "auth-static":
			o.AuthStatic = filepath.Join("testdata", value)
		case "max-rdy-count":
			o.MaxRdyCount, err = strconv.Atoi(value)
		case "max-channel-consumers":
			o.MaxChannelConsumers, err = strconv.Atoi(value)
		case "mem-queue-size":
			if o.MemQueueSize, err = strconv.Atoi(value); o.MemQueueSize == 0 {
				o.MemQueueSize = -1 // none
			}
		case "max-msg-size":
			o.MaxMsgSize, err = strconv.Atoi(value)
		case "max-body-size":
			o.MaxBodySize, err = strconv.Atoi(value)
		case "msg-timeout":
			o.MsgTimeout, err = time.ParseDuration(value)
		case "max-msg-timeout":
			o.MaxMsgTimeout, err = time.ParseDuration(value)
		default:
			err = fmt.Errorf("no such option here")
		}
		if err != nil {
			t.Fatalf("option %s: %v", name, err)
		}
	}
	return o
}

// start starts the server.
func (sim *simWorld) start() {
	sim.t.Helper()
	sim.loop.moving.Store(true) // what New posts is for later
	defer sim.loop.moving.Store(false)
	var err error
	if sim.s, err = server.New(sim.loop, sim.o); err != nil {
		sim.t.Fatal(err)
	}
}

// startLookupd starts an nsqlookupd with the options of a transcript.
func (sim *simWorld) startLookupd(flags map[string]string) {
	sim.t.Helper()
	o := server.LookupdOptions{TCPAddress: ":4150", BroadcastAddress: "lookupd"}
	for name, value := range flags {
		var err error
		switch name {
		case "role":
		case "tombstone-lifetime":
			o.TombstoneLifetime, err = time.ParseDuration(value)
		case "inactive-producer-timeout":
			o.InactiveProducerTimeout, err = time.ParseDuration(value)
		default:
			err = fmt.Errorf("no such option here")
		}
		if err != nil {
			sim.t.Fatalf("option %s: %v", name, err)
		}
	}
	sim.loop.moving.Store(true)
	defer sim.loop.moving.Store(false)
	var err error
	if sim.d, err = server.NewLookupd(sim.loop, o); err != nil {
		sim.t.Fatal(err)
	}
	sim.t.Cleanup(func() { sim.outside(func() { _ = sim.d.Close() }) }) // it has nothing to keep
}

// outside runs f on a goroutine of its own, because it waits for the server's
// loop, and moves the world when f has posted something, until f is done.
func (sim *simWorld) outside(f func()) {
	sim.t.Helper()
	done := make(chan struct{})
	go func() {
		defer close(done)
		f()
	}()
	for {
		select {
		case <-done:
			return
		case p := <-sim.loop.posts:
			err := sim.loop.Loop.Post(p.f)
			sim.wait(time.Millisecond)
			p.done <- err
		case <-time.After(100 * time.Millisecond):
			// f waits for something that takes virtual time.
			sim.wait(time.Millisecond)
		}
	}
}

// wait lets time pass.
func (sim *simWorld) wait(d time.Duration) {
	sim.loop.moving.Store(true)
	defer sim.loop.moving.Store(false)
	sim.w.Run(d)
}

func (sim *simWorld) settle() { sim.wait(answered) }

func (sim *simWorld) http(method, path, body string) (int, http.Header, string) {
	sim.t.Helper()
	answer := httptest.NewRecorder()
	request := httptest.NewRequest(method, path, strings.NewReader(body))
	request.Host = "127.0.0.1:4151"
	var handler http.Handler
	if sim.d != nil {
		handler = sim.d.Handler()
	} else {
		handler = sim.s.Handler()
	}
	sim.outside(func() { handler.ServeHTTP(answer, request) })
	return answer.Code, answer.Header(), answer.Body.String()
}

func (sim *simWorld) restart() {
	sim.t.Helper()
	var err error
	sim.outside(func() { err = sim.s.Shutdown(context.Background()) })
	if err != nil {
		sim.t.Fatalf("shut down the server: %v", err)
	}
	sim.start()
}

func (sim *simWorld) dial() peer {
	sim.t.Helper()
	p := &simPeer{client: sim.client}
	sim.client.Do(func() { sim.client.Dial("nsqd:4150", loop.DialOptions{}, p) })
	sim.settle()
	if p.conn == nil || p.ended {
		sim.t.Fatal("no connection to the server")
	}
	return p
}

// clientIP is where the server sees its clients.
func (sim *simWorld) clientIP() string { return "10.0.0.2" }

// simPeer is a connection in the world's network.
type simPeer struct {
	client *looptest.Loop
	conn   loop.Conn
	input  []byte
	ended  bool
}

func (p *simPeer) OnOpen(c loop.Conn) { p.conn = c }

func (p *simPeer) OnData(b []byte) int {
	p.input = append(p.input, b...)
	return len(b)
}

func (p *simPeer) OnClose(error) { p.ended = true }

func (p *simPeer) send(b []byte) { p.client.Do(func() { p.conn.Write(b) }) }
func (p *simPeer) close()        { p.client.Do(func() { p.conn.Close() }) }
func (p *simPeer) closed() bool  { return p.ended }

func (p *simPeer) received() []byte {
	b := p.input
	p.input = nil
	return b
}

// TestServer plays the transcripts against our server.
func TestServer(t *testing.T) {
	for _, path := range transcripts(t) {
		s := mustParse(t, path)
		t.Run(strings.TrimSuffix(filepath.Base(path), ".txt"), func(t *testing.T) {
			play(t, newSimWorld(t, s.options), s)
			if *update && !t.Failed() {
				rewrite(t, path, s)
			}
		})
	}
}
