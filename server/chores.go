package server

// What work costs the loop, about, in millionths of a second. It is estimated and
// not measured, so that the same input makes the same turns.
const (
	makeCost  = 500 // a topic or a channel is made: files, while the disk has other things to do
	touchCost = 4   // a topic has the first change of a turn, which is a write
	showCost  = 2   // the figures of a topic, a channel or a client
	lookCost  = 40  // a file is read for the age of a message
	restCost  = 10  // a topic's files are closed

	// pieceMost is about how much of a chore is done at once, unless it is all
	// of one topic.
	pieceMost = 300

	// turnMost is how much one connection may do in a turn, or all chores
	// together, when others want to be served too.
	turnMost = 1000
)

// chores is work that would make a turn long: what is asked for over HTTP most of
// all. It is done some in a turn, and each chore has its piece in its turn.
type chores struct {
	s      *Server
	all    []*chore
	posted bool // next will run
}

// chore is work in pieces. piece does one, and says what it has cost and whether it
// was the last. Then done is called, once; its error says that the server has
// stopped before that.
type chore struct {
	piece func() (cost int, last bool)
	done  func(err error)
}

// begin has a chore done, from the next turn on.
func (c *chores) begin(piece func() (cost int, last bool), done func(err error)) {
	c.all = append(c.all, &chore{piece, done})
	c.post()
}

// post has pieces done in the next turn, if there are any.
func (c *chores) post() {
	if len(c.all) == 0 || c.posted {
		return
	}
	if c.s.closed || c.s.l.Post(c.next) != nil {
		c.end()
		return
	}
	c.posted = true
}

// next does some pieces.
func (c *chores) next() {
	c.posted = false
	defer c.post() // also when a piece panics, which the loop reports
	for spent := 0; spent < turnMost && len(c.all) > 0 && !c.s.closed; {
		x := c.all[0]
		c.all[0] = nil
		c.all = c.all[1:]
		spent += c.do(x)
	}
}

// do does a piece of x.
func (c *chores) do(x *chore) (cost int) {
	last := true
	defer func() {
		if last {
			x.done(nil)
		} else {
			c.all = append(c.all, x)
		}
	}()
	cost, last = x.piece()
	return cost
}

// end gives up all chores.
func (c *chores) end() {
	all := c.all
	c.all = nil
	for _, x := range all {
		x.done(ErrClosed)
	}
}

// callChore has a chore done on the loop, and waits for it, as call does.
func (s *Server) callChore(piece func() (cost int, last bool)) error {
	done := make(chan error, 1)
	err := s.call(func() { s.chores.begin(piece, func(err error) { done <- err }) })
	if err == nil {
		err = <-done
	}
	return err
}

// callMaking runs f on the loop and waits for it, as call does: as a chore if it
// makes something. Many can ask for that at once.
func (s *Server) callMaking(makes func() bool, f func()) error {
	done := make(chan error, 1)
	err := s.call(func() {
		if makes() {
			s.chores.begin(func() (int, bool) { f(); return makeCost, true }, func(err error) { done <- err })
			return
		}
		f()
		done <- nil
	})
	if err == nil {
		err = <-done
	}
	return err
}
