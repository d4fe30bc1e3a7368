package nsqtest_test

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/nsqloop/nsqloop/internal/wire"
	"github.com/nsqloop/nsqloop/server"
	"github.com/nsqloop/nsqloop/server/nsqtest"
)

// gnet brings a pool of goroutines that clean up after themselves for ever.
func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m,
		goleak.IgnoreTopFunction("github.com/panjf2000/ants/v2.(*poolCommon).purgeStaleWorkers"),
		goleak.IgnoreTopFunction("github.com/panjf2000/ants/v2.(*poolCommon).ticktock"))
}

func TestServer_TakesAndGivesMessages(t *testing.T) {
	s := nsqtest.Start(t)
	s.Publish("t", "hello", "world")
	if got := s.Topic("t").Depth; got != 2 {
		t.Errorf("depth %d, want 2", got)
	}
	c, err := net.Dial("tcp", s.TCPAddr())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := c.Write(wire.AppendRdy(wire.AppendSub([]byte(wire.MagicV2), "t", "c"), 2)); err != nil {
		t.Fatal(err)
	}
	r := bufio.NewReader(c)
	var in []byte
	var bodies []string
	for len(bodies) < 2 {
		b, err := r.ReadByte()
		if err != nil {
			t.Fatal(err)
		}
		in = append(in, b)
		kind, data, n, err := wire.ReadFrame(in, 0)
		if err != nil {
			t.Fatal(err)
		}
		if n > 0 && kind == wire.FrameMessage {
			m, err := wire.ReadMessage(data)
			if err != nil {
				t.Fatal(err)
			}
			bodies = append(bodies, string(m.Body))
		}
		in = in[n:]
	}
	if got := strings.Join(bodies, " "); got != "hello world" {
		t.Errorf("received %q", got)
	}
	if got := s.Channel("t", "c").InFlightCount; got != 2 {
		t.Errorf("%d in flight, want 2", got)
	}
}

func TestServer_ServesHTTP(t *testing.T) {
	s := nsqtest.Start(t)
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	r, err := client.Get("http://" + s.HTTPAddr() + "/ping")
	if err != nil {
		t.Fatal(err)
	}
	r.Body.Close()
	if r.StatusCode != http.StatusOK {
		t.Errorf("/ping answers %s", r.Status)
	}
}

func TestServer_OptionsApply(t *testing.T) {
	s := nsqtest.Start(t, func(o *server.Options) { o.MemQueueSize = 1; o.HTTPAddress = "" })
	s.Publish("t", "a", "b", "c")
	if got := s.Topic("t").BackendDepth; got != 2 {
		t.Errorf("backend depth %d, want 2", got)
	}
	if got := s.HTTPAddr(); got != "" {
		t.Errorf("HTTPAddr() = %q without HTTP", got)
	}
	s.Close()
	if _, err := net.Dial("tcp", s.TCPAddr()); err == nil {
		t.Error("the server accepts after Close")
	}
}

// BenchmarkStart is a server's whole life; a test that starts one should not
// notice.
func BenchmarkStart(b *testing.B) {
	for range b.N {
		nsqtest.Start(b).Close()
	}
}

func TestLookupd_KnowsTheServersThatRegister(t *testing.T) {
	d := nsqtest.StartLookupd(t, func(o *server.LookupdOptions) { o.LiteVersion = "9" })
	s := nsqtest.Start(t, nsqtest.Registered(d))
	s.Publish("t", "a")
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	_, port, _ := net.SplitHostPort(s.TCPAddr())
	want := `"broadcast_address":"127.0.0.1","tcp_port":` + port + `,`
	deadline := time.After(30 * time.Second)
	again := time.NewTicker(5 * time.Millisecond)
	defer again.Stop()
	for {
		r, err := client.Get("http://" + d.HTTPAddr() + "/lookup?topic=t")
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(r.Body)
		r.Body.Close()
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(string(body), want) {
			break
		}
		select {
		case <-deadline:
			t.Fatalf("%s has no %s", body, want)
		case <-again.C:
		}
	}
	d.Close()
	if _, err := net.Dial("tcp", d.TCPAddr()); err == nil {
		t.Error("the nsqlookupd accepts after Close")
	}
}
