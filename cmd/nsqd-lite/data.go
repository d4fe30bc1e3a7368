package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/nsqloop/nsqloop/server/offline"
	"github.com/spf13/pflag"
)

// dataVerb has the commands for a data path that no server has.
func (p process) dataVerb() verb {
	return verb{
		use: "data", short: "verify, repair, export or import a data path", group: groupAdmin,
		long:  "Look at a data path that no server has, repair it, take its messages out, or make one of what nsqd has left.",
		verbs: []verb{p.verifyVerb(), p.repairVerb(), p.exportVerb(), p.importVerb()},
	}
}

func jsonFlag(fs *pflag.FlagSet, to *bool) { fs.BoolVar(to, "json", false, "what was found, as JSON") }

// dataPathArg is the data path that the arguments of a command name.
func dataPathArg(args []string) string {
	if len(args) > 0 {
		return args[0]
	}
	return liteDataPath
}

func (p process) verifyVerb() verb {
	var asJSON bool
	return verb{
		use: "verify [DATA-PATH]", short: "read all of a data path and say what is damaged",
		long: "Read all of a data path, " + liteDataPath + " if none is named, and say what is there, what is damaged, and what would be\n" +
			"lost. Nothing is changed. The exit code is 0 when it is whole, 1 when something is damaged.",
		example: `  nsqd-lite data verify /var/lib/nsqd --json`,
		most:    1,
		flags:   func(fs *pflag.FlagSet) { jsonFlag(fs, &asJSON) },
		run: func(ctx context.Context, args []string) error {
			m := p.meter("verify")
			r, err := offline.Verify(ctx, dataPathArg(args), m.show)
			m.end()
			if err != nil {
				return occupied(err)
			}
			if err := p.printReport(r, asJSON); err != nil {
				return err
			}
			if !r.Whole {
				return exitCode(exitFailed)
			}
			return nil
		},
	}
}

func (p process) repairVerb() verb {
	var asJSON bool
	return verb{
		use: "repair [DATA-PATH]", short: "pass over what is damaged, and keep it aside",
		long: "Make of a data path, " + liteDataPath + " if none is named, what a start would make of it, and pass over what is damaged:\n" +
			"the bytes are kept aside in files beside it, and nobody waits for their messages any longer. A server starts\n" +
			"on a damaged data path, too; this tells all of what is lost, at once.",
		most:  1,
		flags: func(fs *pflag.FlagSet) { jsonFlag(fs, &asJSON) },
		run: func(ctx context.Context, args []string) error {
			m := p.meter("repair")
			r, err := offline.Repair(ctx, dataPathArg(args), m.show)
			m.end()
			if err != nil {
				return occupied(err)
			}
			return p.printReport(r, asJSON)
		},
	}
}

func (p process) exportVerb() verb {
	var o offline.ExportOptions
	var asJSON bool
	return verb{
		use: "export [DATA-PATH]", short: "write the messages of a data path as lines of JSON",
		long: "Write the messages that somebody waits for as lines of JSON: id, timestamp, body, and for whom, with attempts and\n" +
			"due times. Each message is written once, whoever waits for it. Nothing is changed; data import takes the lines.",
		example: `  nsqd-lite data export /var/lib/nsqd >messages
  nsqd-lite data export /var/lib/nsqd --topic=orders --raw`,
		most: 1,
		flags: func(fs *pflag.FlagSet) {
			fs.StringVar(&o.Topic, "topic", "", "this topic alone")
			fs.StringVar(&o.Channel, "channel", "", "what waits in this channel of it alone")
			fs.BoolVar(&o.Raw, "raw", false, "bodies alone, each with a newline behind it")
			fs.BoolVar(&asJSON, "json", false, "what was written is told as JSON, on the standard error output")
		},
		run: func(ctx context.Context, args []string) error {
			if o.Channel != "" && o.Topic == "" {
				return usagef("--channel needs --topic")
			}
			m := p.meter("export")
			o.Progress = m.show
			x, err := offline.Export(ctx, dataPathArg(args), p.stdout, o)
			m.end()
			if err != nil {
				return occupied(err)
			}
			if asJSON {
				return json.NewEncoder(p.stderr).Encode(x)
			}
			printNotes(p.stderr, x.Notes)
			fmt.Fprintf(p.stderr, "%d messages of %d topics\n", x.Messages, x.Topics)
			if x.Lost > 0 {
				fmt.Fprintf(p.stderr, "%d messages are damaged: nsqd-lite data verify says more\n", x.Lost)
			}
			return nil
		},
	}
}

func (p process) importVerb() verb {
	var o offline.ImportOptions
	var asJSON bool
	return verb{
		use: "import FROM DATA-PATH", short: "make a data path of nsqd's, or of an export",
		long: "Make a data path of what nsqd has left in the directory FROM, which must be stopped, or of the lines that data\n" +
			"export has written to the file FROM, - for the standard input. FROM is not changed. DATA-PATH must not be there yet,\n" +
			"or be empty; it has everything or, after an error, nothing.",
		example: `  nsqd-lite data import /var/lib/nsqd /var/lib/nsqd-lite
  nsqd-lite data export old | nsqd-lite data import - new`,
		least: 2, most: 2, missing: "name where to import from, and a new data path",
		flags: func(fs *pflag.FlagSet) {
			fs.BoolVar(&o.Bad, "bad", false, "read also the files that nsqd has set aside as damaged (.bad)")
			jsonFlag(fs, &asJSON)
		},
		run: func(ctx context.Context, args []string) error {
			m := p.meter("import")
			o.Progress = m.show
			im, err := p.importFrom(ctx, args[0], args[1], o)
			m.end()
			if err != nil {
				return occupied(err)
			}
			if err := p.printImport(im, asJSON); err != nil {
				return err
			}
			if im.Lost {
				return exitCode(exitFailed)
			}
			return nil
		},
	}
}

// importFrom imports a directory of nsqd's, a file of lines, or the standard
// input.
func (p process) importFrom(ctx context.Context, from, to string, o offline.ImportOptions) (*offline.Imported, error) {
	if from == "-" {
		return offline.ImportLines(ctx, p.stdin, 0, from, to, o)
	}
	info, err := os.Stat(from)
	if err != nil {
		return nil, fmt.Errorf("import: %w", err)
	}
	if info.IsDir() {
		return offline.Import(ctx, from, to, o)
	}
	f, err := os.Open(from)
	if err != nil {
		return nil, fmt.Errorf("import: %w", err)
	}
	defer f.Close()
	return offline.ImportLines(ctx, f, info.Size(), from, to, o)
}

// occupied is err with the exit code for a data path that a server has.
func occupied(err error) error {
	if errors.Is(err, offline.ErrLocked) {
		return coded{err, exitOccupied}
	}
	return err
}

func printNotes(w io.Writer, notes []string) {
	for _, note := range notes {
		fmt.Fprintf(w, "note: %s\n", note)
	}
}
