package client_test

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"time"

	"github.com/nsqloop/nsqloop/client"
	"github.com/nsqloop/nsqloop/internal/wire"
	"github.com/nsqloop/nsqloop/loop"
	"github.com/nsqloop/nsqloop/reader"
	"github.com/nsqloop/nsqloop/server"
	"github.com/nsqloop/nsqloop/writer"
)

// asker publishes one message and ends.
type asker struct {
	conn *client.Conn
	stop func()
}

func (a *asker) OnReady(c *client.Conn) {
	fmt.Println(c.State(), c.Info().Version)
	c.Publish("greetings", []byte("hello"))
}
func (a *asker) OnResponse(data []byte) {
	fmt.Printf("answer %s\n", data)
	a.conn.Close()
}
func (a *asker) OnMessage(wire.Message)  {}
func (a *asker) OnError(e *client.Error) { fmt.Println(e) }
func (a *asker) OnClose(err error) {
	fmt.Println("closed:", err)
	a.stop()
}

// A conversation by hand; programs have package writer for it.
func ExampleDial() {
	s, err := server.Start(server.Options{TCPAddress: "127.0.0.1:0"})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer s.Close()
	l, err := loop.New(loop.Options{})
	if err != nil {
		fmt.Println(err)
		return
	}
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	o, err := client.Options{}.WithDefaults()
	if err != nil {
		fmt.Println(err)
		return
	}
	a := &asker{stop: stop}
	l.Post(func() { a.conn = client.Dial(l, s.TCPAddr().String(), o, a) })
	if err := l.Run(ctx); err != nil {
		fmt.Println(err)
	}
	// Output:
	// ready 1.3.0
	// answer OK
	// closed: <nil>
}

func ExampleOptions() {
	config, err := client.TLSFromFiles("", "", "") // the system's authorities
	if err != nil {
		fmt.Println(err)
		return
	}
	o := reader.Options{
		Topic: "orders", Channel: "billing", NSQDs: []string{"nsqd.example:4150"},
		Client: client.Options{
			TLSConfig:  config,
			Snappy:     true,
			AuthSecret: func() string { return os.Getenv("NSQ_SECRET") },
			MsgTimeout: 2 * time.Minute,
		},
	}
	fmt.Println(o.Client.Snappy, o.Client.MsgTimeout)
	// Output: true 2m0s
}

func ExampleOptions_SetPair() {
	var o writer.Options
	fs := flag.NewFlagSet("example", flag.ContinueOnError)
	fs.Func("producer-opt", "option of NSQ's clients, as name,value", o.SetPair)
	if err := fs.Parse([]string{"-producer-opt=snappy", "-producer-opt=dial_timeout,500ms"}); err != nil {
		fmt.Println(err)
	}
	fmt.Println(o.Client.Snappy, o.Client.DialTimeout)
	fmt.Println(o.SetPair("snapy"))
	// Output:
	// true 500ms
	// there is no option "snapy"; did you mean snappy?
}

func ExampleParseURL() {
	c, err := client.ParseURL("nsq://billing:s3cret@nsqd-1,nsqd-2:5150?snappy=1&msg_timeout=2m")
	fmt.Println(c.NSQDs, c.Client.ClientID, c.Client.AuthSecret(), c.Client.Snappy, c.Client.MsgTimeout, err)
	// Output: [nsqd-1:4150 nsqd-2:5150] billing s3cret true 2m0s <nil>
}

func ExampleFromEnv() {
	os.Setenv(client.EnvLookupds, "lookup-1:4161,lookup-2:4161") // as the environment would
	defer os.Unsetenv(client.EnvLookupds)
	where, err := client.FromEnv()
	if err != nil {
		fmt.Println(err)
		return
	}
	o := writer.Options{NSQDs: where.NSQDs, Lookupds: where.Lookupds, Client: where.Client}
	fmt.Println(o.Lookupds)
	// Output: [lookup-1:4161 lookup-2:4161]
}

// Errors of nsqd, and what this side refuses in its place, are told apart by
// their codes.
func ExampleError() {
	err := fmt.Errorf("publish: %w", client.CheckTopic("no spaces"))
	var e *client.Error
	fmt.Println(errors.Is(err, client.ErrBadTopic), errors.Is(err, client.ErrBadChannel))
	fmt.Println(errors.As(err, &e), e.Code, e.Fatal())
	// Output:
	// true false
	// true E_BAD_TOPIC true
}

// Events say what happens to each connection of a Reader or a Writer.
func ExampleEvent() {
	o := client.Options{OnEvent: func(e client.Event) {
		if e.Kind == client.EventClose {
			fmt.Println(e.NSQD, e.Kind, e.Err)
		}
	}}
	o.OnEvent(client.Event{Kind: client.EventClose, NSQD: "127.0.0.1:4150"}) // as a connection does
	// Output: 127.0.0.1:4150 close <nil>
}
