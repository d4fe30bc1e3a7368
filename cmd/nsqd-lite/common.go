package main

import (
	"flag"
	"fmt"
	"io"
	"log/slog"
	"time"
)

// common are the settings that every role has.
type common struct {
	version     bool
	checkConfig bool
	config      string
	level       logLevel
	logPrefix   string
	drain       time.Duration
}

// flags makes the flags of a role, which so far has what all have.
func (c *common) flags(role string) *flag.FlagSet {
	fs := flag.NewFlagSet(role, flag.ContinueOnError)
	fs.SetOutput(io.Discard) // whoever parses says what is wrong, once
	fs.BoolVar(&c.version, "version", false, "print the version and exit")
	fs.BoolVar(&c.checkConfig, "check-config", false, "print the options in force and where each came from, and exit: 0, or 2 when they are wrong")
	fs.StringVar(&c.config, "config", "", "`path` of a TOML file with the same options, _ for -")
	c.level = logLevel(slog.LevelInfo)
	fs.Var(&c.level, "log-level", "debug, info, warn, error or fatal")
	fs.StringVar(&c.logPrefix, "log-prefix", "["+role+"] ", "what log lines begin with")
	fs.DurationVar(&c.drain, "drain-timeout", 10*time.Second, "how long a stop may take before it is cut off")
	fs.Bool("verbose", false, "accepted, no effect")
	return fs
}

// says are the flags that say what to do, or where it is said how. A config file
// has none of them.
func says(flagName string) bool {
	return flagName == "version" || flagName == "config" || flagName == "check-config"
}

// checked ends a role that was asked to check its options, and found nothing
// wrong with them.
func (p process) checked(role, listing string, warnings []string) int {
	for _, w := range warnings {
		fmt.Fprintf(p.stderr, "%s: %s\n", role, w)
	}
	fmt.Fprint(p.stdout, listing)
	return exitOK
}
