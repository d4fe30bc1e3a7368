package writer

// Events are what the program is told beside the results of its publishes. They are
// kept for the end of the turn as results are, and run before those: a function of
// the program's that panics in a callback of a connection would cost the connection,
// and what had to be done behind the call.

// emit has f, which calls a function of the program's, run at the end of the turn.
func (w *Writer) emit(f func()) {
	w.events = append(w.events, f)
	w.atTurnEnd()
}

// callEvents runs what was emitted. One that panics is not run again.
func (w *Writer) callEvents() {
	for len(w.events) > 0 {
		f := w.events[0]
		w.events[0] = nil
		w.events = w.events[1:]
		f()
	}
}

// onError tells Options.OnError.
func (w *Writer) onError(err error) {
	if w.o.OnError != nil {
		w.emit(func() { w.o.OnError(err) })
	}
}

// emitConnect tells Options.OnConnect.
func (c *conn) emitConnect() {
	if w := c.w; w.o.OnConnect != nil {
		w.emit(func() { w.o.OnConnect(c.addr) })
	}
}

// emitDisconnect tells Options.OnDisconnect.
func (c *conn) emitDisconnect(err error) {
	if w := c.w; w.o.OnDisconnect != nil {
		w.emit(func() { w.o.OnDisconnect(c.addr, err) })
	}
}
