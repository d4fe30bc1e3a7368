// Command envelope publishes orders with headers and a trace context, in the form
// of CloudEvents, and consumes them, together with plain bodies of programs that
// know nothing of that.
//
//	go run ./examples/envelope -nsqd 127.0.0.1:4150
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"log"
	"os"
	"os/signal"

	"github.com/nsqloop/nsqloop/client/envelope"
	"github.com/nsqloop/nsqloop/loop"
	"github.com/nsqloop/nsqloop/reader"
	"github.com/nsqloop/nsqloop/writer"
)

func main() {
	nsqd := flag.String("nsqd", "127.0.0.1:4150", "TCP address of nsqd")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, *nsqd, os.Stdout); err != nil {
		log.Fatal(err)
	}
}

func run(ctx context.Context, nsqd string, out io.Writer) error {
	l, err := loop.New(loop.Options{})
	if err != nil {
		return err
	}
	w, err := writer.New(l, writer.Options{NSQDs: []string{nsqd}})
	if err != nil {
		return err
	}
	_, err = reader.New(l, reader.Options{
		Topic: "orders", Channel: "billing", NSQDs: []string{nsqd},
		Handler: func(m *reader.Message) error {
			e, ok := envelope.Open(m.Body)
			if !ok { // e.Body is the body as it came
				fmt.Fprintf(out, "plain: %s\n", e.Body)
				return nil
			}
			fmt.Fprintf(out, "%s for %s: %s, trace %s\n", e.Type, e.Headers["tenant"], e.Body, e.TraceParent)
			return nil
		},
	})
	if err != nil {
		return err
	}
	order := envelope.Envelope{
		ID: "order-7", Source: "/shop", Type: "order.placed",
		TraceParent: "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", // the current span's
		Headers:     map[string]string{"tenant": "eu"},
		Body:        []byte(`{"id":7,"cents":995}`),
	}
	body, err := order.Append(nil)
	if err != nil {
		return err
	}
	for _, b := range [][]byte{body, []byte("order 8")} {
		w.Publish("orders", b, func(res writer.Result) {
			if res.Err != nil {
				fmt.Fprintf(out, "publish: %v\n", res.Err)
			}
		})
	}
	return l.Run(ctx)
}
