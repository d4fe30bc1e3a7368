package admin_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/nsqloop/nsqloop/internal/testwait"
	"github.com/nsqloop/nsqloop/loop"
	"github.com/nsqloop/nsqloop/reader"
	"github.com/nsqloop/nsqloop/server/admin"
	"github.com/nsqloop/nsqloop/server/nsqtest"
)

// TestBrowser runs testdata/browser.mjs in a real browser: the checks there are
// the subtests. It needs node, chromium, and a directory in
// NSQLOOP_TEST_BROWSER in which playwright-core and axe-core are installed.
func TestBrowser(t *testing.T) {
	modules := os.Getenv("NSQLOOP_TEST_BROWSER")
	if modules == "" {
		t.Skip("NSQLOOP_TEST_BROWSER names no directory with playwright-core and axe-core")
	}
	node, err := exec.LookPath("node")
	if err != nil {
		t.Skip("there is no node")
	}
	browser, err := exec.LookPath("chromium")
	if err != nil {
		t.Skip("there is no chromium")
	}
	d := nsqtest.StartLookupd(t)
	s := nsqtest.Start(t, nsqtest.Registered(d))
	for _, channel := range []string{"billing", "audit"} {
		post(t, s.HTTPAddr(), "/topic/create?topic=orders")
		post(t, s.HTTPAddr(), "/channel/create?topic=orders&channel="+channel)
	}
	post(t, s.HTTPAddr(), "/channel/delete?topic=orders&channel=audit")
	p := open(t, admin.Options{LookupdHTTPAddresses: []string{d.HTTPAddr()}})
	testwait.Until(t, "the nsqd is registered", func() bool {
		status, _ := p.ask("GET", "/api/topics/orders/billing", "")
		return status == 200
	})
	readOnly := open(t, admin.Options{LookupdHTTPAddresses: []string{d.HTTPAddr()}, ReadOnly: true})

	ctx, cancel := context.WithTimeout(context.Background(), 4*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, node, "testdata/browser.mjs", p.base+"/", readOnly.base+"/", onDemand(t, s), modules, browser)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	checks := 0
	for lines := bufio.NewScanner(out); lines.Scan(); {
		checks++
		word, rest, _ := strings.Cut(lines.Text(), " ")
		name, why, _ := strings.Cut(rest, ": ")
		t.Run(name, func(t *testing.T) {
			if word != "ok" {
				t.Error(why)
			}
		})
	}
	if err := cmd.Wait(); err != nil && !t.Failed() {
		t.Errorf("the script: %v", err)
	}
	if checks < 10 {
		t.Errorf("%d checks were made", checks)
	}
}

// onDemand serves what the script cannot do itself, and returns its address.
func onDemand(t *testing.T, s *nsqtest.Server) string {
	mux := http.NewServeMux()
	mux.HandleFunc("/publish", func(w http.ResponseWriter, r *http.Request) {
		n, _ := strconv.Atoi(r.FormValue("n")) // 0 publishes nothing, which the script will see
		bodies := make([]string, n)
		for i := range bodies {
			bodies[i] = fmt.Sprintf(`{"n":%d}`, i)
		}
		topic := r.FormValue("topic")
		if topic == "" {
			topic = "orders"
		}
		s.Publish(topic, bodies...)
	})
	mux.HandleFunc("/consume", func(w http.ResponseWriter, r *http.Request) {
		for _, body := range consume(t, s) {
			fmt.Fprintln(w, body)
		}
	})
	var client net.Conn
	mux.HandleFunc("/subscribe", func(w http.ResponseWriter, r *http.Request) {
		c, err := net.Dial("tcp", s.TCPAddr())
		if err == nil {
			t.Cleanup(func() { _ = c.Close() })
			_, err = c.Write([]byte("  V2SUB orders billing\n"))
		}
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		client = c
		fmt.Fprintln(w, c.LocalAddr())
	})
	mux.HandleFunc("/subscribed", func(w http.ResponseWriter, r *http.Request) {
		// The answer to SUB, and then nothing but the end.
		got, err := io.ReadAll(client)
		if err != nil || len(got) == 0 {
			http.Error(w, fmt.Sprint(got, err), http.StatusInternalServerError)
			return
		}
		fmt.Fprintln(w, "closed")
	})
	var slow net.Conn
	mux.HandleFunc("/late", func(w http.ResponseWriter, r *http.Request) {
		s.Publish("slow", "once")
		c, err := net.Dial("tcp", s.TCPAddr())
		if err == nil {
			t.Cleanup(func() { _ = c.Close() })
			const identify = `{"msg_timeout":1000}`
			_, err = c.Write([]byte("  V2IDENTIFY\n\x00\x00\x00" + string(rune(len(identify))) + identify + "SUB slow c\nRDY 1\n"))
		}
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		slow = c
	})
	mux.HandleFunc("/gone", func(w http.ResponseWriter, r *http.Request) { _ = slow.Close() })
	control := httptest.NewServer(mux)
	t.Cleanup(control.Close)
	return control.URL
}

// consume finishes what channel billing holds, and returns the bodies.
func consume(t *testing.T, s *nsqtest.Server) []string {
	l, err := loop.New(loop.Options{})
	if err != nil {
		t.Error(err)
		return nil
	}
	ctx, stop := context.WithTimeout(context.Background(), 10*time.Second)
	defer stop()
	left := s.Channel("orders", "billing").Depth
	var bodies []string
	_, err = reader.New(l, reader.Options{
		Topic: "orders", Channel: "billing", NSQDs: []string{s.TCPAddr()}, MaxInFlight: 10,
		Handler: func(m *reader.Message) error {
			bodies = append(bodies, string(m.Body))
			if left--; left == 0 {
				stop()
			}
			return nil
		},
	})
	if err != nil {
		t.Error(err)
		return nil
	}
	if err := l.Run(ctx); err != nil {
		t.Error(err)
	}
	return bodies
}
