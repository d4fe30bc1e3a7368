package main

import (
	"flag"
	"fmt"
	"os"
	"sort"
	"strings"
	"time"
)

// config is what the flags say.
type config struct {
	scenario string
	servers  list
	addr     string
	n        int
	conns    int
	inflight int
	size     int
	batch    int
	channels int
	rate     int
	ahead    time.Duration
	window   time.Duration
	rounds   int
	keepData string
}

// list is a flag that may be given several times.
type list []string

func (l *list) String() string     { return strings.Join(*l, ", ") }
func (l *list) Set(s string) error { *l = append(*l, s); return nil }

// scenario is one way to load a server. It prepares, then measures with
// run.begin and run.end around what counts.
type scenario struct {
	name string
	what string
	run  func(r *run) error
}

var scenarios = []scenario{
	{"publish", "PUB, -inflight unanswered on each of -conns connections", publish},
	{"mpub", "MPUB of -batch messages, -inflight unanswered commands per connection", mpub},
	{"consume", "-n waiting messages, -conns subscribers with RDY -inflight, FIN for each", consume},
	{"both", "-conns publishers and -conns subscribers at once", both},
	{"fanout", "publish with one subscriber on each of -channels channels; deliveries are counted", fanout},
	{"e2e", "from PUB to delivery at -rate messages per second", endToEnd},
	{"idle", "-conns subscribers that do nothing for -n milliseconds: memory, processor time, a neighbour at -rate", idle},
	{"waiting", "-n waiting messages: memory, stop, start, start after a kill", waiting},
	{"deferred", "-n messages for later, due -ahead from now and for -window: memory, restarts, lateness", deferred},
	{"instant", "-n messages that are due at one moment, -ahead from now: lateness", instant},
	{"topics", "-n topics with two channels each: creation, memory, rest, stop, start", manyTopics},
	{"writer", "our Writer on one loop, -inflight unanswered", sdkWriter},
	{"reader", "our Reader on one loop, max in flight -inflight, -n waiting messages", sdkReader},
}

