package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os/signal"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/nsqloop/nsqloop/internal/option"
)

// programName is the name under which the commands are documented, whatever
// the binary is called.
const programName = "nsqd-lite"

// Groups of the commands in the help, in its order.
const (
	groupServers  = "servers"
	groupMessages = "messages"
	groupLook     = "look"
	groupAdmin    = "admin"
	groupNSQ      = "nsq"
	groupSetup    = "setup"
)

// usageError is a command line that cannot be meant.
type usageError struct{ err error }

func (e usageError) Error() string { return e.err.Error() }
func (e usageError) Unwrap() error { return e.err }

// usagef makes a usageError.
func usagef(format string, args ...any) error { return usageError{fmt.Errorf(format, args...)} }

// coded is an error with an exit code of its own.
type coded struct {
	error
	code int
}

func (f coded) Unwrap() error { return f.error }

// exitCode is an end that needs no more words.
type exitCode int

func (c exitCode) Error() string { return fmt.Sprintf("exit code %d", int(c)) }

// verb is one command that is not a role.
type verb struct {
	use     string // "name ARGUMENTS"
	short   string
	long    string // more about it; may be empty
	example string
	group   string
	least   int // arguments
	most    int
	missing string // what is wrong with another number of them
	flags   func(fs *pflag.FlagSet)
	run     func(ctx context.Context, args []string) error
	hidden  bool
	verbs   []verb // below it; then it has no run
}

// command makes the verb's place in the tree.
func (v verb) command() *cobra.Command {
	c := &cobra.Command{
		Use: v.use, Short: v.short, Long: v.long, Example: v.example, GroupID: v.group, Hidden: v.hidden,
		DisableFlagsInUseLine: true,
	}
	if v.flags != nil {
		v.flags(c.Flags())
	}
	for _, below := range v.verbs {
		c.AddCommand(below.command())
	}
	if v.run == nil {
		c.RunE = func(c *cobra.Command, args []string) error {
			if len(args) > 0 {
				return unknownCommand(c, args[0])
			}
			return c.Help()
		}
		c.Args = cobra.ArbitraryArgs
		return c
	}
	if isUtility(v.use) && v.use != "to_nsq" { // as NSQ has it
		version := c.Flags().Bool("version", false, "print the version and exit")
		run := v.run
		v.run = func(ctx context.Context, args []string) error {
			if *version {
				fmt.Fprintln(c.OutOrStdout(), roleBanner(v.use))
				return nil
			}
			return run(ctx, args)
		}
	}
	c.RunE = func(c *cobra.Command, args []string) error { return v.run(c.Context(), args) }
	c.Args = func(_ *cobra.Command, args []string) error {
		if len(args) < v.least || len(args) > v.most {
			if v.missing == "" {
				return usagef("unexpected argument %q", args[v.most])
			}
			return usagef("%s", v.missing)
		}
		return nil
	}
	return c
}

// newTree makes the commands of p.
func newTree(p process) *cobra.Command {
	root := &cobra.Command{
		Use:   programName,
		Short: "NSQ in one binary: nsqd, nsqlookupd, nsqadmin, their utilities, and a few of its own",
		Long: "Without arguments: a server on 127.0.0.1:4150 (HTTP on 4151), data in ./nsqd-data,\n" +
			"an nsqlookupd on 4160 (HTTP on 4161) and an admin page on 4171. With flags alone it is nsqd.",
		SilenceErrors: true,
		SilenceUsage:  true,
		Args:          cobra.ArbitraryArgs,
	}
	root.SetIn(p.stdin)
	root.SetOut(p.stdout)
	root.SetErr(p.stderr)
	root.SetFlagErrorFunc(func(c *cobra.Command, err error) error {
		return usageError{fmt.Errorf("%w%s", err, nearestFlag(c, err))}
	})
	root.SetHelpCommandGroupID(groupSetup)
	root.SetCompletionCommandGroupID(groupSetup)
	root.AddGroup(
		&cobra.Group{ID: groupServers, Title: "Servers:"},
		&cobra.Group{ID: groupMessages, Title: "Messages:"},
		&cobra.Group{ID: groupLook, Title: "Looking at servers:"},
		&cobra.Group{ID: groupAdmin, Title: "Changing them:"},
		&cobra.Group{ID: groupNSQ, Title: "NSQ's utilities:"},
		&cobra.Group{ID: groupSetup, Title: "Setting up:"},
	)
	for _, r := range roles() {
		root.AddCommand(r.command(p))
	}
	for _, v := range verbs(p) {
		root.AddCommand(v.command())
	}
	return root
}

