package server

import (
	"context"

	"github.com/nsqloop/nsqloop/loop"
)

// Start makes a server on a loop of its own.
func Start(o Options) (*Server, error) {
	e, err := loop.New(loop.Options{Logger: o.Logger, OutputHigh: outputMost})
	if err != nil {
		return nil, err
	}
	if err := e.Start(); err != nil {
		return nil, err
	}
	s, err := New(e, o)
	if err != nil {
		_ = e.Close() // the first error says what is wrong
		return nil, err
	}
	s.own = &ownLoop{e}
	return s, nil
}

// ownLoop is a loop that stops with the server. The loops of others are nil.
type ownLoop struct{ e *loop.Engine }

// shutdown stops the loop when the connections that are being closed have
// finished.
func (l *ownLoop) shutdown(ctx context.Context) error {
	if l == nil {
		return nil
	}
	return l.e.Shutdown(ctx)
}

// close stops the loop now, or, on the loop, soon.
func (l *ownLoop) close() error {
	if l == nil {
		return nil
	}
	if l.e.OnLoop() {
		l.e.Go(func() (then func()) {
			_ = l.e.Close() // nobody is left to be told
			return nil
		})
		return nil
	}
	return l.e.Close()
}
