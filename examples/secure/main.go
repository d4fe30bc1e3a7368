// Command secure publishes and consumes inside TLS, shows a certificate, and
// answers a server that asks for AUTH. nsqd-lite gen-cert makes the files.
//
//	go run ./examples/secure -nsqd HOST:4150 -ca ca.pem -cert client.pem -key client-key.pem -secret-file secret
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"log"
	"os"
	"strings"

	"github.com/nsqloop/nsqloop/client"
	"github.com/nsqloop/nsqloop/loop"
	"github.com/nsqloop/nsqloop/reader"
	"github.com/nsqloop/nsqloop/writer"
)

func main() {
	if err := run(context.Background(), os.Args[1:], os.Stdout); err != nil {
		log.Fatal(err)
	}
}

func run(ctx context.Context, args []string, out io.Writer) error {
	fs := flag.NewFlagSet("secure", flag.ContinueOnError)
	nsqd := fs.String("nsqd", "127.0.0.1:4150", "TCP address of nsqd")
	ca := fs.String("ca", "", "file with the authority of nsqd's certificate")
	cert := fs.String("cert", "", "file with our certificate")
	key := fs.String("key", "", "file with its key")
	secretFile := fs.String("secret-file", "", "file with the secret for AUTH")
	if err := fs.Parse(args); err != nil {
		return err
	}
	config, err := client.TLSFromFiles(*ca, *cert, *key)
	if err != nil {
		return err
	}
	o := client.Options{
		TLSConfig: config, // a server without TLS is an error now
		Snappy:    true,
		// Asked each time, so a new secret needs no restart. A file this small
		// does not hold the loop; a call to a vault would.
		AuthSecret: func() string {
			secret, err := os.ReadFile(*secretFile)
			if err != nil {
				fmt.Fprintln(out, err)
			}
			return strings.TrimSpace(string(secret))
		},
		OnEvent: func(e client.Event) {
			if e.Kind == client.EventReady {
				fmt.Fprintf(out, "ready: TLS %t, snappy %t, we are %q\n", e.Info.TLS, e.Info.Snappy, e.Info.Identity)
			}
		},
	}
	l, err := loop.New(loop.Options{})
	if err != nil {
		return err
	}
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	failed := func(err error) {
		fmt.Fprintln(out, err)
		stop()
	}
	w, err := writer.New(l, writer.Options{NSQDs: []string{*nsqd}, Client: o})
	if err != nil {
		return err
	}
	_, err = reader.New(l, reader.Options{
		Topic: "secrets", Channel: "print", NSQDs: []string{*nsqd}, Client: o, OnError: failed,
		Handler: func(m *reader.Message) error {
			fmt.Fprintf(out, "received %s\n", m.Body)
			stop()
			return nil
		},
	})
	if err != nil {
		return err
	}
	w.Publish("secrets", []byte("for your eyes only"), func(res writer.Result) {
		if res.Err != nil {
			failed(res.Err)
		}
	})
	return l.Run(ctx)
}
