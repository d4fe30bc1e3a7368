package main

import (
	"strings"
	"testing"
)

const (
	config = `{"config": {"go_version": "go1.26.0"}} {"osv": {"id": "GO-1", "summary": "bad"}} `
	called = `{"finding": {"osv": "GO-1", "fixed_version": "v1.1.0",
		"trace": [{"module": "example.org/m", "version": "v1.0.0", "package": "example.org/m", "function": "F"}, {"module": "x"}]}} `
	imported = `{"finding": {"osv": "GO-1", "trace": [{"module": "example.org/m", "version": "v1.0.0", "package": "example.org/m"}]}} `
	inGo     = `{"finding": {"osv": "GO-2", "fixed_version": "v1.26.9",
		"trace": [{"module": "stdlib", "version": "v1.26.8", "package": "net/http", "function": "Get"}]}} `
)

// TestJudge: what is called counts, once; Go's own library where it is asked for.
func TestJudge(t *testing.T) {
	for name, row := range map[string]struct {
		in        string
		std, fine bool
		want      string
	}{
		"nothing":               {config, true, true, "reached: 0 in modules, 0 in Go's library\n"},
		"a module":              {config + called + called, false, false, "GO-1  example.org/m@v1.0.0, fixed in v1.1.0: bad\nreached: 1 in modules, 0 in Go's library\n"},
		"imported alone":        {config + imported, true, true, "reached: 0 in modules, 0 in Go's library\n"},
		"Go's library":          {config + inGo, false, true, "GO-2  stdlib@v1.26.8, fixed in v1.26.9: \nreached: 0 in modules, 1 in Go's library\n"},
		"the same in a release": {config + inGo, true, false, "reached: 0 in modules, 1 in Go's library\n"},
	} {
		holes, err := read(strings.NewReader(row.in))
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		var out strings.Builder
		err = judge(&out, holes, row.std)
		if (err == nil) != row.fine || !strings.HasSuffix(out.String(), row.want) {
			t.Errorf("%s: %v, printed %q, want %q", name, err, out.String(), row.want)
		}
	}
}

// TestRead_NoOutputIsNoGoodNews: a scan that did not happen has found nothing.
func TestRead_NoOutputIsNoGoodNews(t *testing.T) {
	for _, in := range []string{"", "{}", called, config + "{"} {
		if holes, err := read(strings.NewReader(in)); err == nil {
			t.Errorf("%q: %v, want an error", in, holes)
		}
	}
}
