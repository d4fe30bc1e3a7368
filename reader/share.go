package reader

import "sort"

// look judges what each slot can use by what it has used: one that was never
// full since the last look is left twice its peak, which lets it grow, and one
// that has had nothing yet what it may have until then.
func (b *ready) look() {
	for _, s := range b.slots {
		switch {
		case !s.warm:
			s.demand = max(1, s.least)
		case s.peak >= s.count:
			s.demand = 0
		default:
			s.demand = max(1, s.least, 2*s.peak)
		}
		s.peak = s.inFlight
	}
}

// divide gives each slot its share of max: equal shares, but for what a slot's
// demand or limit leaves, which goes to the others. What nobody demands is
// shared too, so that all of max is given out.
func (b *ready) divide() {
	for _, s := range b.slots {
		s.share = 0
	}
	left := b.max
	if b.adaptive {
		left = b.deal(left, func(s *slot) int {
			if s.demand > 0 {
				return min(s.limit, s.demand)
			}
			return s.limit
		})
	}
	b.deal(left, func(s *slot) int { return s.limit })
}

// deal adds to the shares in equal parts, up to what most says of each slot,
// and returns what is left over. The remainder goes one by one to the slots
// from turn on.
func (b *ready) deal(left int, most func(*slot) int) int {
	n := len(b.slots)
	if n == 0 || left == 0 {
		return left
	}
	order := make([]*slot, 0, n)
	for i := range n {
		order = append(order, b.slots[(b.turn+i)%n])
	}
	sort.SliceStable(order, func(i, j int) bool { x, y := order[i], order[j]; return most(x)-x.share < most(y)-y.share })
	for i, s := range order {
		rest := n - i
		part := min(most(s)-s.share, (left+rest-1)/rest)
		s.share += part
		left -= part
	}
	return left
}
