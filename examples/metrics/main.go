// Command metrics shows a Reader, a Writer and their loop to Prometheus.
//
//	go run ./examples/metrics -nsqd 127.0.0.1:4150 -listen 127.0.0.1:9100
//	curl http://127.0.0.1:9100/metrics
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"os/signal"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/nsqloop/nsqloop/loop"
	"github.com/nsqloop/nsqloop/nsqprom"
	"github.com/nsqloop/nsqloop/reader"
	"github.com/nsqloop/nsqloop/writer"
)

func main() {
	nsqd := flag.String("nsqd", "127.0.0.1:4150", "TCP address of nsqd")
	listen := flag.String("listen", "127.0.0.1:9100", "address to serve /metrics on")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, *nsqd, *listen, os.Stdout); err != nil {
		log.Fatal(err)
	}
}

func run(ctx context.Context, nsqd, listen string, out io.Writer) error {
	m := nsqprom.New()
	l, err := loop.New(loop.Options{OnCallback: m.OnCallback})
	if err != nil {
		return err
	}
	w, err := writer.New(l, writer.Options{NSQDs: []string{nsqd}, OnResult: m.OnResult})
	if err != nil {
		return err
	}
	handle := func(*reader.Message) error { return nil }
	r, err := reader.New(l, reader.Options{
		Topic: "ticks", Channel: "count", NSQDs: []string{nsqd},
		Handler: m.Handler("ticks", "count", handle),
	})
	if err != nil {
		return err
	}
	m.AddWriter(w)
	m.AddReader(r)
	l.Every(10*time.Millisecond, func() { w.Publish("ticks", []byte("tick"), nil) })

	reg := prometheus.NewRegistry()
	reg.MustRegister(m)
	ln, err := net.Listen("tcp", listen)
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "http://%s/metrics\n", ln.Addr())
	srv := &http.Server{Handler: promhttp.HandlerFor(reg, promhttp.HandlerOpts{})}
	go srv.Serve(ln) // until Close; its error says no more than that
	defer srv.Close()
	return l.Run(ctx)
}
