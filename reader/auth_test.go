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
				c.Fail(wire.CodeUnauthorized, "AUTH no authorizations found")
			}
			return true
		}, client.ErrUnauthorized},
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

// An nsqd whose auth server is away for a while is no decision against the secret: the
// reader is back within a second, as after any other fault. One that stays away is
// asked less and less often.
func TestReader_IsBackAfterTheAuthServer(t *testing.T) {
	for _, code := range []wire.Code{wire.CodeAuthFailed, wire.CodeAuthError} {
		w := newWorld(t, looptest.Options{Seed: 1})
		s, err := mocknsqd.Listen(w.Loop("nsqd"), "nsqd:4150")
		if err != nil {
			t.Fatal(err)
		}
		away := true
		s.Script = func(c *mocknsqd.Conn, cmd *wire.Command) bool {
			switch {
			case cmd.Verb == wire.Identify:
				c.Respond(`{"auth_required":true}`)
			case cmd.Verb == wire.Auth && away:
				c.Fail(code, "AUTH failed")
			case cmd.Verb == wire.Auth:
				c.Respond(`{"identity":"somebody"}`)
			case cmd.Verb == wire.Sub:
				c.OK()
			}
			return true
		}
		var back time.Time
		w.reader(Options{
			NSQDs:  []string{"nsqd:4150"},
			Client: client.Options{AuthSecret: func() string { return "secret" }},
		})
		w.Run(5 * time.Second)
		away = false
		began := w.Now()
		w.within(time.Minute, "the subscription", func() bool {
			back = w.Now()
			return len(w.events) > 0 && w.events[len(w.events)-1] == "connect nsqd:4150"
		})
		if d := back.Sub(began); d > time.Second {
			t.Errorf("%s: back after %v, want a second at most", code, d)
		}
		away = true
		s.Accepted = 0
		w.l.Do(func() { s.Cut() })
		w.Run(10 * time.Minute)
		if s.Accepted < 20 || s.Accepted > 120 {
			t.Errorf("%s: %d connections in ten minutes, want one each tenth of the time", code, s.Accepted)
		}
	}
}
