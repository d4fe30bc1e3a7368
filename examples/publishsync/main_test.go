package main

import (
	"context"
	"io"
	"net/http"
	"regexp"
	"strings"
	"testing"

	"github.com/nsqloop/nsqloop/examples/internal/exampletest"
	"github.com/nsqloop/nsqloop/server/nsqtest"
)

func TestMain(m *testing.M) { exampletest.Main(m) }

func TestPublishSync_AnswersWhenTheMessageIsSafe(t *testing.T) {
	s := nsqtest.Start(t)
	p := exampletest.Start(t, func(ctx context.Context, out *exampletest.Running) error {
		return run(ctx, []string{s.TCPAddr()}, "127.0.0.1:0", out)
	})
	p.Wait("/TOPIC\n")
	url := regexp.MustCompile(`http://[^/]+`).FindString(p.String())
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	post := func(path, body string) (int, string) {
		t.Helper()
		r, err := client.Post(url+path, "text/plain", strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		defer r.Body.Close()
		said, err := io.ReadAll(r.Body)
		if err != nil {
			t.Fatal(err)
		}
		return r.StatusCode, string(said)
	}
	if code, said := post("/orders", "hello"); code != http.StatusOK || said != "published\n" {
		t.Errorf("%d %s", code, said)
	}
	s.WaitDepth("orders", "", 1)
	if code, said := post("/no%20topic", "hello"); code != http.StatusBadRequest || !strings.Contains(said, "E_BAD_TOPIC") {
		t.Errorf("a bad topic: %d %s", code, said)
	}
}
