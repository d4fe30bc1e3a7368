package server

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nsqloop/nsqloop/server/datapath"
)

// readMetadata is the file's content; "" without one.
func readMetadata(t *testing.T, dir string) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(dir, datapath.ListFile))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
	return string(b)
}

func TestMetadata_Form(t *testing.T) { // 202, 210
	dir := t.TempDir()
	w := newWorld(t, Options{DataPath: dir, LiteVersion: "1"})
	want := func(topics string) {
		t.Helper()
		w.sleep(metadataDelay)
		if got, want := readMetadata(t, dir), `{"topics":`+topics+`,"version":"1.3.0","lite_version":"1"}`; got != want {
			t.Errorf("the file has %s, want %s", got, want)
		}
	}
	want("null")
	w.publish("t", "x")
	want(`[{"name":"t","paused":false,"channels":null}]`)
	w.subscribe("t", "c", 1)
	w.subscribe("t", "e#ephemeral", 1)
	w.subscribe("e#ephemeral", "c", 1)
	want(`[{"name":"t","paused":false,"channels":[{"name":"c","paused":false,"lite_number":1}]}]`)
	w.do(func() {
		if err := errors.Join(w.s.topic("t").pause(true), w.s.topic("t").channel("c").pause(true)); err != nil {
			t.Error(err)
		}
	})
	want(`[{"name":"t","paused":true,"channels":[{"name":"c","paused":true,"lite_number":1}]}]`)
	info, err := os.Stat(filepath.Join(dir, datapath.ListFile))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the file's mode is %v, %v", info.Mode(), err)
	}
	w.do(func() { w.s.topic("t").deleteChannel(w.s.topic("t").channel("c")) })
	want(`[{"name":"t","paused":true,"channels":null}]`)
	w.do(func() {
		if err := w.s.deleteTopic(w.s.topic("t")); err != nil {
			t.Error(err)
		}
	})
	want("null")
}

func TestMetadata_ChangesAreGathered(t *testing.T) {
	dir := t.TempDir()
	w := newWorld(t, Options{DataPath: dir})
	w.sleep(metadataDelay)
	before := w.s.metadata.written
	for _, topic := range strings.Fields("a b c d e f g h") {
		w.publish(topic, "x")
	}
	w.sleep(metadataDelay)
	w.sleep(time.Second)
	if got := readMetadata(t, dir); strings.Count(got, `"name"`) != 8 || w.s.metadata.written == before {
		t.Errorf("the file has %s", got)
	}
	// An older state that comes late does not replace a newer one.
	old := &datapath.List{Version: "old"}
	if err := w.s.metadata.save(old, before); err != nil || strings.Contains(readMetadata(t, dir), "old") {
		t.Errorf("an older state is written, %v", err)
	}
}

// A long list is written less often.
func TestMetadata_OfManyTopicsWaitsLonger(t *testing.T) {
	dir := t.TempDir()
	w := newWorld(t, Options{DataPath: dir})
	w.do(func() {
		for i := range 2 * metadataEach {
			if _, err := w.s.createTopic(fmt.Sprint(i)); err != nil {
				t.Fatal(err)
			}
		}
	})
	w.sleep(metadataDelay) // the first topic began to wait when there was no other
	w.do(func() {
		if _, err := w.s.createTopic("last"); err != nil {
			t.Fatal(err)
		}
	})
	w.sleep(2 * metadataDelay)
	if strings.Contains(readMetadata(t, dir), `"last"`) {
		t.Error("a long list is written as soon as a short one")
	}
	w.sleep(metadataDelay)
	if !strings.Contains(readMetadata(t, dir), `"last"`) {
		t.Error("a long list is not written")
	}
}

func TestMetadata_IsWholeAfterStopAndStart(t *testing.T) { // 211
	dir := t.TempDir()
	w := newWorld(t, Options{DataPath: dir})
	w.publish("a", "x")
	w.publish("b", "x")
	w.stop() // before the file was due
	left := readMetadata(t, dir)
	if !strings.Contains(left, `"a"`) || !strings.Contains(left, `"b"`) {
		t.Fatalf("the stop left %s", left)
	}
	s, err := New(w.l, Options{DataPath: dir})
	if err != nil {
		t.Fatal(err)
	}
	w.s = s
	if got := readMetadata(t, dir); got != left {
		t.Errorf("while loading the file has %s, want %s", got, left)
	}
	w.l.turn(func() {})
	w.sleep(metadataDelay)
	if got := readMetadata(t, dir); got != left {
		t.Errorf("after loading the file has %s, want %s", got, left)
	}
}

func TestMetadata_IsNotNeeded(t *testing.T) {
	for name, content := range map[string]string{"missing": "", "empty": "", "damaged": "{", "of nsqd": `{"topics":[{"name":"z"}],"version":"1.2.1"}`} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			w := newWorld(t, Options{DataPath: dir})
			w.publish("t", "x")
			w.stop()
			path := filepath.Join(dir, datapath.ListFile)
			if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
				t.Fatal(err)
			}
			if name == "missing" {
				if err := os.Remove(path); err != nil {
					t.Fatal(err)
				}
			}
			var log strings.Builder
			w.start(Options{DataPath: dir, Logger: slog.New(slog.NewTextHandler(&log, nil))})
			w.sleep(metadataDelay)
			if got := readMetadata(t, dir); !strings.Contains(got, `"t"`) || w.names() != map[bool]string{true: "t() z()", false: "t()"}[name == "of nsqd"] {
				t.Errorf("topics %s, the file has %s", w.names(), got)
			}
			if warned := strings.Contains(log.String(), "level=WARN"); warned != (name != "missing") {
				t.Errorf("warned is %v: %s", warned, log.String())
			}
			aside, _ := os.ReadFile(path + ".nsqd")
			if (string(aside) == content) != (name == "of nsqd") && content != "" {
				t.Errorf("kept as %q", aside)
			}
		})
	}
}

func TestMetadata_CannotBeWritten(t *testing.T) {
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, datapath.ListFile+".tmp"), 0o700); err != nil {
		t.Fatal(err)
	}
	var log strings.Builder
	w := newWorld(t, Options{DataPath: dir, Logger: slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelWarn}))})
	w.publish("t", "x")
	w.sleep(time.Second)
	w.publish("u", "x")
	w.sleep(time.Second)
	if strings.Count(log.String(), "level=WARN") != 1 {
		t.Errorf("warned %q, want once", log.String())
	}
	if st := w.s.snapshot(StatsOptions{}); st.Health != "OK" {
		t.Errorf("health %s", st.Health)
	}
}
