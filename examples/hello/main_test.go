package main

import (
	"bytes"
	"io"
	"log"
	"os"
	"strings"
	"testing"

	"github.com/nsqloop/nsqloop/server"
)

func TestHello_PublishesAndReceives(t *testing.T) {
	s, err := server.Start(server.Options{TCPAddress: "127.0.0.1:0"})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	var logged bytes.Buffer
	args, stdout := os.Args, os.Stdout
	defer func() { os.Args, os.Stdout = args, stdout; log.SetOutput(os.Stderr) }()
	log.SetOutput(&logged) // what slog.Default says too
	os.Args, os.Stdout = []string{"hello", s.TCPAddr().String()}, w
	main()
	w.Close()
	said, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"published, error: <nil>\n", "received hello world\n"} {
		if !strings.Contains(string(said), want) {
			t.Errorf("printed %q, want %q in it", said, want)
		}
	}
	for _, want := range []string{"INFO connected writer=", "INFO subscribed topic=greetings channel=print "} {
		if !strings.Contains(logged.String(), want) {
			t.Errorf("logged %q, want %q in it", logged.String(), want)
		}
	}
}
