package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"runtime"
	"slices"
	"time"

	"github.com/nsqloop/nsqloop/cmd/nsqd-lite/internal/gencert"
	"github.com/nsqloop/nsqloop/server"
	"github.com/spf13/pflag"
)

func (p process) genCertVerb() verb {
	var (
		dir   string
		hosts []string
		valid time.Duration
	)
	return verb{
		use: "gen-cert", short: "make certificates for TLS: an authority, a server, a client", group: groupSetup,
		example: `  nsqd-lite gen-cert --dir=./certs --host=nsq.example --host=10.0.0.7`,
		flags: func(fs *pflag.FlagSet) {
			fs.StringVar(&dir, "dir", "./certs", "`directory` for the files, made if need be; none is overwritten")
			fs.StringArrayVar(&hosts, "host", nil, "`name` or address of a server, besides localhost and this machine's. May be given many times")
			fs.DurationVar(&valid, "valid", 10*365*24*time.Hour, "for how long")
		},
		run: func(context.Context, []string) error {
			if valid <= 0 {
				return usagef("--valid must be more than 0")
			}
			hosts := append([]string{"localhost", "127.0.0.1", "::1"}, hosts...)
			if name, err := os.Hostname(); err == nil && !slices.Contains(hosts, name) {
				hosts = append(hosts, name)
			}
			if err := os.MkdirAll(dir, 0o700); err != nil {
				return err
			}
			if err := gencert.Write(dir, hosts, valid); err != nil {
				return err
			}
			at := func(name string) (cert, key string) { return gencert.CertPath(dir, name), gencert.KeyPath(dir, name) }
			ca, _ := at("ca")
			server, serverKey := at("server")
			client, clientKey := at("client")
			_, err := fmt.Fprintf(p.stdout, `# a server, which wants a certificate of its clients:
nsqd-lite nsqd --tls-cert=%s --tls-key=%s --tls-root-ca-file=%s --tls-client-auth-policy=require-verify --tls-required=tcp-https
# a client:
nsqd-lite sub test print --consumer-opt=tls_v1 --consumer-opt=tls_root_ca_file,%s --consumer-opt=tls_cert,%s --consumer-opt=tls_key,%s
`, server, serverKey, ca, ca, client, clientKey)
			return err
		},
	}
}

// versions are those of this program, and of the NSQ that it speaks as.
type versions struct {
	Lite   string `json:"lite_version"`
	NSQ    string `json:"nsq_version"`
	Go     string `json:"go_version"`
	Commit string `json:"commit,omitempty"`
}

func (p process) versionVerb() verb {
	asJSON := false
	return verb{
		use: "version", short: "print the versions", group: groupSetup,
		flags: func(fs *pflag.FlagSet) { fs.BoolVar(&asJSON, "json", false, "print them as JSON") },
		run: func(context.Context, []string) error {
			if asJSON {
				return json.NewEncoder(p.stdout).Encode(versions{liteVersion, server.Version, runtime.Version(), commit()})
			}
			_, err := fmt.Fprintln(p.stdout, liteBanner())
			return err
		},
	}
}

func (p process) configVerb() verb {
	return verb{
		use: "config", short: "look at the configuration", group: groupSetup,
		verbs: []verb{{
			use: "dump [-- FLAGS]", short: "print nsqd's options in force and where each came from, as a config file",
			long: "Print nsqd's options in force and where each came from: the command line, the environment, a config\n" +
				"file, or nowhere. What is printed is a config file that says the same.",
			example: `  nsqd-lite config dump
  nsqd-lite config dump -- --config=/etc/nsqd.toml --max-msg-size=2000000`,
			most: 1000,
			run: func(_ context.Context, args []string) error {
				return ended(runNSQD(p, append(args, "--check-config")))
			},
		}},
	}
}
