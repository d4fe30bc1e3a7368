package loop_test

import (
	"context"
	"fmt"
	"time"

	"github.com/nsqloop/nsqloop/loop"
)

// A program makes its loop, puts on it what it is to do, and runs it.
func ExampleEngine_Run() {
	l, err := loop.New(loop.Options{})
	if err != nil {
		fmt.Println(err)
		return
	}
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	n := 0
	l.Every(time.Millisecond, func() {
		if n++; n == 3 {
			fmt.Println("three ticks")
			stop()
		}
	})
	l.OnShutdown(func(done func()) {
		fmt.Println("the end")
		done()
	})
	fmt.Println(l.Run(ctx))
	// Output:
	// three ticks
	// the end
	// <nil>
}

// What blocks runs beside the loop; what follows from it, on the loop.
func ExampleLoop_Go() {
	l, err := loop.New(loop.Options{})
	if err != nil {
		fmt.Println(err)
		return
	}
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	sum := 0 // only the loop touches it
	l.Go(func() (then func()) {
		answer := 42 // a database has said so, after a while
		return func() {
			sum += answer
			fmt.Println(sum, l.OnLoop())
			stop()
		}
	})
	if err := l.Run(ctx); err != nil {
		fmt.Println(err)
	}
	// Output: 42 true
}

// A test skips the time that it has no use for.
func ExampleEngine_Advance() {
	l, err := loop.New(loop.Options{})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer l.Close()
	rang := make(chan string)
	l.After(time.Hour, func() { rang <- "an hour later" })
	if err := l.Start(); err != nil {
		fmt.Println(err)
		return
	}
	if err := l.Advance(time.Hour); err != nil {
		fmt.Println(err)
	}
	fmt.Println(<-rang)
	// Output: an hour later
}
