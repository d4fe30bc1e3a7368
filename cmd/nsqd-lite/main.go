// Command nsqd-lite is the whole of NSQ in one binary.
//
//	nsqd-lite                       a server, an nsqlookupd and an admin page on loopback, data in ./nsqd-data
//	nsqd-lite nsqd [flags]          a server with nsqd's flags and defaults
//	nsqd-lite [flags]               the same
//	nsqd [flags]                    the same, through a link of that name
//	nsqd-lite nsqlookupd [flags]    an nsqlookupd with its flags and defaults; or a link of that name
//	nsqd-lite nsqadmin [flags]      an admin page with nsqadmin's flags and defaults; or a link of that name
//	nsqd-lite tail TOPIC            messages as they are published; consumes none
//	nsqd-lite pub TOPIC [BODY|-]    publish BODY, or each line of the standard input
//	nsqd-lite help                  all commands
package main

import (
	"context"
	"os"
)

func main() {
	os.Exit(run(process{
		ctx:    context.Background(),
		args:   os.Args,
		getenv: os.LookupEnv,
		stdin:  os.Stdin,
		stdout: os.Stdout,
		stderr: os.Stderr,
		// A character device is near enough to a terminal: what else is one,
		// like /dev/null, does not mind a banner.
		terminal: isCharDevice(os.Stderr),
		screen:   isCharDevice(os.Stdout),
		exit:     os.Exit,
	}))
}

func isCharDevice(f *os.File) bool {
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}
