package main

import (
	"io"
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
	args, stdout := os.Args, os.Stdout
	defer func() { os.Args, os.Stdout = args, stdout }()
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
}
