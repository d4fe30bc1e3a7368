// Command publishsync publishes what it gets over HTTP, and answers a request
// when the message is safe: the way in from programs that have goroutines.
//
//	go run ./examples/publishsync -nsqd 127.0.0.1:4150 -listen 127.0.0.1:8080
//	curl -d 'hello' http://127.0.0.1:8080/orders
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"os/signal"
	"strings"

	"github.com/nsqloop/nsqloop/loop"
	"github.com/nsqloop/nsqloop/writer"
)

func main() {
	nsqd := flag.String("nsqd", "127.0.0.1:4150", "TCP addresses of nsqds, with commas between them")
	listen := flag.String("listen", "127.0.0.1:8080", "address to serve HTTP on")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, strings.Split(*nsqd, ","), *listen, os.Stdout); err != nil {
		log.Fatal(err)
	}
}

func run(ctx context.Context, nsqds []string, listen string, out io.Writer) error {
	l, err := loop.New(loop.Options{})
	if err != nil {
		return err
	}
	w, err := writer.New(l, writer.Options{NSQDs: nsqds})
	if err != nil {
		return err
	}
	ln, err := net.Listen("tcp", listen)
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "serving on http://%s/TOPIC\n", ln.Addr())
	srv := &http.Server{Handler: handler(w)}
	go srv.Serve(ln) // until Close; its error says no more than that
	defer srv.Close()
	return l.Run(ctx)
}

// handler publishes the body of a request to the topic that its path names.
func handler(w *writer.Writer) http.HandlerFunc {
	return func(rw http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(http.MaxBytesReader(rw, r.Body, 1<<20))
		if err != nil {
			http.Error(rw, err.Error(), http.StatusRequestEntityTooLarge)
			return
		}
		err = w.PublishSync(r.Context(), strings.TrimPrefix(r.URL.Path, "/"), body)
		switch writer.OutcomeOf(err) {
		case writer.Confirmed:
			fmt.Fprintln(rw, "published")
		case writer.Rejected:
			http.Error(rw, err.Error(), http.StatusBadRequest)
		case writer.NotSent: // once more is safe
			http.Error(rw, err.Error(), http.StatusServiceUnavailable)
		default: // it may be there: the client decides whether once more does harm
			http.Error(rw, errors.Join(errors.New("the message may have been published"), err).Error(), http.StatusGatewayTimeout)
		}
	}
}
