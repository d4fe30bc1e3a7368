package main

import (
	"bytes"
	"fmt"
	"testing"
	"time"

	"github.com/nsqloop/nsqloop/internal/mocknsqd"
	"github.com/nsqloop/nsqloop/internal/wire"
	"github.com/nsqloop/nsqloop/loop/looptest"
	"github.com/nsqloop/nsqloop/reader"
)

func TestReader_CachesAndAnswersThreeAtATime(t *testing.T) {
	w := looptest.Test(t, looptest.Options{})
	l := w.Loop("nsqd")
	nsqd, err := mocknsqd.Listen(l, ":4150")
	if err != nil {
		t.Fatal(err)
	}
	var finished []string
	var subscriber *mocknsqd.Conn
	nsqd.Script = func(c *mocknsqd.Conn, cmd *wire.Command) bool {
		switch cmd.Verb {
		case wire.Rdy:
			if subscriber == nil {
				subscriber = c
				for i := range 4 {
					c.Message(fmt.Sprint(i), 1, l.Now(), fmt.Sprint("message ", i))
				}
			}
		case wire.Fin:
			finished = append(finished, string(cmd.ID[:1]))
		}
		return false
	}
	var out bytes.Buffer
	if err := start(w.Loop("reader"), reader.Options{NSQDs: []string{"nsqd:4150"}}, &out); err != nil {
		t.Fatal(err)
	}
	const first = "deferring processing\ndeferring processing\nmessage 0\nmessage 1\nmessage 2\ndeferring processing\n"
	if !w.RunUntil(func() bool { return len(finished) == 3 }, 10*time.Second) {
		t.Fatalf("finished %q, want three of four", finished)
	}
	if got := out.String(); got != first {
		t.Errorf("printed %q, want %q", got, first)
	}
	if got := fmt.Sprint(finished); got != "[0 1 2]" {
		t.Errorf("finished %s, want the first three", got)
	}

	l.Do(func() {
		subscriber.Message("4", 1, l.Now(), "message 4")
		subscriber.Message("5", 1, l.Now(), "message 5")
	})
	if !w.RunUntil(func() bool { return len(finished) == 6 }, 10*time.Second) {
		t.Fatalf("finished %q, want all six", finished)
	}
}
