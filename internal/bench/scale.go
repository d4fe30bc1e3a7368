package main

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/nsqloop/nsqloop/internal/wire"
)

// The scenarios here are about size: each prints lines of its own figures
// below the table, because a rate is not what they are about. They need a
// server that bench has started, and start it again.

var errOwnServer = errors.New("this scenario stops and starts the server: it takes -server, not -addr")

// note adds a figure to what is printed.
func (r *run) note(what, format string, args ...any) {
	r.result.notes = append(r.result.notes, fmt.Sprintf("%-48s %s", what, fmt.Sprintf(format, args...)))
}

// memory notes what the server holds.
func (r *run) memory(when string) int64 {
	n := residentMemory(r.server.pid())
	r.note("memory, "+when, "%s (at most %s)", mebibytes(n), mebibytes(peakMemory(r.server.pid())))
	return n
}

// restart ends the server, by a signal or by force, starts it on the same data,
// and notes how long each took.
func (r *run) restart(how string, ready func() error) error {
	from := time.Now()
	if err := r.server.end(how == "kill"); err != nil {
		return err
	}
	if how != "kill" {
		r.note("stop", "%v", time.Since(from).Round(time.Millisecond))
	}
	from = time.Now()
	if err := r.server.launch(); err != nil {
		return err
	}
	if err := r.server.await(); err != nil {
		return err
	}
	listening := time.Since(from)
	if err := ready(); err != nil {
		return err
	}
	r.note("start after "+how, "%v until it listens, %v until the first answer",
		listening.Round(time.Millisecond), time.Since(from).Round(time.Millisecond))
	return nil
}

// first waits for one message of the channel, and gives it back.
func (r *run) first() error {
	c, err := dial(r.addr, wide)
	if err != nil {
		return err
	}
	defer c.close()
	if err := c.subscribe(topic, channel, 1); err != nil {
		return err
	}
	for got := false; !got; {
		if err := c.read(func(t wire.FrameType, data []byte) error {
			if t == wire.FrameMessage {
				got = true
				c.out = wire.AppendReq(c.out, wire.ID(data[10:26]), 0)
			}
			return nil
		}); err != nil {
			return err
		}
	}
	return c.flush()
}

// waiting leaves -n messages waiting, stops, starts, kills and starts again.
func waiting(r *run) error {
	if r.server == nil {
		return errOwnServer
	}
	r.begin()
	if err := preload(r, r.n); err != nil {
		return err
	}
	r.end(r.n, nil)
	r.memory("published")
	if err := r.restart("a stop", r.first); err != nil {
		return err
	}
	r.memory("started")
	if err := r.restart("kill", r.first); err != nil {
		return err
	}
	r.memory("started")
	return nil
}

// later publishes -n messages with a delay, each due at a time that it has in
// its first eight bytes, and returns the latest.
func later(r *run, due func(i int) time.Time) (last time.Time, err error) {
	c, err := dial(r.addr, wide)
	if err != nil {
		return last, err
	}
	defer c.close()
	b := body(r.size)
	i := 0
	r.begin()
	_, err = c.pump(r.n, 1000, func(out []byte) []byte {
		at := due(i)
		i++
		if at.After(last) {
			last = at
		}
		// A whole number of milliseconds from now on, which is what DPUB takes.
		delay := time.Until(at).Truncate(time.Millisecond)
		binary.BigEndian.PutUint64(b, uint64(time.Now().Add(delay).UnixNano()))
		return wire.AppendDPub(out, topic, delay, b)
	})
	r.end(r.n, nil)
	return last, err
}

// collect takes -n messages and returns how late each was; early ones count.
func collect(r *run) (late []time.Duration, early int, err error) {
	c, err := dial(r.addr, wide)
	if err != nil {
		return nil, 0, err
	}
	defer c.close()
	if err := c.subscribe(topic, channel, 2500); err != nil {
		return nil, 0, err
	}
	err = c.drain(r.n, func(b []byte) {
		d := time.Since(time.Unix(0, int64(binary.BigEndian.Uint64(b))))
		if d < 0 {
			early++
		}
		late = append(late, d)
	})
	return late, early, err
}

// lateness notes how late messages were.
func (r *run) lateness(what string, late []time.Duration, early int) {
	sorted := append([]time.Duration(nil), late...)
	sortDurations(sorted)
	r.note(what, "p50 %v, p99 %v, at most %v; %d of %d early",
		quantile(sorted, 0.5).Round(10*time.Microsecond), quantile(sorted, 0.99).Round(10*time.Microsecond),
		quantile(sorted, 1).Round(10*time.Microsecond), early, len(sorted))
}

