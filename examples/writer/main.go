// Command writer publishes the time of day to the topic test, once a second,
// and prints how each publish went. It is pynsq's first example:
//
//	def pub_message():
//	    writer.pub('test', time.strftime('%H:%M:%S'), finish_pub)
//
//	def finish_pub(conn, data):
//	    print data
//
//	writer = nsq.Writer(['127.0.0.1:4150'])
//	tornado.ioloop.PeriodicCallback(pub_message, 1000).start()
//	nsq.run()
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"log"
	"os"
	"os/signal"
	"time"

	"github.com/nsqloop/nsqloop/loop"
	"github.com/nsqloop/nsqloop/writer"
)

func main() {
	nsqd := flag.String("nsqd", "127.0.0.1:4150", "TCP address of nsqd or nsqd-lite")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	l, err := loop.New(loop.Options{})
	if err != nil {
		log.Fatal(err)
	}
	if err := start(l, *nsqd, os.Stdout); err != nil {
		log.Fatal(err)
	}
	if err := l.Run(ctx); err != nil {
		log.Fatal(err)
	}
}

// start makes the writer and its periodic callback on l, which runs them.
func start(l loop.Loop, nsqd string, out io.Writer) error {
	w, err := writer.New(l, writer.Options{NSQDs: []string{nsqd}})
	if err != nil {
		return err
	}
	finishPub := func(res writer.Result) {
		if res.Err != nil {
			fmt.Fprintln(out, res.Err)
			return
		}
		fmt.Fprintln(out, "OK")
	}
	pubMessage := func() {
		w.Publish("test", []byte(l.Now().Format(time.TimeOnly)), finishPub)
	}
	l.Every(time.Second, pubMessage)
	return nil
}
