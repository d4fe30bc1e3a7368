package tidy

// rooms is the import table.
var rooms = map[string]room{
	"internal/wire":    {not: "sockets, time, goroutines, who is reading"},
	"internal/backoff": {outside: "github.com/cenkalti/backoff/v4", not: "what failed"},
	"internal/option":  {not: "which options there are"},
	"internal/layer":   {outside: "github.com/klauspost/compress/...", not: "sockets, NSQ, which connection it works for"},

	"loop":                   {ours: "loop/internal/...", outside: "github.com/panjf2000/gnet/v2/... golang.org/x/sys/...", not: "NSQ"},
	"loop/internal/...":      {ours: "loop/internal/...", not: "NSQ"},
	"loop/internal/contract": {ours: "loop", not: "which loop it tests"},
	"loop/looptest":          {ours: "loop loop/internal/...", not: "NSQ, real time, real sockets"},

	"client":            {ours: "loop internal/layer internal/option internal/wire", not: "other connections, ready counts, backoff, what topics mean"},
	"client/envelope":   {not: "who publishes, who consumes, connections"},
	"client/lookup":     {ours: "loop client", not: "connections to nsqd"},
	"reader":            {ours: "client client/lookup loop internal/wire internal/backoff internal/option", not: "publishing, the server, frames"},
	"reader/middleware": {ours: "reader", not: "the loop, connections, where messages come from"},
	"writer":            {ours: "client client/lookup loop internal/wire internal/backoff internal/option", not: "consuming, the server, frames"},

	"reader/readertest": {ours: "reader", not: "servers, loops, connections"},
	"nsqprom":           {ours: "client/envelope loop reader writer", outside: "github.com/prometheus/client_golang/...", not: "how messages flow, or what is published"},

	"server/journal":             {not: "topics, channels, clients, the clock"},
	"server/journal/journaltest": {ours: "server/journal", not: "topics, channels, clients, the clock"},
	"server/lookup":              {not: "sockets, HTTP, the clock"},
	"server/diskqueue":           {not: "journals, servers, the clock"},
	"server/datapath":            {ours: "internal/wire server/diskqueue server/journal", not: "loops, clients, the clock"},
	"server/offline":             {ours: "internal/wire server/datapath server/diskqueue server/journal", not: "loops, servers, clients, the clock, the command line"},
	"server":                     {ours: "loop internal/backoff internal/layer internal/wire server/datapath server/journal server/lookup", outside: "github.com/prometheus/client_golang/... github.com/prometheus/common/expfmt", not: "the SDK"},
	"server/admin":               {ours: "loop server server/lookup internal/wire", not: "the inside of a server: it asks over HTTP, others' servers too"},
	"server/nsqtest":             {ours: "server server/journal/journaltest loop internal/wire", not: "the SDK"},

	"cmd/nsqd-lite":                  {ours: "server server/admin server/offline loop client reader writer internal/option cmd/nsqd-lite/internal/...", outside: "github.com/BurntSushi/toml github.com/spf13/cobra github.com/spf13/pflag", not: "how any of it works"},
	"cmd/nsqd-lite/internal/loadgen": {ours: "client reader writer loop", outside: "github.com/HdrHistogram/hdrhistogram-go", not: "the server, the command line"},
	"cmd/nsqd-lite/internal/...":     {ours: "client reader writer loop cmd/nsqd-lite/internal/...", not: "the server, the command line"},

	"examples/metrics":              {ours: "loop nsqprom reader writer", outside: "github.com/prometheus/client_golang/...", not: "anything a user cannot import"},
	"examples/internal/exampletest": {outside: "go.uber.org/goleak", not: "which example it runs"},
	"examples/...":                  {ours: "client client/envelope client/lookup loop nsqprom reader reader/middleware reader/readertest server server/nsqtest writer", not: "anything a user cannot import"},

	"internal/tidy":        {not: "anything but files"},
	"internal/testcert":    {not: "whose certificates it makes"},
	"internal/mocklookupd": {not: "the SDK that it tests, sockets"},
	"internal/testwait":    {not: "what is waited for"},
	"internal/checklist":   {not: "what the statements say"},
	"internal/mocknsqd":    {ours: "internal/wire loop", not: "the SDK that it tests, the server that it stands for"},

	"internal/badnet":      {ours: anything},
	"internal/bench":       {ours: anything},
	"internal/vulnerable":  {},
	"internal/conformance": {ours: anything},
	"internal/simulation":  {ours: anything},
}

