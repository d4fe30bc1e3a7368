package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"time"

	"github.com/nsqloop/nsqloop/cmd/nsqd-lite/internal/api"
	"github.com/nsqloop/nsqloop/cmd/nsqd-lite/internal/stats"
	"github.com/spf13/pflag"
)

// Exit codes of check: those of monitoring plug-ins.
const (
	checkOK = iota
	checkWarning
	checkCritical
	checkUnknown
)

// checkNames are what the codes are called.
var checkNames = [...]string{"OK", "WARNING", "CRITICAL", "UNKNOWN"}

// checkFlags are those of check.
type checkFlags struct {
	nsqd     string
	lookupd  string
	ready    bool
	warning  int64
	critical int64
	timeout  time.Duration
	asJSON   bool
}

// checkJSON is check's answer for programs.
type checkJSON struct {
	Status string `json:"status"`
	Code   int    `json:"code"`
	Text   string `json:"text"`
}

func (p process) checkVerb() verb {
	f := new(checkFlags)
	return verb{
		use: "check [TOPIC [CHANNEL]]", short: "say in one line, and as the exit code, whether a server is well", group: groupLook,
		long: "Say whether a server is well: exit code 0 for OK, 1 for warning, 2 for critical, 3 for unknown, as\n" +
			"monitoring wants it. With limits, the depth of a topic and its channels, or of one channel, counts too.",
		example: `  nsqd-lite check --ready
  nsqd-lite check orders billing --depth-warning=1000 --depth-critical=100000
  nsqd-lite check --lookupd-http-address=127.0.0.1:4161`,
		most: 2,
		flags: func(fs *pflag.FlagSet) {
			fs.StringVar(&f.nsqd, nsqdHTTPFlag, "127.0.0.1:4151", "`host:port` of the server's HTTP API, or its URL")
			fs.StringVar(&f.lookupd, "lookupd-http-address", "", "`host:port` of an nsqlookupd to look at instead")
			fs.BoolVar(&f.ready, "ready", false, "want a server that takes messages, not just one that answers")
			fs.Int64Var(&f.warning, "depth-warning", 0, "messages waiting that are a warning, 0 for any number")
			fs.Int64Var(&f.critical, "depth-critical", 0, "messages waiting that are critical, 0 for any number")
			fs.DurationVar(&f.timeout, "timeout", 5*time.Second, "time for an answer")
			fs.BoolVar(&f.asJSON, "json", false, "print the answer as JSON")
		},
		run: func(ctx context.Context, args []string) error {
			code, text := f.check(ctx, args)
			if f.asJSON {
				if err := json.NewEncoder(p.stdout).Encode(checkJSON{checkNames[code], code, text}); err != nil {
					return err
				}
				return ended(code)
			}
			fmt.Fprintf(p.stdout, "%s: %s\n", checkNames[code], text)
			return ended(code)
		},
	}
}

// check asks, and judges the answers.
func (f *checkFlags) check(ctx context.Context, args []string) (code int, text string) {
	h := &http.Client{Timeout: f.timeout}
	client := api.New(f.nsqd, "--"+nsqdHTTPFlag, h)
	if f.lookupd != "" {
		client = api.New(f.lookupd, "--lookupd-http-address", h)
	}
	path := "/ping"
	if f.ready {
		path = "/readyz"
	}
	err := f.answers(ctx, client, path)
	if f.ready && api.Is(err, http.StatusNotFound) {
		err = f.answers(ctx, client, "/ping") // NSQ's own have no /readyz
	}
	if err != nil {
		return checkCritical, err.Error()
	}
	if f.lookupd != "" || len(args) == 0 && f.warning == 0 && f.critical == 0 {
		return checkOK, client.Address() + " answers"
	}
	return f.checkDepth(ctx, client, append(args, "", ""))
}

// answers says whether a GET of path is a success.
func (f *checkFlags) answers(ctx context.Context, client *api.Client, path string) error {
	res, err := client.Do(ctx, http.MethodGet, path, nil, nil)
	if err != nil {
		return err
	}
	return res.Body.Close()
}

// checkDepth judges how many messages wait.
func (f *checkFlags) checkDepth(ctx context.Context, client *api.Client, args []string) (code int, text string) {
	s, err := (&stats.Source{NSQDs: []*api.Client{client}}).Poll(ctx, args[0], args[1])
	if err != nil {
		return checkUnknown, err.Error()
	}
	var depth int64
	what := "all topics"
	switch {
	case args[1] != "":
		what = "channel " + args[1] + " of topic " + args[0]
		c, ok := s.Find(args[0], args[1])
		if !ok {
			return checkUnknown, "there is no " + what
		}
		depth = c.Depth
	case args[0] != "":
		what = "topic " + args[0]
		if len(s.Topics) == 0 {
			return checkUnknown, "there is no " + what
		}
		fallthrough
	default:
		for _, t := range s.Topics {
			depth += t.Depth
			for _, c := range t.Channels {
				depth += c.Depth
			}
		}
	}
	switch {
	case f.critical > 0 && depth >= f.critical:
		code = checkCritical
	case f.warning > 0 && depth >= f.warning:
		code = checkWarning
	}
	return code, fmt.Sprintf("%d messages wait in %s | depth=%d;%d;%d", depth, what, depth, f.warning, f.critical)
}
