// Command handlertest is a handler with its tests beside it: main_test.go runs it
// without a server, and once with one.
//
//	go test ./examples/handlertest
package main

import (
	"context"
	"encoding/json"
	"errors"
	"log"
	"os"
	"os/signal"
	"time"

	"github.com/nsqloop/nsqloop/loop"
	"github.com/nsqloop/nsqloop/reader"
)

// accounts bills orders.
type accounts struct {
	balance map[string]int
	open    func() bool
}

// errNegative is about orders that can never be billed.
var errNegative = errors.New("the amount is negative")

// bill is the handler. It runs on the loop, so the map needs no lock.
func (a *accounts) bill(m *reader.Message) error {
	var order struct {
		Account string `json:"account"`
		Amount  int    `json:"amount"`
	}
	if err := json.Unmarshal(m.Body, &order); err != nil {
		return reader.Discard(err)
	}
	switch {
	case order.Amount < 0:
		return reader.Discard(errNegative)
	case !a.open():
		return reader.WithoutBackoff(reader.RequeueAfter(time.Hour, errors.New("the bank is closed")))
	}
	a.balance[order.Account] -= order.Amount
	return nil
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	l, err := loop.New(loop.Options{})
	if err != nil {
		log.Fatal(err)
	}
	a := &accounts{balance: map[string]int{}, open: func() bool { return true }}
	if err := a.start(l, "127.0.0.1:4150"); err != nil {
		log.Fatal(err)
	}
	if err := l.Run(ctx); err != nil {
		log.Fatal(err)
	}
}

// start has l bill the orders of an nsqd.
func (a *accounts) start(l loop.Loop, nsqd string) error {
	_, err := reader.New(l, reader.Options{Topic: "orders", Channel: "billing", NSQDs: []string{nsqd}, Handler: a.bill})
	return err
}
