// Command quickstart sends the lines of a file through NSQ: a Writer publishes
// them, nsqd-lite keeps them, a Reader prints them. It exits by itself.
//
//	go run ./examples/quickstart                         the repository's CHANGELOG.md
//	go run ./examples/quickstart /etc/services           another file
//	printf 'a\nb\nc\n' | go run ./examples/quickstart -  standard input
//
// The server runs inside this process, in memory, unless -nsqd names another.
// What the Reader receives goes to standard output, what the Writer is told
// about each publish to standard error. Empty lines are left out: NSQ has no
// empty messages.
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"github.com/nsqloop/nsqloop/loop"
	"github.com/nsqloop/nsqloop/reader"
	"github.com/nsqloop/nsqloop/server"
	"github.com/nsqloop/nsqloop/writer"
)

// window is how many lines may be on their way at once.
const window = 100

func main() {
	nsqd := flag.String("nsqd", "", "TCP address of a running nsqd; empty starts nsqd-lite in this process")
	quiet := flag.Bool("quiet", false, "report only the publishes that fail")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	lines, err := readLines(flag.Arg(0))
	if err == nil {
		q := &quickstart{lines: lines, out: os.Stdout, report: os.Stderr, quiet: *quiet}
		if err = q.run(ctx, *nsqd); err == nil {
			fmt.Println(q)
		}
		if err == nil && q.failed > 0 {
			os.Exit(1)
		}
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "quickstart:", err)
		os.Exit(1)
	}
}

// quickstart is one run. Its fields belong to the loop while that runs.
type quickstart struct {
	lines       []string
	out, report io.Writer
	quiet       bool

	loop   loop.Loop
	writer *writer.Writer
	stop   context.CancelFunc
	began  time.Time

	next, published, failed, finished int
	elapsed                           time.Duration
}

// run publishes and consumes all lines and returns when that is done.
func (q *quickstart) run(ctx context.Context, nsqd string) error {
	if nsqd == "" {
		s, err := server.Start(server.Options{TCPAddress: "127.0.0.1:0"})
		if err != nil {
			return err
		}
		defer s.Close()
		nsqd = s.TCPAddr().String()
	}
	l, err := loop.New(loop.Options{})
	if err != nil {
		return err
	}
	ctx, q.stop = context.WithCancel(ctx)
	defer q.stop()
	if err := q.start(l, nsqd); err != nil {
		return err
	}
	if err := l.Run(ctx); err != nil {
		return err
	}
	if q.finished < q.published {
		return fmt.Errorf("interrupted: %s", q)
	}
	return nil
}

// start makes the Writer and the Reader on l and publishes the first lines.
func (q *quickstart) start(l loop.Loop, nsqd string) (err error) {
	q.loop = l
	q.writer, err = writer.New(l, writer.Options{NSQDs: []string{nsqd}})
	if err != nil {
		return err
	}
	_, err = reader.New(l, reader.Options{
		Topic: topic, Channel: "print#ephemeral", MaxInFlight: 9,
		NSQDs: []string{nsqd},
		Handler: func(m *reader.Message) error {
			fmt.Fprintf(q.out, "%s\n", m.Body)
			q.finished++
			q.proceed()
			return nil
		},
	})
	if err != nil {
		return err
	}
	return l.Post(func() {
		q.began = l.Now()
		q.proceed()
	})
}

// topic is ephemeral, so that nothing stays behind on a server of your own.
const topic = "quickstart#ephemeral"

// proceed publishes while the window has room, and stops when all is done.
func (q *quickstart) proceed() {
	for q.next < len(q.lines) && q.next-q.failed-q.finished < window {
		q.next++
		n := q.next
		q.writer.Publish(topic, []byte(q.lines[n-1]), func(res writer.Result) { q.finishPub(n, res) })
	}
	if q.published+q.failed == len(q.lines) && q.finished >= q.published {
		q.elapsed = q.loop.Now().Sub(q.began)
		q.stop()
	}
}

// finishPub is told how each publish went.
func (q *quickstart) finishPub(line int, res writer.Result) {
	switch {
	case res.Err != nil:
		q.failed++
		fmt.Fprintf(q.report, "line %d: %v\n", line, res.Err)
	default:
		q.published++
		if !q.quiet {
			fmt.Fprintf(q.report, "line %d: OK in %v\n", line, res.Latency)
		}
	}
	q.proceed()
}

// String is the summary.
func (q *quickstart) String() string {
	return fmt.Sprintf("published %d, failed %d, finished %d, elapsed %v",
		q.published, q.failed, q.finished, q.elapsed.Round(time.Microsecond))
}

// readLines reads the lines of a file that are not empty; "-" is standard input.
func readLines(name string) ([]string, error) {
	var text []byte
	var err error
	switch name {
	case "-":
		text, err = io.ReadAll(os.Stdin)
	case "":
		text, err = os.ReadFile(changelog())
	default:
		text, err = os.ReadFile(name)
	}
	if err != nil {
		return nil, err
	}
	lines := strings.FieldsFunc(string(text), func(r rune) bool { return r == '\n' || r == '\r' })
	return lines, nil
}

// changelog is where the repository's CHANGELOG.md is: here or above, or where
// this source file was built from.
func changelog() string {
	const name = "CHANGELOG.md"
	for dir := "."; len(dir) < 32; dir = filepath.Join(dir, "..") {
		if _, err := os.Stat(filepath.Join(dir, name)); err == nil {
			return filepath.Join(dir, name)
		}
	}
	_, source, _, _ := runtime.Caller(0) // without its directory when built with -trimpath
	return filepath.Join(filepath.Dir(source), "..", "..", name)
}
