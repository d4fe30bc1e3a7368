package main

import (
	"bytes"
	"slices"
	"testing"
	"time"

	"github.com/nsqloop/nsqloop/internal/mocknsqd"
	"github.com/nsqloop/nsqloop/loop/looptest"
)

func TestWriter_PublishesTheTimeEachSecond(t *testing.T) {
	w := looptest.Test(t, looptest.Options{})
	nsqd, err := mocknsqd.Listen(w.Loop("nsqd"), ":4150")
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	if err := start(w.Loop("writer"), "nsqd:4150", &out); err != nil {
		t.Fatal(err)
	}
	w.Run(3500 * time.Millisecond)
	if want := []string{"00:00:01", "00:00:02", "00:00:03"}; !slices.Equal(nsqd.Bodies(), want) {
		t.Errorf("published %q, want %q", nsqd.Bodies(), want)
	}
	if got, want := out.String(), "OK\nOK\nOK\n"; got != want {
		t.Errorf("printed %q, want %q", got, want)
	}
}

func TestWriter_PrintsWhatWentWrong(t *testing.T) {
	w := looptest.Test(t, looptest.Options{})
	var out bytes.Buffer
	if err := start(w.Loop("writer"), "nowhere:4150", &out); err != nil {
		t.Fatal(err)
	}
	w.Run(10 * time.Second)
	if !bytes.Contains(out.Bytes(), []byte("timeout")) {
		t.Errorf("printed %q, want a timeout: there is no nsqd", out.String())
	}
}
