// Command reader consumes the topic nsq_reader asynchronously: it caches
// messages and answers them later, three at a time. It is pynsq's second
// example:
//
//	buf = []
//
//	def process_message(message):
//	    global buf
//	    message.enable_async()
//	    # cache the message for later processing
//	    buf.append(message)
//	    if len(buf) >= 3:
//	        for msg in buf:
//	            print msg
//	            msg.finish()
//	        buf = []
//	    else:
//	        print 'deferring processing'
//
//	r = nsq.Reader(message_handler=process_message,
//	        lookupd_http_addresses=['http://127.0.0.1:4161'],
//	        topic='nsq_reader', channel='async', max_in_flight=9)
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

	"github.com/nsqloop/nsqloop/loop"
	"github.com/nsqloop/nsqloop/reader"
)

func main() {
	nsqd := flag.String("nsqd", "127.0.0.1:4150", "TCP address of nsqd or nsqd-lite")
	lookupd := flag.String("lookupd", "", "HTTP address of nsqlookupd; replaces -nsqd")
	flag.Parse()
	where := reader.Options{NSQDs: []string{*nsqd}}
	if *lookupd != "" {
		where = reader.Options{Lookupds: []string{*lookupd}}
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	l, err := loop.New(loop.Options{})
	if err != nil {
		log.Fatal(err)
	}
	if err := start(l, where, os.Stdout); err != nil {
		log.Fatal(err)
	}
	if err := l.Run(ctx); err != nil {
		log.Fatal(err)
	}
}

// start makes the reader on l, which runs it. where says which nsqds it reads.
func start(l loop.Loop, where reader.Options, out io.Writer) error {
	var buf []*reader.Message // only the loop touches it, so it needs no lock

	processMessage := func(m *reader.Message) error {
		// Cache the message for later processing.
		buf = append(buf, m)
		if len(buf) >= 3 {
			for _, m := range buf {
				fmt.Fprintf(out, "%s\n", m.Body)
				m.Finish()
			}
			buf = nil
		} else {
			fmt.Fprintln(out, "deferring processing")
		}
		return reader.Pending // the answer is given by Finish, now or later
	}

	o := where
	o.Handler = processMessage
	o.Topic, o.Channel, o.MaxInFlight = "nsq_reader", "async", 9
	_, err := reader.New(l, o)
	return err
}
