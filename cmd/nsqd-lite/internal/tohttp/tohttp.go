// Package tohttp sends messages to HTTP addresses, as NSQ's nsq_to_http does. A
// message is finished when an address has taken it, and requeued otherwise.
//
// All decisions happen on the loop; requests are made on goroutines of the
// loop's, Options.Concurrency of them at most.
package tohttp

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/nsqloop/nsqloop/cmd/nsqd-lite/internal/pick"
	"github.com/nsqloop/nsqloop/loop"
	"github.com/nsqloop/nsqloop/reader"
)

// Options say what is sent where.
type Options struct {
	// Consumer says what is consumed. Handler is set.
	Consumer reader.Options

	// URLs are where to. With Get they have one %s each, which stands for the
	// body, and success is status 200; otherwise bodies are posted, and
	// success is any 2xx.
	URLs []string
	Get  bool

	// Header goes with each request, ContentType with those that post.
	Header      http.Header
	ContentType string

	// Mode says which of the URLs gets a message: one, or with All each.
	Mode pick.Mode

	// Concurrency is how many messages are being sent at once.
	Concurrency int

	// Sample is the share of messages that are sent, 0 to 1; the others are
	// finished without.
	Sample float64

	// StatusEvery is after how many messages the log says how it goes, 0 for
	// never.
	StatusEvery int

	// HTTP sends, with its own timeout.
	HTTP *http.Client

	Logger *slog.Logger // nil is silence
}

func (o *Options) check() error {
	switch {
	case len(o.URLs) == 0:
		return errors.New("no address to send to")
	case o.Concurrency < 1:
		return fmt.Errorf("%d at once: want at least 1", o.Concurrency)
	case !(o.Sample >= 0 && o.Sample <= 1):
		return fmt.Errorf("sample %v: want 0 to 1", o.Sample)
	}
	for _, u := range o.URLs {
		if n := strings.Count(u, "%s"); o.Get && n != 1 {
			return fmt.Errorf("address %s has %d %%s: want one, for the body", u, n)
		}
		parsed, err := url.Parse(strings.Replace(u, "%s", "", 1))
		if err != nil || parsed.Scheme != "http" && parsed.Scheme != "https" || parsed.Host == "" {
			return fmt.Errorf("address %s: want http:// or https://, and a host", u)
		}
	}
	return nil
}

// Sender sends. It belongs to its loop.
type Sender struct {
	l       loop.Loop
	o       Options
	pick    *pick.Picker
	waiting []*reader.Message
	running int
	status  status
}

// status is what the log is told each StatusEvery messages.
type status struct {
	since   time.Time
	sent    int
	failed  int
	longest time.Duration
	total   time.Duration
}

// New makes a Sender on l, which ends with it.
func New(l loop.Loop, o Options) (*Sender, error) {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if err := o.check(); err != nil {
		return nil, err
	}
	s := &Sender{l: l, o: o, pick: pick.New(o.Mode, len(o.URLs), l.Rand())}
	c := o.Consumer
	c.Handler = s.take
	if _, err := reader.New(l, c); err != nil {
		return nil, err
	}
	return s, nil
}

// take is the reader's handler.
func (s *Sender) take(m *reader.Message) error {
	if s.o.Sample < 1 && s.l.Rand().Float64() >= s.o.Sample {
		return nil
	}
	s.waiting = append(s.waiting, m)
	s.send()
	return reader.Pending
}

// send begins to send what may be sent.
func (s *Sender) send() {
	for s.running < s.o.Concurrency && len(s.waiting) > 0 {
		m := s.waiting[0]
		n := copy(s.waiting, s.waiting[1:]) // short: the messages in flight
		s.waiting[n] = nil
		s.waiting = s.waiting[:n]
		s.running++
		to, only := s.o.URLs, -1
		if s.o.Mode != pick.All {
			only = s.pick.Next(s.l.Now())
			to = to[only : only+1]
		}
		began := s.l.Now()
		s.l.Go(func() func() {
			err := s.sendAll(to, m.Body)
			return func() { s.done(m, only, began, err) }
		})
	}
}

// done answers a message. only is the address that was picked, -1 for all.
func (s *Sender) done(m *reader.Message, only int, began time.Time, err error) {
	s.running--
	now := s.l.Now()
	took := now.Sub(began)
	if err != nil {
		s.status.failed++
		s.o.Logger.Error("not sent", "id", m.ID.String(), "attempt", m.Attempts, "err", err)
		if only >= 0 {
			s.pick.Failed(only, now)
		}
		m.Requeue(reader.AutoDelay)
	} else {
		if only >= 0 {
			s.pick.Worked(only, took)
		}
		m.Finish()
	}
	s.report(now, took)
	s.send()
}

// report tells the log how it goes, now and then.
func (s *Sender) report(now time.Time, took time.Duration) {
	st := &s.status
	if st.since.IsZero() {
		st.since = now.Add(-took)
	}
	st.sent++
	st.total += took
	st.longest = max(st.longest, took)
	if s.o.StatusEvery == 0 || st.sent < s.o.StatusEvery {
		return
	}
	s.o.Logger.Info("sent", "messages", st.sent, "failed", st.failed, "in", now.Sub(st.since),
		"average", st.total/time.Duration(st.sent), "longest", st.longest)
	*st = status{since: now}
}

// sendAll sends a body to each address, until one does not take it. It blocks.
func (s *Sender) sendAll(to []string, body []byte) error {
	for _, u := range to {
		if err := s.sendOne(u, body); err != nil {
			return err
		}
	}
	return nil
}

func (s *Sender) sendOne(to string, body []byte) error {
	method, content := http.MethodPost, io.Reader(bytes.NewReader(body))
	if s.o.Get {
		method, content = http.MethodGet, nil
		to = strings.Replace(to, "%s", url.QueryEscape(string(body)), 1)
	}
	req, err := http.NewRequest(method, to, content)
	if err != nil {
		return err
	}
	for name, values := range s.o.Header {
		req.Header[name] = values
	}
	if host := req.Header.Get("Host"); host != "" {
		req.Host = host // where net/http looks for it
	}
	if !s.o.Get && req.Header.Get("Content-Type") == "" {
		req.Header.Set("Content-Type", s.o.ContentType)
	}
	res, err := s.o.HTTP.Do(req)
	if err != nil {
		return err
	}
	// Read, up to a limit, so that the connection is used again.
	_, _ = io.Copy(io.Discard, io.LimitReader(res.Body, 64<<10))
	_ = res.Body.Close() // the answer is its status
	if s.o.Get && res.StatusCode == http.StatusOK || !s.o.Get && res.StatusCode/100 == 2 {
		return nil
	}
	return fmt.Errorf("%s %s: %s", method, req.URL.Redacted(), res.Status)
}
