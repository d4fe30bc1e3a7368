package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nsqloop/nsqloop/server/offline"
)

// stopped makes a data path with some messages in it.
func stopped(t *testing.T) (dir string) {
	t.Helper()
	dir = t.TempDir()
	p := start(t, t.TempDir(), nil, nsqd("--data-path="+dir)...)
	_, http := p.ready()
	at := "--nsqd-http-address=" + http
	for _, args := range [][]string{{"topic", "create", "t"}, {"channel", "create", "t", "c"}, {"pub", "u", "alone"}} {
		if out, bad, code := output(t, "", append(args, at)...); code != 0 {
			t.Fatalf("%q: %d %q %q", args, code, out, bad)
		}
	}
	if out, bad, code := output(t, "one\ntwo\nthree\n", "pub", "t", "-", at); code != 0 {
		t.Fatalf("%d %q %q", code, out, bad)
	}
	if _, bad, code := output(t, "", "data", "verify", dir); code != exitOccupied || !strings.Contains(bad, "possibly in use") {
		t.Errorf("a data path in use: %d %q", code, bad)
	}
	p.signal(os.Interrupt)
	if code := p.exit(); code != exitOK {
		t.Fatalf("exit code %d", code)
	}
	return dir
}

func TestData_VerifyRepairExportImport(t *testing.T) {
	dir := stopped(t)
	out, bad, code := output(t, "", "data", "verify", dir)
	if code != exitOK || bad != "" || !strings.Contains(out, "channel c: waiting 3, deferred 0\n") || !strings.HasSuffix(out, "4 messages on disk, 0.0 MB: whole\n") {
		t.Errorf("verify: %d %q %q", code, out, bad)
	}
	lines, bad, code := output(t, "", "data", "export", dir)
	if code != exitOK || bad != "4 messages of 2 topics\n" || strings.Count(lines, "\n") != 6 {
		t.Errorf("export: %d %q %q", code, lines, bad)
	}
	if raw, _, _ := output(t, "", "data", "export", dir, "--topic=t", "-channel=c", "--raw"); raw != "one\ntwo\nthree\n" {
		t.Errorf("bodies alone: %q", raw)
	}
	to := filepath.Join(t.TempDir(), "new")
	if out, bad, code := output(t, lines, "data", "import", "-", to); code != exitOK || bad != "" || !strings.HasSuffix(out, "4 messages of 2 topics are in "+to+"\n") {
		t.Errorf("import: %d %q %q", code, out, bad)
	}
	file := filepath.Join(t.TempDir(), "lines")
	if err := os.WriteFile(file, []byte(lines), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, bad, code := output(t, "", "data", "import", file, to); code != exitFailed || !strings.Contains(bad, "is not empty") {
		t.Errorf("import into what is there: %d %q", code, bad)
	}
	out, _, code = output(t, "", "data", "import", file, to+"2", "--json")
	var im offline.Imported
	if err := json.Unmarshal([]byte(out), &im); err != nil || code != exitOK || im.Messages != 4 || im.From != file {
		t.Errorf("import as JSON: %d %q %v", code, out, err)
	}

	segments, err := filepath.Glob(filepath.Join(to, "topic+t", "*.log"))
	if err != nil || len(segments) != 1 {
		t.Fatal(segments, err)
	}
	b, err := os.ReadFile(segments[0])
	if err != nil {
		t.Fatal(err)
	}
	b[40]++
	if err := os.WriteFile(segments[0], b, 0o600); err != nil {
		t.Fatal(err)
	}
	if out, _, code := output(t, "", "data", "verify", to); code != exitFailed || !strings.Contains(out, ", lost 1\n") || !strings.HasSuffix(out, "damaged; 1 messages are lost\n") {
		t.Errorf("verify of a damaged one: %d %q", code, out)
	}
	if out, _, code := output(t, "", "data", "repair", to); code != exitOK || !strings.HasSuffix(out, "repaired; 1 messages are lost\n") {
		t.Errorf("repair: %d %q", code, out)
	}
	out, _, code = output(t, "", "data", "verify", to, "--json")
	var r offline.Report
	if err := json.Unmarshal([]byte(out), &r); err != nil || code != exitOK || !r.Whole || len(r.Topics) != 2 {
		t.Errorf("verify as JSON: %d %q %v", code, out, err)
	}
}

// What nsqd has left is not started on; the error names the command that takes
// it over.
func TestData_ImportOfNSQD(t *testing.T) {
	from := t.TempDir()
	for name, content := range map[string]string{
		"nsqd.dat":                 `{"topics":[{"name":"t","paused":false,"channels":[{"name":"c","paused":true}]}],"version":"1.3.0"}`,
		"t:c.diskqueue.meta.dat":   "1\n0,0\n0,35\n",
		"t:c.diskqueue.000000.dat": "\x00\x00\x00\x1f\x11\x22\x33\x44\x55\x66\x77\x11\x00\x020123456789abcdefhello",
	} {
		if err := os.WriteFile(filepath.Join(from, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	_, bad, code := output(t, "", "nsqd", "--data-path="+from, "--tcp-address=127.0.0.1:0", "--http-address=127.0.0.1:0")
	if code != exitFailed || !strings.Contains(bad, "nsqd-lite data import "+from) {
		t.Errorf("start on what nsqd has left: %d %q", code, bad)
	}
	to := filepath.Join(t.TempDir(), "new")
	out, bad, code := output(t, "", "data", "import", from, to)
	if code != exitOK || bad != "" || !strings.Contains(out, "  channel c: 1 messages, paused\n") {
		t.Errorf("import: %d %q %q", code, out, bad)
	}
	if out, _, _ := output(t, "", "data", "export", to, "--topic=t", "--channel=c"); !strings.Contains(out, `"body":"hello","for":[{"channel":"c","attempts":2}]`) {
		t.Errorf("imported: %q", out)
	}
	// A damaged message is passed over, and that is no success.
	damaged := "\x00\x00\x00\x05short" + strings.Repeat("\x00\x00\x00\x1f\x11\x22\x33\x44\x55\x66\x77\x11\x00\x020123456789abcdefhello", 2)
	if err := os.WriteFile(filepath.Join(from, "t:c.diskqueue.000000.dat"), []byte(damaged), 0o600); err != nil {
		t.Fatal(err)
	}
	out, bad, code = output(t, "", "data", "import", from, to+"2")
	if code != exitFailed || bad != "" || !strings.Contains(out, "  channel c: 2 messages, paused\n") || !strings.Contains(out, "damaged bytes were passed over") {
		t.Errorf("import of damage: %d %q %q", code, out, bad)
	}
	for _, args := range [][]string{{"import", from}, {"export", "--channel=c"}, {"verify", "a", "b"}, {"destroy"}} {
		if _, _, code := output(t, "", append([]string{"data"}, args...)...); code != exitUsage {
			t.Errorf("%q: exit code %d", args, code)
		}
	}
}

func TestMeter_BarOnATerminalLinesElsewhere(t *testing.T) {
	now := time.Unix(0, 0)
	var b bytes.Buffer
	m := &meter{w: &b, what: "verify", now: func() time.Time { return now }, began: now, shown: now}
	for i := range 31 {
		now = time.Unix(int64(i), 0)
		m.show(int64(i)*1e6, 60e6)
	}
	m.end()
	want := "verify: 10.0 of 60.0 MB, 1.0 MB/s, 50s left\nverify: 20.0 of 60.0 MB, 1.0 MB/s, 40s left\nverify: 30.0 of 60.0 MB, 1.0 MB/s, 30s left\n"
	if b.String() != want {
		t.Errorf("shown %q, want %q", b.String(), want)
	}
	b.Reset()
	now = time.Unix(0, 0)
	m = &meter{w: &b, terminal: true, what: "verify", now: func() time.Time { return now }, began: now, shown: now}
	for range 11 {
		now = now.Add(20 * time.Millisecond)
		m.show(1e6, 2e6)
	}
	bar := "\r[###############...............] 1.0 of 2.0 MB, "
	if strings.Count(b.String(), bar) != 2 {
		t.Errorf("shown %q, want %q twice", b.String(), bar)
	}
	m.end()
	if !strings.HasSuffix(b.String(), "  \r") {
		t.Errorf("the bar is not wiped: %q", b.String())
	}
	b.Reset()
	now = now.Add(time.Second)
	m.show(5e6, 0)
	if got := b.String(); !strings.HasPrefix(got, "\r5.0 MB, ") {
		t.Errorf("without a total %q", got)
	}
}
