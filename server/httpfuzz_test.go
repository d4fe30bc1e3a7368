package server

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
)

// FuzzHTTP sends any method, path, query and body: no handler panics, each
// status is one that is counted, and each refusal is JSON or the text of a
// route that has text.
func FuzzHTTP(f *testing.F) {
	s := startHTTP(f, Options{MaxMsgSize: 100, MaxBodySize: 400})
	h := s.Handler()
	for _, seed := range []struct{ method, path, query, body string }{
		{"POST", "/pub", "topic=t&defer=5", "x"},
		{"POST", "/mpub", "topic=t&binary=1", mpubBody("a", "b")},
		{"POST", "/mpub", "topic=t", "a\n\nb"},
		{"POST", "/channel/create", "topic=t&channel=c%23ephemeral", ""},
		{"POST", "/topic/delete", "topic=t", ""},
		{"GET", "/stats", "format=json&topic=t&channel=c&include_clients=0", ""},
		{"GET", "/../STATS//", "a;b", ""},
		{"PUT", "/config/log_level", "", "warn"},
		{"OPTIONS", "*", "%zz", ""},
		{"GET", "/debug/pprof", "", ""},
	} {
		f.Add(seed.method, seed.path, seed.query, []byte(seed.body))
	}
	f.Fuzz(func(t *testing.T, method, path, query string, body []byte) {
		if strings.HasPrefix(canonical(path), "/debug") {
			return // profiles take as long as they are asked to
		}
		r := httptest.NewRequest("GET", "/", strings.NewReader(string(body)))
		r.Method, r.URL = method, &url.URL{Path: path, RawQuery: query}
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		if !slices.Contains(countedCodes[:], w.Code) || w.Code >= 500 {
			t.Fatalf("%s %q ?%q: %d %s", method, path, query, w.Code, w.Body)
		}
		if w.Code >= 400 && method != http.MethodHead {
			var e struct{ Message string }
			if err := json.Unmarshal(w.Body.Bytes(), &e); err != nil || e.Message == "" {
				t.Fatalf("%s %q ?%q: %d %q: %v", method, path, query, w.Code, w.Body, err)
			}
		}
	})
}

// BenchmarkHTTP_Pub is one publish over a connection that stays open.
func BenchmarkHTTP_Pub(b *testing.B) {
	s := startHTTP(b, Options{})
	client := &http.Client{}
	target := "http://" + s.HTTPAddr().String() + "/pub?topic=t"
	body := strings.Repeat("x", 200)
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		if i%(1<<18) == 1<<18-1 { // so that it does not fill the memory
			res, err := client.Post("http://"+s.HTTPAddr().String()+"/topic/empty?topic=t", "", nil)
			if err != nil {
				b.Fatal(err)
			}
			res.Body.Close()
		}
		res, err := client.Post(target, "", strings.NewReader(body))
		if err != nil {
			b.Fatal(err)
		}
		res.Body.Close()
		if res.StatusCode != 200 {
			b.Fatal(res.Status)
		}
	}
}

// TestCanonical_DoesNotAllocate: it runs once per request.
func TestCanonical_DoesNotAllocate(t *testing.T) {
	for _, p := range []string{"/pub", "/config/log_level", "/debug/pprof/", "/nope"} {
		if n := testing.AllocsPerRun(100, func() { _ = canonical(p) }); n != 0 {
			t.Errorf("canonical(%q) allocates %v times", p, n)
		}
		if got := canonical(p); got != p {
			t.Errorf("canonical(%q) = %q", p, got)
		}
	}
}
