package main

import (
	"flag"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// FuzzConfig reads any config file: it is taken, or refused with the name of the
// file, and never both.
func FuzzConfig(f *testing.F) {
	for _, seed := range []string{
		"tcp_address = \"127.0.0.1:0\"\nmsg_timeout = \"1m\"\nmax_rdy_count = 5\n",
		"nsqlookupd_tcp_addresses = [\"a:1\", \"b:2\"]\ntls_required = true\n",
		"e2e_processing_latency_percentiles = [0.5, 1.0]\nmsg_timeout = 500\n",
		"[nsqd]\nid = 3\n[nsqlookupd]\nverbose = true\n",
		"msg_timeout = 1979-05-27\n", "id = [1]\n", "a = {b = [{c = 1}]}", "=", "\x00", "",
	} {
		f.Add([]byte(seed))
	}
	p := process{getenv: func(string) (string, bool) { return "", false }, stdout: io.Discard, stderr: io.Discard}
	f.Fuzz(func(t *testing.T, text []byte) {
		path := filepath.Join(t.TempDir(), "nsqd.cfg")
		if err := os.WriteFile(path, text, 0o600); err != nil {
			t.Fatal(err)
		}
		if _, _, code, err := parseFlags(p, []string{"--config=" + path}); err != nil && (code == exitOK || err.Error() == "") {
			t.Fatalf("exit code %d, error %v", code, err)
		}
		s := new(settings)
		fs := newFlags(s)
		if err := fromTables(path, map[*flag.FlagSet]sources{fs: {}}); err != nil && !strings.Contains(err.Error(), path) {
			t.Fatalf("%v does not name the file", err)
		}
	})
}
