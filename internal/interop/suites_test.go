package interop

import (
	"bytes"
	"context"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// The test suites of other clients run against our programs as they stand. They
// have addresses written into them, so that they are skipped where something
// else listens there.

// asNSQ is a directory in which our program has the names of NSQ's.
func asNSQ(t *testing.T, addresses ...string) string {
	t.Helper()
	for _, a := range addresses {
		l, err := net.Listen("tcp", a)
		if err != nil {
			t.Skipf("the suite needs %s: %v", a, err)
		}
		l.Close()
	}
	bin, err := built()
	must(t, err)
	dir := t.TempDir()
	for _, name := range []string{"nsqd", "nsqlookupd"} {
		must(t, os.Symlink(bin, filepath.Join(dir, name)))
	}
	return dir
}

// begin starts a program of a directory and stops it with the test.
func begin(t *testing.T, program, dir string, args ...string) {
	t.Helper()
	var said bytes.Buffer
	cmd := exec.Command(program, args...)
	cmd.Dir, cmd.Stdout, cmd.Stderr = dir, &said, &said
	must(t, cmd.Start())
	t.Cleanup(func() {
		must(t, cmd.Process.Signal(os.Interrupt))
		if err := cmd.Wait(); err != nil {
			t.Errorf("stop %s: %v\n%s", program, err, said.String())
		}
	})
}

// TestGoNSQ_OwnSuite is statement 337: the tests of the official client, with
// its certificates, against nsqd and nsqlookupd at their default addresses.
func TestGoNSQ_OwnSuite(t *testing.T) {
	bin := asNSQ(t, "127.0.0.1:4150", "127.0.0.1:4151", "127.0.0.1:4152", "127.0.0.1:4160", "127.0.0.1:4161")
	out, err := exec.Command("go", "list", "-mod=mod", "-m", "-f", "{{.Dir}}", "github.com/nsqio/go-nsq").Output()
	must(t, err)
	module := strings.TrimSpace(string(out))
	begin(t, filepath.Join(bin, "nsqlookupd"), module)
	begin(t, filepath.Join(bin, "nsqd"), module, "--data-path="+t.TempDir(), "--lookupd-tcp-address=127.0.0.1:4160",
		"--tls-cert=./test/server.pem", "--tls-key=./test/server.key", "--tls-root-ca-file=./test/ca.pem")
	for _, a := range []string{"127.0.0.1:4150", "127.0.0.1:4161"} {
		eventually(t, a+" is listened on", func() bool {
			c, err := net.Dial("tcp", a)
			if err == nil {
				c.Close()
			}
			return err == nil
		})
	}
	suite(t, regexp.MustCompile(`(?s)(--- PASS: .*){24}`), func(ctx context.Context) *exec.Cmd {
		return exec.CommandContext(ctx, "go", "test", "-mod=mod", "-count=1", "-v", "github.com/nsqio/go-nsq")
	})
}

// TestNSQJS_OwnSuite is statement 337 for nsqjs, which starts nsqd by itself.
func TestNSQJS_OwnSuite(t *testing.T) {
	modules := needNodeModules(t)
	bin := asNSQ(t, "127.0.0.1:4150", "127.0.0.1:4151")
	suite(t, regexp.MustCompile(`\b171 passing\b`), func(ctx context.Context) *exec.Cmd {
		mocha := exec.CommandContext(ctx, "node", filepath.Join(modules, "mocha", "bin", "mocha"), "-R", "spec")
		mocha.Dir = filepath.Join(modules, "nsqjs")
		mocha.Env = append(os.Environ(), "PATH="+bin+string(os.PathListSeparator)+os.Getenv("PATH"))
		return mocha
	})
}

// suite runs a test suite and wants that it succeeds and says what it should.
// Some of these tests measure real time, so that it may try three times.
func suite(t *testing.T, says *regexp.Regexp, command func(context.Context) *exec.Cmd) {
	t.Helper()
	for try := 1; ; try++ {
		ctx, cancel := context.WithTimeout(t.Context(), 3*patience)
		out, err := command(ctx).CombinedOutput()
		cancel()
		switch {
		case err == nil && says.Match(out):
			return
		case try == 3:
			t.Fatalf("the suite fails: %v\n%s", err, out)
		}
		t.Logf("try %d: %v\n%s", try, err, out)
	}
}
