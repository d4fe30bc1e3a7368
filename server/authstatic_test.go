package server

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// writeSecrets writes a file of secrets with a time of change of its own.
func writeSecrets(t *testing.T, path, text string, at time.Time) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chtimes(path, at, at); err != nil {
		t.Fatal(err)
	}
}

func TestAuthStatic(t *testing.T) {
	path := filepath.Join(t.TempDir(), "secrets.json")
	at := time.Unix(1_700_000_000, 0)
	writeSecrets(t, path, `[
		{"secret":"one","identity":"ann","identity_url":"http://ann","ttl":10,
		 "authorizations":[{"topic":"^t$","channels":[".*"],"permissions":["publish"]}]},
		{"secret":"two","authorizations":[]}]`, at)
	w := newWorld(t, Options{AuthStatic: path})
	p := w.dial()
	p.auth("one")
	p.want(annsReply)
	p.pub("t", "x")
	p.want("OK")
	q := w.dialFrom("10.0.0.2")
	q.auth("two")
	q.wantClosed("E_UNAUTHORIZED AUTH no authorizations found")
	q = w.dialFrom("10.0.0.3")
	q.auth("three")
	q.wantClosed("E_AUTH_FAILED AUTH failed")

	// What cannot be read does not count.
	writeSecrets(t, path, `[`, at.Add(time.Second))
	w.sleep(10 * time.Second)
	p.pub("t", "x")
	p.want("OK")
	// A change counts when the grants expire.
	writeSecrets(t, path, `[{"secret":"one","authorizations":[{"topic":"u","channels":[""],"permissions":["publish"]}]}]`, at.Add(2*time.Second))
	p.pub("t", "x")
	p.want("OK")
	w.sleep(10 * time.Second)
	p.pub("t", "x")
	p.wantClosed(`E_UNAUTHORIZED AUTH failed for PUB on "t" ""`)
}

func TestAuthStatic_OthersAreAskedOfTheServers(t *testing.T) {
	path := filepath.Join(t.TempDir(), "secrets.json")
	writeSecrets(t, path, `[]`, time.Unix(1_700_000_000, 0))
	o, a := granting(everything)
	o.AuthStatic = path
	newWorld(t, o).dialAuthed()
	if len(a.asked) != 1 {
		t.Errorf("asked %d times, want 1", len(a.asked))
	}
}

func TestAuthStatic_Refuses(t *testing.T) {
	path := filepath.Join(t.TempDir(), "secrets.json")
	for _, text := range []string{
		``, `{}`, `[{"secret":""}]`, `[{"secret":"hidden","ttl":-1}]`,
		`[{"secret":"hidden","authorisations":[]}]`,
		`[{"secret":"hidden"},{"secret":"hidden"}]`,
		`[{"secret":"hidden","authorizations":[{"topic":"(","channels":[],"permissions":[]}]}]`,
	} {
		writeSecrets(t, path, text, time.Unix(1_700_000_000, 0))
		_, err := New(newBareLoop(), Options{AuthStatic: path})
		if err == nil || strings.Contains(err.Error(), "hidden") {
			t.Errorf("%s: %v", text, err)
		}
	}
	if _, err := New(newBareLoop(), Options{AuthStatic: path + "x"}); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a file that is not there: %v", err)
	}
}
