package server

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/nsqloop/nsqloop/server/datapath"
)

// FuzzMetadata starts a server on any list of topics: it comes up, takes a publish,
// and comes up again on the list that it has written itself.
func FuzzMetadata(f *testing.F) {
	for _, seed := range []string{
		`{"topics":[{"name":"t","paused":true,"channels":[{"name":"c","paused":true,"lite_number":3}]}],"version":"1.3.0","lite_version":"0.1.0"}`,
		`{"topics":[{"name":"t","paused":false,"channels":[{"name":"c"},{"name":"c"}]},{"name":"t"}],"version":"1.3.0"}`,
		`{"topics":[{"name":"t#ephemeral","channels":[{"name":"../c"}]}],"version":"0.2.20"}`,
		`{"topics":null}`, `[]`, `{`, "", "\x00",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, list []byte) {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, datapath.ListFile), list, 0o600); err != nil {
			t.Fatal(err)
		}
		o := Options{DataPath: dir}
		w := newWorld(t, o)
		w.publish("fuzzed", "message")
		w.stop()
		w.start(o)
		if n := w.topic("fuzzed").MessageCount + uint64(w.topic("fuzzed").Depth); n == 0 {
			t.Fatal("the message is not there after a restart")
		}
	})
}