// mayReadClock lists the files and rooms outside loop that read the real clock
// or start timers, with the reason. Tests are free to: they wait for real
// sockets with a deadline.
var mayReadClock = map[string]string{
	"server/httpprofile.go":  "a CPU profile lasts as long as it is asked to, on the goroutine of its request",
	"cmd/nsqd-lite/serve.go": "the drain timeout of a process bounds the loop itself",
	"internal/bench":         "it measures real time, in a process of its own",
	"internal/testwait":      "tests wait in real time for what is in another process",

	"examples/graceful/main.go":     "it stands for work that takes a while",
	"examples/inturn/main.go":       "the same",
	"examples/internal/exampletest": "it waits for programs that run in real time",

	"nsqprom/measure.go":      "how long a handler takes is measured around it, on whatever goroutine it runs",
	"server/nsqtest/wait.go":  "a test waits for a server on real sockets, in real time",
	"server/nsqtest/proxy.go": "it delays and throttles real sockets",

	"cmd/nsqd-lite/internal/stats":   "asking each interval, outside any loop",
	"cmd/nsqd-lite/meter.go":         "how long work still takes is real time",
	"cmd/nsqd-lite/service.go":       "a service manager is told at intervals, also while there is no loop yet",
	"cmd/nsqd-lite/internal/gencert": "certificates are valid from now on",
	"cmd/nsqd-lite/internal/loadgen": "it measures real time",
	"cmd/nsqd-lite/internal/records": "publishing at a rate, outside any loop, waits in real time",
}

// mayMakeRandomness lists the files and rooms outside loop that make random
// numbers, with the reason.
var mayMakeRandomness = map[string]string{
	"loop/looptest":     "the world and each of its loops have a source made from the seed",
	"internal/testcert": "keys of certificates for tests",
	"server/nsqtest":    "which bits a proxy flips, from a fixed seed, and a source that a disk in memory asks for nothing",

	"cmd/nsqd-lite/internal/gencert": "keys of certificates",
}

// mayStartGoroutines lists the files in which goroutines start, with the reason.
var mayStartGoroutines = map[string]string{
	"loop/dial.go":            "resolving a name and dialling block",
	"loop/engine.go":          "accepting blocks: listeners that were opened before the loop started",
	"loop/listen.go":          "accepting blocks",
	"loop/post.go":            "Loop.Go is the door for what blocks",
	"loop/shutdown.go":        "the loop's end waits for the loop's goroutine and must not run on it",
	"reader/workers.go":       "handlers that block, when Options.Workers asks for them",
	"server/nsqtest/proxy.go": "it holds real sockets in ways that a loop must not: half open, half closed, blocked",

	"server/parallel.go":       "opening and closing ten thousand journals waits for the disk; the caller waits for all of it",
	"server/http.go":           "net/http serves connections on goroutines; they post what they want to the loop",
	"server/admin/admin.go":    "net/http serves connections on goroutines; they read what the loop has made and post to it",
	"server/admin/parallel.go": "many servers are asked side by side; the caller waits for all of them",
	"internal/bench":           "a load program: a goroutine per connection",

	"examples/internal/exampletest": "it runs a program beside its test",
	"examples/metrics/main.go":      "net/http serves beside the loop",
	"examples/publishsync/main.go":  "net/http serves beside the loop",

	"cmd/nsqd-lite/hangup_unix.go": "waits for signals",
	"cmd/nsqd-lite/service.go":     "a service manager hears from beside the loop whether the loop turns",
	"cmd/nsqd-lite/tonsq.go":       "reading the standard input blocks",
}

// long lists the files, and the functions as "file function", that are longer
// than the rule allows and right that way, with the reason.
var long = map[string]string{}
