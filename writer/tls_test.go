package writer

import (
	"crypto/tls"
	"errors"
	"testing"
	"time"

	"github.com/nsqloop/nsqloop/client"
	"github.com/nsqloop/nsqloop/internal/mocknsqd"
	"github.com/nsqloop/nsqloop/loop/looptest"
)

// A publish does not wait for a server that will not have TLS: it ends with the
// reason, and nothing has left in plain text.
func TestWriter_RefusedTLSEndsPublishes(t *testing.T) {
	for _, row := range []struct {
		o    client.Options
		want error
	}{
		{client.Options{TLSConfig: &tls.Config{}}, client.ErrTLSRefused},
		{client.Options{Checksum: true}, client.ErrChecksumRefused},
	} {
		t.Run(row.want.Error(), func(t *testing.T) { refusedAtOnce(t, row.o, row.want) })
	}
}

func refusedAtOnce(t *testing.T, o client.Options, want error) {
	w := looptest.Test(t, looptest.Options{})
	s, err := mocknsqd.Listen(w.Loop("nsqd"), "nsqd:4150")
	if err != nil {
		t.Fatal(err)
	}
	l := w.Loop("client")
	var got error
	l.Do(func() {
		wr, err := New(l, Options{NSQDs: []string{"nsqd:4150"}, Client: o})
		if err != nil {
			t.Fatal(err)
		}
		wr.Publish("t", []byte("secret"), func(r Result) { got = r.Err })
	})
	w.Run(time.Second)
	if !errors.Is(got, want) {
		t.Errorf("publish ended with %v, want %v", got, want)
	}
	if len(s.Published) > 0 {
		t.Errorf("published in plain text: %+v", s.Published)
	}
}
