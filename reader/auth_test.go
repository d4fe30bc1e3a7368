package reader

import (
	"crypto/tls"
	"errors"
	"testing"
	"time"

	"github.com/nsqloop/nsqloop/client"
	"github.com/nsqloop/nsqloop/internal/mocknsqd"
	"github.com/nsqloop/nsqloop/internal/wire"
	"github.com/nsqloop/nsqloop/loop/looptest"
)

// Statement 161: a refused secret is reported with its code, and not tried
// again faster than a lost connection is. So are the other ways in which a
// handshake fails for as long as nobody changes something.
func TestReader_RefusedHandshakesBackOff(t *testing.T) {
	for _, row := range []struct {
		name   string
		o      client.Options
		script func(c *mocknsqd.Conn, cmd *wire.Command) bool
		want   error
	}{
		{"refused secret", client.Options{AuthSecret: func() string { return "wrong" }}, func(c *mocknsqd.Conn, cmd *wire.Command) bool {
			switch cmd.Verb {
			case wire.Identify:
				c.Respond(`{"auth_required":true}`)
			case wire.Auth:
				c.Fail(wire.CodeAuthFailed, "AUTH failed")
			}
			return true
		}, client.ErrAuthFailed},
		{"no secret", client.Options{}, func(c *mocknsqd.Conn, cmd *wire.Command) bool {
			c.Respond(`{"auth_required":true}`)
			return true
		}, client.ErrAuthRequired},
		{"no TLS", client.Options{TLSConfig: &tls.Config{}}, func(*mocknsqd.Conn, *wire.Command) bool { return false }, client.ErrTLSRefused},
		{"no checksums", client.Options{Checksum: true}, func(*mocknsqd.Conn, *wire.Command) bool { return false }, client.ErrChecksumRefused},
	} {
		t.Run(row.name, func(t *testing.T) {
			w := looptest.Test(t, looptest.Options{})
			s, err := mocknsqd.Listen(w.Loop("nsqd"), "nsqd:4150")
			if err != nil {
				t.Fatal(err)
			}
			s.Script = row.script
			l := w.Loop("client")
			var last error
			l.Do(func() {
				_, err := New(l, Options{
					Topic: "t", Channel: "c", NSQDs: []string{"nsqd:4150"}, Client: row.o,
					Handler: func(*Message) error { return nil },
					OnError: func(err error) { last = err },
				})
				if err != nil {
					t.Fatal(err)
				}
			})
			w.Run(time.Minute)
			if !errors.Is(last, row.want) {
				t.Errorf("reported %v, want %v", last, row.want)
			}
			// The first, and one after each MaxReconnectDelay less jitter.
			if s.Accepted < 2 || s.Accepted > 5 {
				t.Errorf("%d connections in a minute, want one each half a minute", s.Accepted)
			}
		})
	}
}