// deferred publishes -n messages for later, stops, starts, kills and starts a
// server of its own before the first is due, and takes them as they come, over
// -window.
func deferred(r *run) error {
	if err := errors.Join(warm(r), r.channel()); err != nil {
		return err
	}
	var before int64
	if r.server != nil {
		before = residentMemory(r.server.pid())
	}
	start := time.Now().Add(r.ahead)
	if _, err := later(r, func(i int) time.Time { return start.Add(scatter(i, r.window)) }); err != nil {
		return err
	}
	if r.server != nil {
		held := r.memory("published") - before
		r.note("memory for each", "%.0f bytes", float64(held)/float64(r.n))
		for _, how := range []string{"a stop", "kill"} {
			if err := r.restart(how, r.channel); err != nil {
				return err
			}
			r.memory("started")
		}
	}
	if left := time.Until(start); left < 0 {
		r.note("-ahead was too short", "the first message was due %v before everything was ready", -left)
	}
	late, early, err := collect(r)
	r.lateness(fmt.Sprintf("late, %d a second", int(float64(r.n)/r.window.Seconds())), late, early)
	return err
}

// scatter is a duration below most, in no order for one i after the other.
func scatter(i int, most time.Duration) time.Duration {
	x := uint64(i+1) * 0x9e3779b97f4a7c15
	x ^= x >> 32
	x *= 0xd6e8feb86659fd93
	return time.Duration((x >> 1) % uint64(most))
}

// channel makes the channel.
func (r *run) channel() error {
	c, err := dial(r.addr, narrow)
	if err != nil {
		return err
	}
	defer c.close()
	return c.subscribe(topic, channel, 0)
}

// instant publishes -n messages that are all due at one moment, and takes them.
func instant(r *run) error {
	if err := r.channel(); err != nil {
		return err
	}
	at := time.Now().Add(r.ahead)
	last, err := later(r, func(int) time.Time { return at })
	if err != nil {
		return err
	}
	late, early, err := collect(r)
	r.note("all taken and finished after", "%v", time.Since(last).Round(time.Millisecond))
	r.lateness("late", late, early)
	return err
}

// manyTopics makes -n topics with two channels each, lets the server rest, and
// stops and starts it.
func manyTopics(r *run) error {
	if r.server == nil {
		return errOwnServer
	}
	const side = 4 // requests at once
	r.begin()
	var wg sync.WaitGroup
	errs := make([]error, side)
	for k := range side {
		wg.Add(1)
		go func() {
			defer wg.Done()
			client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 1}}
			for i := k; i < r.n && errs[k] == nil; i += side {
				name := fmt.Sprintf("topic-%d", i)
				for _, path := range []string{"/topic/create?topic=" + name, "/channel/create?channel=a&topic=" + name, "/channel/create?channel=b&topic=" + name} {
					errs[k] = errors.Join(errs[k], post(client, "http://"+r.server.http+path))
				}
			}
		}()
	}
	wg.Wait()
	if err := errors.Join(errs...); err != nil {
		return err
	}
	r.end(r.n, nil)
	r.rest()
	if err := r.restart("a stop", r.channel); err != nil {
		return err
	}
	r.rest()
	if err := r.restart("kill", r.channel); err != nil {
		return err
	}
	return nil
}

// rest notes what the server holds and uses while nothing happens.
func (r *run) rest() {
	const quiet = 10 * time.Second
	time.Sleep(3 * time.Second) // what was made is written and synced
	before, ok := cpuTime(r.server.pid())
	time.Sleep(quiet)
	after, _ := cpuTime(r.server.pid())
	r.memory("at rest")
	if ok {
		r.note("processor time at rest", "%.1f %% of a core", 100*(after-before).Seconds()/quiet.Seconds())
	}
	if n, err := goroutines(r.server.http); err == nil {
		r.note("goroutines", "%s", n)
	}
}

// goroutines is how many goroutines a server says it has.
func goroutines(addr string) (string, error) {
	res, err := http.Get("http://" + addr + "/debug/pprof/goroutine?debug=1")
	if err != nil {
		return "", err
	}
	defer res.Body.Close()
	b, err := io.ReadAll(io.LimitReader(res.Body, 100))
	_, n, _ := strings.Cut(strings.SplitN(string(b), "\n", 2)[0], "total ")
	return n, err
}

func post(c *http.Client, url string) error {
	res, err := c.Post(url, "", nil)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	_, err = io.Copy(io.Discard, res.Body)
	if err == nil && res.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s", url, res.Status)
	}
	return err
}
