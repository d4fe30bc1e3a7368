// Command bench compares our Writer and Reader with the official Go client on
// the same server in the same run. The two take turns within each round, so that
// a busy machine is busy for both; the table shows medians and our rate over
// theirs.
//
//	cd internal/interop && go run ./bench -rounds 5
//	cd internal/interop && go run ./bench -only "async publish" -addr 127.0.0.1:4150
package main

import (
	"flag"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"
)

// figures is what one contender achieved in one round.
type figures struct {
	rate   float64 // messages per second
	cpu    float64 // microseconds of this process's processor time per message
	allocs float64 // allocations per message
}

// contest is one thing that both clients can do.
type contest struct {
	name   string
	n      int // messages
	ours   func(e *env, n int) error
	theirs func(e *env, n int) error
	before func(e *env, n int) error // not measured; nil for nothing
}

// env is where a contest takes place.
type env struct {
	addr  string
	topic string // another one for each run
	size  int
	timer timer
}

// timer measures from start to stop. A contender starts it when it is connected.
type timer struct {
	began  time.Time
	cpu    time.Duration
	mem    uint64
	result figures
}

func (t *timer) start() {
	t.mem, t.cpu, t.began = mallocs(), cpuTime(), time.Now()
}

func (t *timer) stop(n int) {
	took := time.Since(t.began)
	t.result = figures{
		rate:   float64(n) / took.Seconds(),
		cpu:    float64((cpuTime() - t.cpu).Microseconds()) / float64(n),
		allocs: float64(mallocs()-t.mem) / float64(n),
	}
}

func mallocs() uint64 {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.Mallocs
}

// cpuTime is this process's processor time where /proc tells, else 0.
func cpuTime() time.Duration {
	b, err := os.ReadFile("/proc/self/stat")
	if err != nil {
		return 0
	}
	fields := strings.Fields(string(b[strings.LastIndexByte(string(b), ')')+1:]))
	user, _ := strconv.Atoi(fields[11])
	system, _ := strconv.Atoi(fields[12])
	return time.Duration(user+system) * 10 * time.Millisecond
}

func main() {
	addr := flag.String("addr", "", "TCP address of a running server; empty builds and starts nsqd-lite")
	server := flag.String("server", "", "command line of another server to start, such as nsqd")
	rounds := flag.Int("rounds", 3, "rounds")
	only := flag.String("only", "", "run only the contest of this name")
	scale := flag.Float64("scale", 1, "factor on the number of messages")
	size := flag.Int("size", 200, "bytes per body")
	flag.Parse()
	if err := run(*addr, *server, *rounds, *only, *scale, *size); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run(addr, server string, rounds int, only string, scale float64, size int) error {
	if addr == "" {
		var stop func()
		var err error
		if addr, stop, err = start(server); err != nil {
			return err
		}
		defer stop()
	}
	fmt.Println("| contest | messages | ours/s | go-nsq/s | ratio | ours CPU | go-nsq CPU | ours allocs | go-nsq allocs |")
	fmt.Println("| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |")
	for _, c := range contests {
		if only != "" && c.name != only {
			continue
		}
		n := max(1, int(float64(c.n)*scale))
		var ours, theirs []figures
		for round := range rounds {
			// Who goes first changes from round to round.
			for i := range 2 {
				one, name, into := c.ours, "ours", &ours
				if (round+i)%2 == 1 {
					one, name, into = c.theirs, "go-nsq", &theirs
				}
				f, err := c.once(addr, one, n, size)
				if err != nil {
					return fmt.Errorf("%s, %s: %w", c.name, name, err)
				}
				*into = append(*into, f)
			}
		}
		a, b := median(ours), median(theirs)
		fmt.Printf("| %s | %d | %.0f | %.0f | %.1f | %.2f µs | %.2f µs | %.2f | %.2f |\n",
			c.name, n, a.rate, b.rate, a.rate/b.rate, a.cpu, b.cpu, a.allocs, b.allocs)
	}
	return nil
}

// once runs one contender on a topic of its own.
func (c *contest) once(addr string, one func(*env, int) error, n, size int) (figures, error) {
	e := &env{addr: addr, topic: "bench_" + strconv.FormatInt(time.Now().UnixNano(), 36), size: size}
	if c.before != nil {
		if err := c.before(e, n); err != nil {
			return figures{}, err
		}
	}
	runtime.GC()
	if err := one(e, n); err != nil {
		return figures{}, err
	}
	return e.timer.result, nil
}

func median(all []figures) figures {
	pick := func(of func(figures) float64) float64 {
		v := make([]float64, len(all))
		for i, f := range all {
			v[i] = of(f)
		}
		slices.Sort(v)
		return v[len(v)/2]
	}
	return figures{
		rate:   pick(func(f figures) float64 { return f.rate }),
		cpu:    pick(func(f figures) float64 { return f.cpu }),
		allocs: pick(func(f figures) float64 { return f.allocs }),
	}
}

// start starts a server on free ports with an empty data path.
func start(server string) (addr string, stop func(), err error) {
	dir, err := os.MkdirTemp("", "nsqloop-bench-")
	if err != nil {
		return "", nil, err
	}
	words := strings.Fields(server)
	if len(words) == 0 {
		bin := filepath.Join(dir, "nsqd-lite")
		root, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "github.com/nsqloop/nsqloop").Output()
		if err != nil {
			return "", nil, fmt.Errorf("find the module of nsqd-lite: %w", err)
		}
		build := exec.Command("go", "build", "-o", bin, "./cmd/nsqd-lite")
		build.Dir = strings.TrimSpace(string(root))
		out, err := build.CombinedOutput()
		if err != nil {
			return "", nil, fmt.Errorf("build nsqd-lite: %w\n%s", err, out)
		}
		words = []string{bin, "nsqd"}
	}
	var addrs []string
	for range 2 {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return "", nil, err
		}
		defer l.Close()
		addrs = append(addrs, l.Addr().String())
	}
	cmd := exec.Command(words[0], append(words[1:], "-tcp-address="+addrs[0], "-http-address="+addrs[1], "-data-path="+dir)...)
	if err := cmd.Start(); err != nil {
		return "", nil, err
	}
	stop = func() {
		cmd.Process.Kill()
		cmd.Wait()
		os.RemoveAll(dir)
	}
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		c, err := net.Dial("tcp", addrs[0])
		if err == nil {
			c.Close()
			return addrs[0], stop, nil
		}
		if time.Now().After(deadline) {
			stop()
			return "", nil, err
		}
	}
}