// command shows the role in the tree, to help, completion and manual pages. It
// is played before the tree is made.
func (r role) command(p process) *cobra.Command {
	c := &cobra.Command{
		Use: r.name + " [flags]", Short: r.short, GroupID: groupServers,
		DisableFlagParsing: true, DisableFlagsInUseLine: true,
		RunE: func(_ *cobra.Command, args []string) error { return ended(r.run(p, args)) },
	}
	if r.flags != nil {
		c.Flags().AddGoFlagSet(r.flags())
	}
	return c
}

// ended is the error for an exit code, nil for 0.
func ended(code int) error {
	if code == exitOK {
		return nil
	}
	return exitCode(code)
}

// runTree runs the command that args name.
func runTree(p process, args []string) int {
	root := newTree(p)
	if target, _ := descend(root, args); target == root && len(args) > 0 && !strings.HasPrefix(args[0], "_") && args[0] != "help" && args[0] != "completion" {
		return report(p, root, unknownCommand(root, args[0]))
	}
	ctx, release := signal.NotifyContext(p.context(), stopSignals...)
	defer release()
	done := context.AfterFunc(ctx, func() {
		again, _ := signal.NotifyContext(context.Background(), stopSignals...)
		release() // only now, so that no moment is without a handler
		context.AfterFunc(again, func() { p.exit(exitInterrupt) })
	})
	defer done()
	root.SetArgs(doubleDash(root, args))
	cmd, err := root.ExecuteContextC(ctx)
	return report(p, cmd, err)
}

// context is what ends when p is to stop, signals aside.
func (p process) context() context.Context {
	if p.ctx == nil {
		return context.Background()
	}
	return p.ctx
}

// report says what went wrong, and returns the exit code that goes with it.
func report(p process, cmd *cobra.Command, err error) int {
	var code exitCode
	var usage usageError
	switch {
	case err == nil:
		return exitOK
	case errors.As(err, &code):
		return int(code)
	case errors.As(err, &usage):
		fmt.Fprintf(p.stderr, "%s: %v\nusage: %s; %s --help lists the flags\n", cmd.CommandPath(), err, cmd.UseLine(), cmd.CommandPath())
		return exitUsage
	}
	fmt.Fprintf(p.stderr, "%s: %v\n", cmd.CommandPath(), err)
	if f := (coded{}); errors.As(err, &f) {
		return f.code
	}
	return exitFailed
}

// descend follows the words of args down from root, and returns the command
// they lead to and the rest of args.
func descend(root *cobra.Command, args []string) (*cobra.Command, []string) {
	at := root
	for len(args) > 0 {
		next := at
		for _, c := range at.Commands() {
			if c.Name() == args[0] || c.HasAlias(args[0]) {
				next = c
			}
		}
		if next == at {
			break
		}
		at, args = next, args[1:]
	}
	return at, args
}

// doubleDash gives flags with one dash, as NSQ's programs and documents have
// them, the second one that the parser wants.
func doubleDash(root *cobra.Command, args []string) []string {
	cmd, rest := descend(root, args)
	if cmd.DisableFlagParsing {
		return args
	}
	out := append([]string(nil), args[:len(args)-len(rest)]...)
	for i, arg := range rest {
		if arg == "--" {
			return append(out, rest[i:]...)
		}
		name, _, _ := strings.Cut(strings.TrimPrefix(arg, "-"), "=")
		if len(name) > 1 && arg[0] == '-' && name[0] != '-' && (name == "help" || cmd.Flags().Lookup(name) != nil) {
			arg = "-" + arg
		}
		out = append(out, arg)
	}
	return out
}

// unknownCommand is the error for a word that is none of cmd's commands.
func unknownCommand(cmd *cobra.Command, word string) error {
	var names []string
	for _, c := range cmd.Commands() {
		if !c.Hidden {
			names = append(names, c.Name())
		}
	}
	return usagef("there is no command %q%s", word, option.Meant(word, names))
}

// nearestFlag is the flag that was meant where err complains about one that
// does not exist, as the end of a sentence.
func nearestFlag(c *cobra.Command, err error) string {
	var unknown *pflag.NotExistError
	if !errors.As(err, &unknown) {
		return ""
	}
	word := strings.TrimLeft(unknown.GetSpecifiedName(), "-")
	if group := unknown.GetSpecifiedShortnames(); group != "" {
		word = group
	}
	var names []string
	c.Flags().VisitAll(func(f *pflag.Flag) { names = append(names, f.Name) })
	return dashed(option.Meant(word, names))
}

// nearestGoFlag is the same for the flags of a role.
func nearestGoFlag(fs *flag.FlagSet, err error) string {
	word, unknown := strings.CutPrefix(err.Error(), "flag provided but not defined: -")
	if !unknown {
		return ""
	}
	var names []string
	fs.VisitAll(func(f *flag.Flag) { names = append(names, f.Name) })
	return dashed(option.Meant(word, names))
}

// dashed puts the dashes of a flag before the name in a suggestion.
func dashed(suggestion string) string {
	return strings.Replace(suggestion, "mean ", "mean --", 1)
}
