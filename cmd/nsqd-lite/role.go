package main

import (
	"fmt"
	"io"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"strings"

	"github.com/nsqloop/nsqloop/server"
)

// liteVersion is the version of this program. Clients are told
// server.Version, which says whose behaviour to expect.
const liteVersion = "0.1.0"

// Exit codes.
const (
	exitOK        = 0
	exitFailed    = 1   // at run time; for the nsqd role also a start that fails, as in nsqd
	exitUsage     = 2   // wrong flags
	exitOccupied  = 3   // the port or the data path is somebody else's
	exitCutOff    = 4   // stopped before everything was drained
	exitInterrupt = 130 // a second signal
)

// process is what a program has from the system, so that a test can give it
// something else.
type process struct {
	args     []string // the first is the program's name
	getenv   func(string) (string, bool)
	stdin    io.Reader
	stdout   io.Writer
	stderr   io.Writer
	terminal bool // stderr is one
	exit     func(int)
}

// later are the programs of NSQ whose part this binary does not play.
var later = []string{
	"nsqadmin", "nsq_to_file", "nsq_to_http", "nsq_to_nsq", "nsq_tail", "nsq_stat", "to_nsq",
}

const usage = `usage:
  nsqd-lite                       a server on 127.0.0.1:4150 (HTTP on 4151), data in ./nsqd-data,
                                  and an nsqlookupd on 4160 (HTTP on 4161)
  nsqd-lite nsqd [flags]          a server with nsqd's flags and defaults; nsqd-lite nsqd -h lists them
  nsqd-lite nsqlookupd [flags]    an nsqlookupd with its flags and defaults
  nsqd-lite tail TOPIC            messages as they are published; consumes none
  nsqd-lite pub TOPIC [BODY|-]    publish BODY, or each line of the standard input
  nsqd-lite version               the versions
`

// run finds the role and plays it. It returns the exit code.
func run(p process) int {
	name := strings.TrimSuffix(filepath.Base(p.args[0]), ".exe")
	args := p.args[1:]
	switch name {
	case "nsqd":
		return runNSQD(p, args)
	case "nsqlookupd":
		return runLookupd(p, args)
	}
	for _, l := range later {
		if name == l || len(args) > 0 && args[0] == l {
			fmt.Fprintf(p.stderr, "nsqd-lite: this version has no %s; NSQ's own works with it\n", l)
			return exitUsage
		}
	}
	if len(args) == 0 {
		return runLite(p)
	}
	switch args[0] {
	case "nsqd":
		return runNSQD(p, args[1:])
	case "nsqlookupd":
		return runLookupd(p, args[1:])
	case "tail":
		return runTail(p, args[1:])
	case "pub":
		return runPub(p, args[1:])
	case "version", "-version", "--version":
		fmt.Fprintln(p.stdout, liteBanner())
		return exitOK
	case "help", "-h", "-help", "--help":
		fmt.Fprint(p.stdout, usage)
		return exitOK
	}
	if strings.HasPrefix(args[0], "-") {
		return runNSQD(p, args)
	}
	fmt.Fprintf(p.stderr, "nsqd-lite: there is no command %q\n%s", args[0], usage)
	return exitUsage
}

// roleBanner is the line that scripts cut the version of nsqd or nsqlookupd
// out of.
func roleBanner(role string) string {
	return fmt.Sprintf("%s v%s (built w/%s)", role, server.Version, runtime.Version())
}

func liteBanner() string {
	commit := ""
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, s := range info.Settings {
			if s.Key == "vcs.revision" {
				commit = s.Value[:min(len(s.Value), 12)] + ", "
			}
		}
	}
	return fmt.Sprintf("nsqd-lite %s (%sbuilt w/%s), compatible with nsq %s", liteVersion, commit, runtime.Version(), server.Version)
}
