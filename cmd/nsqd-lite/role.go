package main

import (
	"context"
	"flag"
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
	ctx      context.Context // done when a test wants the program to stop; signals do it besides
	args     []string        // the first is the program's name
	getenv   func(string) (string, bool)
	stdin    io.Reader
	stdout   io.Writer
	stderr   io.Writer
	terminal bool // stderr is one
	screen   bool // stdout is one
	exit     func(int)
}

// role is a program of NSQ's that serves. It parses its flags itself, as Go's
// flag package does: scripts and test suites rely on its manners.
type role struct {
	name  string
	short string
	run   func(p process, args []string) int
	flags func() *flag.FlagSet // for help, completion and manual pages; nil when it has none
}

// roles are those that this binary plays.
func roles() []role {
	return []role{
		{"nsqd", "a server with nsqd's flags and defaults", runNSQD,
			func() *flag.FlagSet { return newFlags(new(settings)) }},
		{"nsqlookupd", "an nsqlookupd with its flags and defaults", runLookupd,
			func() *flag.FlagSet { return newLookupdFlags(new(lookupdSettings)) }},
		{"nsqadmin", "an admin page with nsqadmin's flags and defaults", runAdmin,
			func() *flag.FlagSet { return newAdminFlags(new(adminSettings)) }},
	}
}

// run finds the role and plays it. It returns the exit code.
func run(p process) int {
	name := strings.TrimSuffix(filepath.Base(p.args[0]), ".exe")
	args := p.args[1:]
	for _, r := range roles() {
		switch {
		case name == r.name:
			return r.run(p, args)
		case len(args) > 0 && args[0] == r.name:
			return r.run(p, args[1:])
		}
	}
	if isUtility(name) {
		return runTree(p, append([]string{name}, args...))
	}
	if len(args) == 0 {
		return runLite(p)
	}
	switch args[0] {
	case "-version", "--version":
		args = []string{"version"}
	case "-h", "-help", "--help":
		args = []string{"help"}
	}
	if strings.HasPrefix(args[0], "-") {
		return runNSQD(p, args)
	}
	return runTree(p, args)
}

// roleBanner is the line that scripts cut the version of nsqd, nsqlookupd or
// nsqadmin out of.
func roleBanner(role string) string {
	return fmt.Sprintf("%s v%s (built w/%s)", role, server.Version, runtime.Version())
}

// misused says what is wrong with a role's options, and returns code.
func (p process) misused(role string, err error, code int) int {
	fmt.Fprintf(p.stderr, "%s: %v\n", role, err)
	if code == exitUsage {
		fmt.Fprintf(p.stderr, "usage: %[1]s [flags]; %[1]s -h lists the flags\n", role)
	}
	return code
}

func liteBanner() string {
	of := commit()
	if of != "" {
		of += ", "
	}
	return fmt.Sprintf("nsqd-lite %s (%sbuilt w/%s), compatible with nsq %s", liteVersion, of, runtime.Version(), server.Version)
}

// commit is the beginning of the one that was built; empty when that is not
// known.
func commit() string {
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, s := range info.Settings {
			if s.Key == "vcs.revision" {
				return s.Value[:min(len(s.Value), 12)]
			}
		}
	}
	return ""
}
