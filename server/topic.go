package server

// topic is one topic.
type topic struct {
	s        *Server
	name     string
	channels []*channel // sorted by name
	messages uint64
}

func (t *topic) publish(bodies [][]byte, due int64, done func(error)) {
	t.messages += uint64(len(bodies))
	t.s.l.AtTurnEnd(func() { done(nil) })
}
func (t *topic) empty()              {}
func (t *topic) pause(on bool) error { return nil }
func (t *topic) channel(name string) *channel {
	for _, c := range t.channels {
		if c.name == name {
			return c
		}
	}
	return nil
}
func (t *topic) createChannel(name string) (*channel, error) {
	c := &channel{name: name}
	t.channels = append(t.channels, c)
	return c, nil
}
func (t *topic) deleteChannel(c *channel) {}

type channel struct{ name string }

func (c *channel) empty()              {}
func (c *channel) pause(on bool) error { return nil }
