package server

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/nsqloop/nsqloop/internal/testwait"
	"github.com/nsqloop/nsqloop/internal/wire"
)

// openTap begins a tap; it has begun when openTap returns.
func openTap(t testing.TB, s *Server, query string, header ...string) (*http.Response, *bufio.Reader) {
	t.Helper()
	// A stream that brings nothing is a failure, not a test that hangs.
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	t.Cleanup(cancel)
	req, err := http.NewRequestWithContext(ctx, "GET", "http://"+s.HTTPAddr().String()+"/topic/tap?"+query, nil)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	res, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { res.Body.Close() })
	if res.StatusCode != 200 {
		t.Fatalf("status %d", res.StatusCode)
	}
	return res, bufio.NewReader(res.Body)
}

func line(t testing.TB, r *bufio.Reader) string {
	t.Helper()
	s, err := r.ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSuffix(s, "\n")
}

func TestTap_FollowsWithoutConsuming(t *testing.T) {
	s := startHTTP(t, Options{})
	if err := s.Publish("t", []byte("before")); err != nil {
		t.Fatal(err)
	}
	res, r := openTap(t, s, "topic=t")
	if ct := res.Header.Get("Content-Type"); ct != "application/x-ndjson" {
		t.Errorf("Content-Type %q", ct)
	}
	_, raw := openTap(t, s, "topic=t&format=raw")
	_, sse := openTap(t, s, "topic=t", "Accept", "text/event-stream")
	if err := s.Publish("t", []byte("one"), []byte("\xff")); err != nil {
		t.Fatal(err)
	}
	if a := ask(t, s, "POST", "/pub?topic=t&defer=60000", "later"); a.status != 200 {
		t.Fatal(a)
	}
	var got [3]messageJSON
	for i := range got {
		if err := json.Unmarshal([]byte(line(t, r)), &got[i]); err != nil {
			t.Fatal(err)
		}
	}
	if got[0].Body != "one" || got[1].Encoding != "base64" || got[2].Body != "later" || got[2].Due-got[2].Timestamp != int64(time.Minute) || got[0].ID >= got[1].ID {
		t.Errorf("got %+v", got)
	}
	if a, b := line(t, raw), line(t, raw); a != "one" || b != "\xff" {
		t.Errorf("raw: %q %q", a, b)
	}
	if a, b, c := line(t, sse), line(t, sse), line(t, sse); a != "id: "+got[0].ID || !strings.HasPrefix(b, `data: {"id":"`+got[0].ID+`"`) || c != "" {
		t.Errorf("events: %q %q %q", a, b, c)
	}
	st, err := s.Stats(StatsOptions{})
	if err != nil || st.Topics[0].Depth != 4 || st.Topics[0].MessageCount != 4 {
		t.Errorf("%+v, %v", st.Topics, err)
	}
}

func TestTap_EndsWithItsCountItsTopicAndTheServer(t *testing.T) {
	s := startHTTP(t, Options{})
	ask(t, s, "POST", "/topic/create?topic=t", "")
	ask(t, s, "POST", "/topic/create?topic=u", "")
	_, counted := openTap(t, s, "topic=t&count=2&format=raw")
	_, ofTopic := openTap(t, s, "topic=t&format=raw")
	_, ofServer := openTap(t, s, "topic=u&format=raw")
	if err := s.Publish("t", []byte("1"), []byte("2"), []byte("3")); err != nil {
		t.Fatal(err)
	}
	if b, err := io.ReadAll(counted); err != nil || string(b) != "1\n2\n" {
		t.Errorf("two were asked for: %q, %v", b, err)
	}
	ask(t, s, "POST", "/topic/delete?topic=t", "")
	if b, err := io.ReadAll(ofTopic); err != nil || string(b) != "1\n2\n3\n" {
		t.Errorf("the topic is deleted: %q, %v", b, err)
	}
	if err := s.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
	if b, err := io.ReadAll(ofServer); err != nil || len(b) != 0 {
		t.Errorf("the server has stopped: %q, %v", b, err)
	}
}

func TestTap_Refusals(t *testing.T) {
	s := startHTTP(t, Options{})
	ask(t, s, "POST", "/topic/create?topic=t", "")
	runRows(t, s, []httpRow{
		{"no topic", "GET", "/topic/tap", "", 400, "MISSING_ARG_TOPIC"},
		{"unknown", "GET", "/topic/tap?topic=x", "", 404, "TOPIC_NOT_FOUND"},
		{"format", "GET", "/topic/tap?topic=t&format=xml", "", 400, "INVALID_ARG"},
		{"count", "GET", "/topic/tap?topic=t&count=0", "", 400, "INVALID_ARG"},
	})
	if a := ask(t, s, "GET", "/topic/tap?topic=t", "", "Host", "evil.example"); a.status != 403 {
		t.Errorf("a forged name: %d", a.status)
	}
	for range tapsMost {
		if err := s.call(func() {
			if _, err := s.taps.add(s.topic("t"), func() {}); err != nil {
				t.Error(err)
			}
		}); err != nil {
			t.Fatal(err)
		}
	}
	if a := ask(t, s, "GET", "/topic/tap?topic=t", ""); a.status != 503 || a.code(t) != "BUSY" {
		t.Errorf("one too many: %d %s", a.status, a.body)
	}
}

