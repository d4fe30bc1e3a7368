package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

func (p process) manVerb() verb {
	var dir string
	return verb{
		use: "man [COMMAND...]", short: "print a manual page, or write all of them", group: groupSetup,
		example: `  nsqd-lite man pub | man -l -
  nsqd-lite man --dir=/usr/share/man/man1`,
		most: 3,
		flags: func(fs *pflag.FlagSet) {
			fs.StringVar(&dir, "dir", "", "write the pages of all commands into this existing `directory`")
		},
		run: func(_ context.Context, args []string) error {
			root := newTree(p)
			if dir != "" {
				return writeManuals(dir, root)
			}
			cmd, rest := descend(root, args)
			if len(rest) > 0 {
				return unknownCommand(cmd, rest[0])
			}
			_, err := p.stdout.Write(manual(cmd))
			return err
		},
	}
}

// writeManuals writes the page of cmd and of all commands below it.
func writeManuals(dir string, cmd *cobra.Command) error {
	if err := os.WriteFile(filepath.Join(dir, manualName(cmd)+".1"), manual(cmd), 0o644); err != nil {
		return err
	}
	for _, below := range cmd.Commands() {
		if below.Hidden {
			continue
		}
		if err := writeManuals(dir, below); err != nil {
			return err
		}
	}
	return nil
}

// manualName is the name of a command's page: nsqd-lite-topic-create. That of
// nsq_to_file is nsqd-lite-nsq_to_file, since NSQ's own program may have a page.
func manualName(cmd *cobra.Command) string {
	return strings.ReplaceAll(cmd.CommandPath(), " ", "-")
}

// manual is the page of a command, for man(7).
func manual(cmd *cobra.Command) []byte {
	var b strings.Builder
	section := func(name string) { fmt.Fprintf(&b, ".SH %s\n", name) }
	text := func(s string) { b.WriteString(roff(strings.TrimRight(s, "\n")) + "\n") }

	fmt.Fprintf(&b, ".TH %q 1 \"\" \"nsqd-lite %s\" \"User Commands\"\n", strings.ToUpper(manualName(cmd)), liteVersion)
	section("NAME")
	text(manualName(cmd) + " - " + cmd.Short)
	section("SYNOPSIS")
	b.WriteString(".B ")
	text(cmd.UseLine())
	section("DESCRIPTION")
	if cmd.Long != "" {
		text(cmd.Long)
	} else {
		text(strings.ToUpper(cmd.Short[:1]) + cmd.Short[1:] + ".")
	}
	var below []string
	for _, c := range cmd.Commands() {
		if c.Hidden {
			continue
		}
		if below == nil {
			section("COMMANDS")
		}
		below = append(below, manualName(c)+"(1)")
		fmt.Fprintf(&b, ".TP\n.B %s\n", roff(c.Name()))
		text(c.Short)
	}
	options := false
	cmd.Flags().VisitAll(func(f *pflag.Flag) {
		if f.Hidden {
			return
		}
		if !options {
			section("OPTIONS")
			options = true
		}
		manualFlag(&b, f)
	})
	if cmd.Example != "" {
		section("EXAMPLES")
		b.WriteString(".nf\n")
		text(cmd.Example)
		b.WriteString(".fi\n")
	}
	section("EXIT STATUS")
	text("0 done, or stopped by a signal; 1 failed; 2 wrong usage or config; 3 a port or data path is taken; 4 the stop was cut off; 130 a second interrupt.")
	if cmd.HasParent() {
		below = append(below, programName+"(1)")
	}
	if len(below) > 0 {
		section("SEE ALSO")
		text(strings.Join(below, ", "))
	}
	return []byte(b.String())
}

// manualFlag writes one of the options.
func manualFlag(b *strings.Builder, f *pflag.Flag) {
	kind, help := pflag.UnquoteUsage(f)
	name := "--" + f.Name
	if f.Shorthand != "" {
		name = "-" + f.Shorthand + ", " + name
	}
	if kind != "" {
		name += "=" + kind
	}
	switch f.DefValue {
	case "", "0", "0s", "false", "[]":
	default:
		help += " (default " + f.DefValue + ")"
	}
	fmt.Fprintf(b, ".TP\n.B %s\n%s\n", roff(name), roff(help))
}

// roff is text as roff takes it: no line is a command, and dashes can be
// copied.
func roff(s string) string {
	s = strings.NewReplacer(`\`, `\e`, "-", `\-`).Replace(s)
	lines := strings.Split(s, "\n")
	for i, line := range lines {
		if strings.HasPrefix(line, ".") || strings.HasPrefix(line, "'") {
			lines[i] = `\&` + line
		}
	}
	return strings.Join(lines, "\n")
}