func main() {
	var c config
	names := make([]string, len(scenarios))
	for i, s := range scenarios {
		names[i] = s.name
	}
	flag.StringVar(&c.scenario, "scenario", "publish", "comma-separated: "+strings.Join(names, ", "))
	flag.Var(&c.servers, "server", "command line of a server to start; may be repeated; empty for nsqd-lite from this tree, \"nsqd-lite FLAGS\" for it with flags")
	flag.StringVar(&c.addr, "addr", "", "TCP address of a running server, instead of -server")
	flag.IntVar(&c.n, "n", 1_000_000, "messages")
	flag.IntVar(&c.conns, "conns", 1, "connections")
	flag.IntVar(&c.inflight, "inflight", 100, "unanswered commands per connection, or RDY")
	flag.IntVar(&c.size, "size", 200, "bytes per body, at least 8")
	flag.IntVar(&c.batch, "batch", 100, "messages per MPUB")
	flag.IntVar(&c.channels, "channels", 4, "channels of fanout")
	flag.IntVar(&c.rate, "rate", 2000, "messages per second of e2e")
	flag.DurationVar(&c.ahead, "ahead", 30*time.Second, "how long after the start the first message of deferred and instant is due")
	flag.DurationVar(&c.window, "window", 10*time.Second, "how long the messages of deferred are due")
	flag.IntVar(&c.rounds, "rounds", 1, "rounds; medians are printed")
	flag.StringVar(&c.keepData, "data", "", "directory for the servers' data, removed afterwards; empty for the system's temporary one")
	flag.Usage = func() {
		fmt.Fprintln(flag.CommandLine.Output(), "usage: go run ./internal/bench [flags]")
		for _, s := range scenarios {
			fmt.Fprintf(flag.CommandLine.Output(), "  %-8s %s\n", s.name, s.what)
		}
		flag.PrintDefaults()
	}
	flag.Parse()
	if err := bench(c); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// bench runs all rounds and prints the table.
func bench(c config) error {
	if c.size < 8 || c.n < 1 || c.conns < 1 || c.inflight < 1 || c.rounds < 1 || c.batch < 1 {
		return fmt.Errorf("-size must be at least 8, the other numbers at least 1")
	}
	if len(c.servers) == 0 {
		c.servers = list{""}
	}
	lite, cleanup, err := buildLite(c)
	if err != nil {
		return err
	}
	defer cleanup()
	printHeader()
	for _, name := range strings.Split(c.scenario, ",") {
		s, err := find(name)
		if err != nil {
			return err
		}
		rows := make([][]result, len(c.servers))
		for range c.rounds {
			for i, server := range c.servers {
				one, err := runOnce(c, s, server, lite)
				if err != nil {
					return fmt.Errorf("%s against %q: %w", s.name, title(c, server), err)
				}
				rows[i] = append(rows[i], one)
			}
		}
		for i, server := range c.servers {
			printRow(title(c, server), s.name, c, median(rows[i]))
			for _, one := range rows[i] {
				for _, note := range one.notes {
					fmt.Println("    " + note)
				}
			}
		}
	}
	return nil
}

func find(name string) (scenario, error) {
	for _, s := range scenarios {
		if s.name == name {
			return s, nil
		}
	}
	return scenario{}, fmt.Errorf("unknown scenario %q: see -h", name)
}

// title is what the table calls a server.
func title(c config, server string) string {
	switch {
	case c.addr != "":
		return c.addr
	case server == "":
		return "nsqd-lite"
	}
	return server
}

// runOnce starts the server, runs the scenario and stops the server.
func runOnce(c config, s scenario, server, lite string) (result, error) {
	r := &run{config: c, addr: c.addr}
	if c.addr == "" {
		p, err := startServer(c, server, lite)
		if err != nil {
			return result{}, err
		}
		defer p.stop()
		r.server, r.addr = p, p.addr
	}
	if err := s.run(r); err != nil {
		return result{}, err
	}
	return r.result, nil
}

// run is one scenario against one server.
type run struct {
	config
	addr   string
	server *process // nil with -addr
	result result

	started    time.Time
	cpuServer  time.Duration
	cpuClient  time.Duration
	haveServer bool
}

// result is what one run measured.
type result struct {
	messages  int
	elapsed   time.Duration
	cpuServer time.Duration // 0 when unknown
	cpuClient time.Duration // 0 when unknown
	peak      int64         // bytes, 0 when unknown
	p50, p99  time.Duration
	notes     []string // other figures
}

// begin starts what is measured.
func (r *run) begin() {
	if r.server != nil {
		r.cpuServer, r.haveServer = cpuTime(r.server.pid())
	}
	r.cpuClient, _ = cpuTime(os.Getpid())
	r.started = time.Now()
}

// end finishes what is measured: messages in all, and the latencies that were
// sampled (they are sorted in place).
func (r *run) end(messages int, latencies []time.Duration) {
	r.result.elapsed = time.Since(r.started)
	r.result.messages = messages
	if now, ok := cpuTime(os.Getpid()); ok {
		r.result.cpuClient = now - r.cpuClient
	}
	if r.haveServer {
		if now, ok := cpuTime(r.server.pid()); ok {
			r.result.cpuServer = now - r.cpuServer
		}
	}
	if r.server != nil {
		r.result.peak = peakMemory(r.server.pid())
	}
	sortDurations(latencies)
	r.result.p50, r.result.p99 = quantile(latencies, 0.50), quantile(latencies, 0.99)
}

func sortDurations(d []time.Duration) { sort.Slice(d, func(i, j int) bool { return d[i] < d[j] }) }

func quantile(sorted []time.Duration, q float64) time.Duration {
	if len(sorted) == 0 {
		return 0
	}
	return sorted[int(q*float64(len(sorted)-1))]
}

// median takes each figure's median over the rounds.
func median(rounds []result) result {
	pick := func(of func(result) int64) int64 {
		v := make([]int64, len(rounds))
		for i, r := range rounds {
			v[i] = of(r)
		}
		sort.Slice(v, func(i, j int) bool { return v[i] < v[j] })
		return v[len(v)/2]
	}
	return result{
		messages:  int(pick(func(r result) int64 { return int64(r.messages) })),
		elapsed:   time.Duration(pick(func(r result) int64 { return int64(r.elapsed) })),
		cpuServer: time.Duration(pick(func(r result) int64 { return int64(r.cpuServer) })),
		cpuClient: time.Duration(pick(func(r result) int64 { return int64(r.cpuClient) })),
		peak:      pick(func(r result) int64 { return r.peak }),
		p50:       time.Duration(pick(func(r result) int64 { return int64(r.p50) })),
		p99:       time.Duration(pick(func(r result) int64 { return int64(r.p99) })),
	}
}

func printHeader() {
	fmt.Println("| scenario | server | conns | in flight | messages | messages/s | server CPU/message | client CPU/message | p50 | p99 | server peak |")
	fmt.Println("| --- | --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |")
}

func printRow(server, scenario string, c config, r result) {
	fmt.Printf("| %s | %s | %d | %d | %d | %.0f | %s | %s | %s | %s | %s |\n",
		scenario, server, c.conns, c.inflight, r.messages, float64(r.messages)/r.elapsed.Seconds(),
		perMessage(r.cpuServer, r.messages), perMessage(r.cpuClient, r.messages),
		latency(r.p50), latency(r.p99), mebibytes(r.peak))
}

func perMessage(cpu time.Duration, n int) string {
	if cpu == 0 || n == 0 {
		return "–"
	}
	return fmt.Sprintf("%.2f µs", float64(cpu.Nanoseconds())/float64(n)/1e3)
}

func latency(d time.Duration) string {
	if d == 0 {
		return "–"
	}
	return d.Round(time.Microsecond).String()
}

func mebibytes(n int64) string {
	if n == 0 {
		return "–"
	}
	return fmt.Sprintf("%.1f MiB", float64(n)/(1<<20))
}