// taken reads what waits for a tap, as the handler would.
func (p *tap) taken() (bodies string, lost int64) {
	for {
		select {
		case b := <-p.queue:
			for _, m := range b.messages {
				bodies += string(m.Body[:1])
			}
			lost += b.lost
			p.pending.Add(-b.bytes)
			p.written.Add(1)
		default:
			return bodies, lost
		}
	}
}

func TestTap_SlowReaderLosesAndIsTold(t *testing.T) {
	w := newWorld(t, Options{})
	var p *tap
	w.do(func() {
		top, err := w.s.createTopic("t")
		if err == nil {
			p, err = w.s.taps.add(top, func() {})
		}
		if err != nil {
			t.Error(err)
		}
	})
	big := strings.Repeat("x", 900<<10)
	for i := range 8 {
		w.publish("t", fmt.Sprint(i)+big)
	}
	if got, lost := p.taken(); got != "0123" || lost != 0 {
		t.Errorf("got %q, lost %d", got, lost)
	}
	w.publish("t", "8")
	if got, lost := p.taken(); got != "8" || lost != 4 {
		t.Errorf("got %q, lost %d", got, lost)
	}
	for range tapQueue + 3 {
		w.publish("t", "x")
	}
	if got, lost := p.taken(); len(got) != tapQueue || lost != 0 {
		t.Errorf("%d turns waited, lost %d", len(got), lost)
	}
	// Without a further message, the sign of life says it.
	w.sleep(tapPulse)
	if got, lost := p.taken(); got != "" || lost != 3 {
		t.Errorf("got %q, lost %d", got, lost)
	}
	// More in one turn than a turn may hand over.
	bodies := make([][]byte, 8)
	for i := range bodies {
		bodies[i] = []byte(fmt.Sprint(i) + big)
	}
	w.do(func() { w.s.topic("t").publish(bodies, 0, func(error) {}) })
	if got, lost := p.taken(); got != "01234" || lost != 0 {
		t.Errorf("got %q, lost %d", got, lost)
	}
	w.publish("t", "z")
	if got, lost := p.taken(); got != "z" || lost != 3 {
		t.Errorf("got %q, lost %d", got, lost)
	}
}

// What waits for all readers together is a part of --max-memory, and is given
// back when they go.
func TestTap_ReadersThatDoNotReadHoldLittle(t *testing.T) {
	s := startHTTP(t, Options{MaxMemory: minMemory})
	if err := s.Publish("t", []byte("first")); err != nil {
		t.Fatal(err)
	}
	var taps []*http.Response
	for range 6 {
		res, _ := openTap(t, s, "topic=t")
		taps = append(taps, res)
	}
	body := make([]byte, s.budget.limit/tapShare/tapCost/3)
	most := int64(0)
	for range 100 {
		if err := s.Publish("t", body); err != nil {
			t.Fatal(err)
		}
		most = max(most, s.taps.held.Load())
	}
	if most > s.budget.limit/tapShare {
		t.Errorf("%d bytes wait, want %d at most", most, s.budget.limit/tapShare)
	}
	for _, res := range taps {
		res.Body.Close()
	}
	testwait.Until(t, "the memory of readers that have gone", func() bool { return s.taps.held.Load() == 0 })
}

func TestTap_DeafReaderIsCutOff(t *testing.T) {
	w := newWorld(t, Options{})
	cuts := 0
	var p *tap
	w.do(func() {
		top, _ := w.s.createTopic("t")
		p, _ = w.s.taps.add(top, func() { cuts++ })
	})
	for range 10 { // nothing waits but signs of life, which are taken
		w.sleep(tapPulse)
		p.taken()
	}
	w.publish("t", "x")
	w.sleep(tapPulse)
	if cuts != 0 {
		t.Fatalf("cut off after one pulse")
	}
	w.sleep(5 * tapPulse)
	if cuts != 1 {
		t.Errorf("cut off %d times", cuts)
	}
	w.do(func() { w.s.taps.remove(p); w.s.taps.remove(p) })
	w.sleep(tapPulse)
	if w.s.taps.armed || len(w.s.topic("t").taps) != 0 {
		t.Error("without a tap there is nothing to do")
	}
}

// TestTap_CostsNothingWithoutTaps: the publish of a message allocates no more
// with one tap on another topic than without.
func TestTap_CostsNothingWithoutTaps(t *testing.T) {
	b := newBare(t, Options{})
	c, _ := b.client()
	pub := wire.AppendPub(nil, "t", []byte("x"))
	measure := func() float64 { return testing.AllocsPerRun(200, func() { b.data(c, pub) }) }
	measure()
	before := measure()
	b.l.turn(func() {
		top, err := b.s.createTopic("other")
		if err == nil {
			_, err = b.s.taps.add(top, func() {})
		}
		if err != nil {
			t.Error(err)
		}
	})
	if after := measure(); after > before {
		t.Errorf("%v allocations, %v without a tap", after, before)
	}
}
