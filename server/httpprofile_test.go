package server

import (
	"fmt"
	"reflect"
	"strings"
	"testing"
)

// TestHTTP_Profiles: what go tool pprof asks for, it gets in its format.
func TestHTTP_Profiles(t *testing.T) {
	s := startHTTP(t, Options{})
	const gzipMagic = "\x1f\x8b"
	for _, path := range []string{"heap", "heap?gc=1", "goroutine", "profile?seconds=1"} {
		if a := ask(t, s, "GET", pprofPath+path, ""); a.status != 200 || !strings.HasPrefix(a.body, gzipMagic) {
			t.Errorf("%s: %d %.40q", path, a.status, a.body)
		}
	}
	if a := ask(t, s, "GET", pprofPath+"goroutine?debug=1", ""); !strings.Contains(a.body, "goroutine profile: total ") {
		t.Errorf("as text: %.100q", a.body)
	}
	address := fmt.Sprintf("%#x", reflect.ValueOf(TestHTTP_Profiles).Pointer())
	for _, a := range []answer{ask(t, s, "POST", pprofPath+"symbol", address+"+0x1"), ask(t, s, "GET", pprofPath+"symbol?"+address, "")} {
		if want := "num_symbols: 1\n" + address + " github.com/nsqloop/nsqloop/server.TestHTTP_Profiles\n"; a.body != want {
			t.Errorf("symbol %q, want %q", a.body, want)
		}
	}
	if a := ask(t, s, "GET", pprofPath+"cmdline", ""); !strings.Contains(a.body, "\x00-test.") {
		t.Errorf("command line %q", a.body)
	}
	for _, path := range []string{"profile?seconds=999", "heap?seconds=1"} {
		if a := ask(t, s, "GET", pprofPath+path, ""); a.status != 400 {
			t.Errorf("%s: %d", path, a.status)
		}
	}
}
