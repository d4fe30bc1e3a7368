package nsqprom_test

import (
	"context"
	"fmt"
	"log"
	"net/http"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/nsqloop/nsqloop/loop"
	"github.com/nsqloop/nsqloop/nsqprom"
	"github.com/nsqloop/nsqloop/reader"
	"github.com/nsqloop/nsqloop/writer"
)

func Example() {
	m := nsqprom.New()
	prometheus.MustRegister(m)
	defer prometheus.Unregister(m)

	l, err := loop.New(loop.Options{OnCallback: m.OnCallback})
	check(err)
	w, err := writer.New(l, writer.Options{NSQDs: []string{"127.0.0.1:4150"}, OnResult: m.OnResult})
	check(err)
	r, err := reader.New(l, reader.Options{
		Topic: "orders", Channel: "billing", NSQDs: []string{"127.0.0.1:4150"},
		Handler: m.Handler("orders", "billing", func(*reader.Message) error { return nil }),
	})
	check(err)
	m.AddWriter(w)
	m.AddReader(r)

	http.Handle("/metrics", promhttp.Handler())
	ctx, stop := context.WithCancel(context.Background())
	stop() // a program would go on
	check(l.Run(ctx))
	fmt.Println(r.Stats().Finished, "finished")
	// Output: 0 finished
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}
