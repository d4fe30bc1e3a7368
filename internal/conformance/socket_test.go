package conformance

import (
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// socketWorld is an nsqd somewhere, and real time.
type socketWorld struct {
	t        testing.TB
	tcp, web string
	ip       string

	// activity has a token when something has been received.
	activity chan struct{}
}

// silence is how long nothing must have been received for everything to be
// taken as answered. Messages that nsqd may keep in its buffer for longer are
// waited for in the transcript.
const silence = 50 * time.Millisecond

func (w *socketWorld) dial() peer {
	w.t.Helper()
	c, err := net.DialTimeout("tcp", w.tcp, 5*time.Second)
	if err != nil {
		w.t.Fatal(err)
	}
	w.ip, _, _ = net.SplitHostPort(c.LocalAddr().String())
	p := &socketPeer{w: w, c: c}
	w.t.Cleanup(p.close)
	go p.read()
	return p
}

func (w *socketWorld) wait(d time.Duration) { <-time.After(d) }

func (w *socketWorld) settle() {
	for {
		select {
		case <-w.activity:
		case <-time.After(silence):
			return
		}
	}
}

func (w *socketWorld) http(method, path, body string) (int, http.Header, string) {
	w.t.Helper()
	req, err := http.NewRequest(method, "http://"+w.web+path, strings.NewReader(body))
	if err != nil {
		w.t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		w.t.Fatal(err)
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	if err != nil {
		w.t.Fatal(err)
	}
	return resp.StatusCode, resp.Header, string(answer)
}

func (w *socketWorld) restart()         { w.t.Fatal("a server that others run cannot be restarted") }
func (w *socketWorld) clientIP() string { return w.ip }

// clean deletes all topics.
func (w *socketWorld) clean() {
	w.t.Helper()
	var stats struct {
		Topics []struct {
			Name string `json:"topic_name"`
		} `json:"topics"`
	}
	_, _, answer := w.http("GET", "/stats?format=json", "")
	if err := json.Unmarshal([]byte(answer), &stats); err != nil {
		w.t.Fatal(err)
	}
	for _, topic := range stats.Topics {
		w.http("POST", "/topic/delete?topic="+url.QueryEscape(topic.Name), "")
	}
}

// socketPeer is a connection over a socket.
type socketPeer struct {
	w *socketWorld
	c net.Conn

	// mu guards what the reading goroutine leaves for the test's.
	mu    sync.Mutex
	input []byte
	ended bool
}

// read keeps what the server sends.
func (p *socketPeer) read() {
	b := make([]byte, 64<<10)
	for {
		n, err := p.c.Read(b)
		p.mu.Lock()
		p.input = append(p.input, b[:n]...)
		p.ended = err != nil
		p.mu.Unlock()
		select {
		case p.w.activity <- struct{}{}:
		default:
		}
		if err != nil {
			return
		}
	}
}

func (p *socketPeer) send(b []byte) {
	// The server may have closed already, which the transcript will show.
	_, _ = p.c.Write(b)
}

func (p *socketPeer) received() []byte {
	p.mu.Lock()
	defer p.mu.Unlock()
	b := p.input
	p.input = nil
	return b
}

func (p *socketPeer) closed() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.ended
}

func (p *socketPeer) close() { p.c.Close() }

// differs names the transcripts that NSQ's own nsqd 1.3.0 does not follow, and
// why that is as it should be.
var differs = map[string]string{
	"http_config":    "enable_experiment can be asked for here, too",
	"http_mpub":      "nsqd holds its messages back for output_buffer_timeout",
	"http_pub":       "nsqd looks for what is due now and then, so it comes later",
	"identify_again": "nsqd keeps the first heartbeat interval (T-7)",
	"identify_reply": "topology_region and topology_zone came after 1.3.0",
	"mpub":           "nsqd makes the topic of an MPUB without messages",
}

// TestNsqd plays the transcripts against the nsqd at NSQD_ADDR.
func TestNsqd(t *testing.T) {
	tcp, web := os.Getenv("NSQD_ADDR"), os.Getenv("NSQD_HTTP_ADDR")
	if tcp == "" || web == "" {
		t.Skip("NSQD_ADDR and NSQD_HTTP_ADDR do not name an nsqd to compare with")
	}
	for _, path := range transcripts(t) {
		s := mustParse(t, path)
		t.Run(strings.TrimSuffix(filepath.Base(path), ".txt"), func(t *testing.T) {
			if *update {
				t.Skip("-update writes down what our server answers")
			}
			if len(s.options) > 0 {
				t.Skip("needs an nsqd with other settings")
			}
			if why := differs[strings.TrimSuffix(filepath.Base(path), ".txt")]; why != "" {
				t.Skip(why)
			}
			w := &socketWorld{t: t, tcp: tcp, web: web, activity: make(chan struct{}, 1)}
			w.clean()
			play(t, w, s)
		})
	}
}
